#include "tests/soak/kill/soak.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/soak/kill/observer.h"

namespace weft::soak {
namespace {

constexpr char kHosts[2][7] = {"host-a", "host-b"};
// How long an application waits for an answer, and the driver for the applications: a round
// whose processes are all back takes a second or so.
constexpr absl::Duration kCallTimeout = absl::Seconds(60);
constexpr absl::Duration kRoundTimeout = absl::Seconds(120);
// One kill in so many hits processes again while they start.
constexpr uint64_t kKillsPerDoubleKill = 4;
// Settling waits for what a host does at its leisure: not in every round.
constexpr int kRoundsPerSettling = 5;
constexpr uint64_t kMostSpins = 2'000'000;

}  // namespace

std::string Victims::name() const {
  std::vector<std::string> names;
  if (coordinator) names.push_back("coordinator");
  if (host_a) names.push_back(kHosts[0]);
  if (host_b) names.push_back(kHosts[1]);
  return absl::StrJoin(names, "+");
}

Soak::Soak(const SoakOptions& options, Cluster& cluster)
    : options_(options), cluster_(cluster), random_(options.seed) {}

absl::Status Soak::Start() {
  for (int i = 0; i < options_.workers; ++i) {
    auto worker = MakeWorker(i);
    if (!worker.ok()) return worker.status();
    workers_.push_back(*std::move(worker));
  }
  const auto events = ListEvents(cluster_.admin(), 0);
  if (events.ok() && !events->empty()) revision_ = events->back().revision();
  return events.status();
}

absl::StatusOr<std::unique_ptr<Worker>> Soak::MakeWorker(int number) {
  std::unique_ptr<sdk::Client> clients[2];
  for (int i = 0; i < 2; ++i) {
    sdk::ClientOptions options;
    options.call_timeout = kCallTimeout;
    options.on_revoke = [this](const sdk::RevokeNotice& notice) {
      progress_.Violate(absl::StrCat(notice.segment, ": the handle was taken back: ",
                                     notice.gone ? "gone, " : "", notice.detail));
    };
    auto client = cluster_.Connect(kHosts[(number + i) % 2], options);
    if (!client.ok()) return client.status();
    clients[i] = *std::move(client);
  }
  return std::make_unique<Worker>(absl::StrCat("p/w", number), random_(), std::move(clients[0]),
                                  std::move(clients[1]), progress_);
}

void Soak::RunRound() {
  progress_.BeginWorkers(static_cast<int>(workers_.size()));
  const uint64_t before = progress_.acknowledged();
  std::vector<std::thread> threads;
  for (const auto& worker : workers_) {
    threads.emplace_back([this, &worker] {
      worker->Run(options_.operations);
      progress_.EndWorker();
    });
  }
  progress_.AwaitAcknowledged(before + 1 + Random(workers_.size() * options_.operations));
  KillAndRestart(ChooseVictims());
  if (!progress_.AwaitWorkers(kRoundTimeout)) {
    progress_.Violate(absl::StrCat("the load did not go on within ",
                                   absl::FormatDuration(kRoundTimeout), " of the restart"));
  }
  for (std::thread& thread : threads) thread.join();
  if (!progress_.violated()) CheckAll();
  if (++rounds_ % kRoundsPerSettling == 0) Settle();
}

Victims Soak::ChooseVictims() {
  const uint64_t kind = 1 + Random(7);
  return {(kind & 1) != 0, (kind & 2) != 0, (kind & 4) != 0};
}

void Soak::KillAndRestart(const Victims& victims) {
  // Lets the load get anywhere in its next operations.
  volatile uint64_t spins = Random(kMostSpins);
  while (spins > 0) spins = spins - 1;
  Kill(victims);
  if (victims.coordinator) CheckStore();
  Launch(victims);
  if (Random(kKillsPerDoubleKill) == 0) {
    spins = Random(kMostSpins) * 16;
    while (spins > 0) spins = spins - 1;
    Kill(victims);
    Launch(victims);
  }
  AwaitReady(victims);
}

void Soak::Kill(const Victims& victims) {
  ++kills_[victims.name()];
  if (victims.coordinator) cluster_.coordinator().Kill();
  if (victims.host_a) cluster_.host(kHosts[0]).Kill();
  if (victims.host_b) cluster_.host(kHosts[1]).Kill();
}

void Soak::Launch(const Victims& victims) {
  if (victims.coordinator) cluster_.LaunchCoordinator();
  if (victims.host_a) cluster_.LaunchHost(kHosts[0]);
  if (victims.host_b) cluster_.LaunchHost(kHosts[1]);
}

void Soak::AwaitReady(const Victims& victims) {
  if (victims.coordinator) Expect(cluster_.AwaitCoordinator(), "restart");
  if (victims.host_a) Expect(cluster_.AwaitHost(kHosts[0]), "restart");
  if (victims.host_b) Expect(cluster_.AwaitHost(kHosts[1]), "restart");
}

void Soak::CheckStore() {
  const auto claims = ReadStoredClaims(cluster_.store_path());
  if (Expect(claims.status(), "reading the store")) Add(CheckOverlaps(*claims));
}

void Soak::CheckAll() {
  for (const auto& worker : workers_) worker->VerifyAll();
  const absl::Status settled = cluster_.AwaitPool("p", {kHosts[0], kHosts[1]});
  if (Expect(settled, "waiting until all is scrubbed")) CheckApi();
}

void Soak::Settle() {
  for (const auto& worker : workers_) worker->CloseAll();
  Expect(cluster_.AwaitNoGrants(), "nobody has a handle");
}

void Soak::CheckApi() {
  const auto segments = ListSegments(cluster_.admin());
  const auto devices = cluster_.ListDevices();
  const auto events = ListEvents(cluster_.admin(), revision_);
  if (!Expect(segments.status(), "listing segments") ||
      !Expect(devices.status(), "listing devices") || !Expect(events.status(), "listing events")) {
    return;
  }
  Promises promises;
  std::map<std::string, Acknowledged> acknowledged;
  for (const auto& worker : workers_) {
    promises.merge(worker->promises());
    acknowledged.merge(worker->TakeAcknowledged());
  }
  Add(CheckSegments(promises, *segments));
  Add(CheckOverlaps(ClaimsOf(*segments)));
  Add(CheckUsage(*devices, *segments));
  Add(CheckEvents(acknowledged, *events));
  if (!events->empty()) revision_ = events->back().revision();
  for (const v1::Device& device : *devices) {
    const auto bytes = ReadDevice(device.attachments(0).path());
    if (Expect(bytes.status(), "reading a device")) {
      Add(CheckFreeBytes(device, *bytes, *segments));
    }
  }
}

bool Soak::Expect(const absl::Status& status, const std::string& what) {
  if (!status.ok()) progress_.Violate(absl::StrCat(what, ": ", status.ToString()));
  return status.ok();
}

void Soak::Add(const Violations& violations) {
  for (const std::string& violation : violations) progress_.Violate(violation);
}

}  // namespace weft::soak
