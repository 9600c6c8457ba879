#include "tests/integration/failover/load.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/weft.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "tests/soak/kill/observer.h"

namespace weft {
namespace {

// Far longer than any fault lasts.
constexpr absl::Duration kCallTimeout = absl::Minutes(2);
// Few enough that none of their events is forgotten.
constexpr uint64_t kMutationsBetweenCollections = 1000;
constexpr char kRead[] = "read pool";
// What is in the store before it is acknowledged. (That a handle is closed is weftd's word.)
constexpr std::string_view kMutations[] = {"create",    "grow",        "delete",     "open",
                                           "open-away", "create pool", "delete pool"};

uint64_t CountOf(const soak::Counts& counts, std::string_view operation) {
  const auto it = counts.find(std::string(operation));
  return it == counts.end() ? 0 : it->second;
}

absl::StatusOr<std::unique_ptr<sdk::RpcClient>> ConnectTo(const std::string& coordinators) {
  return sdk::RpcClient::Make({.address = coordinators, .timeout = kCallTimeout});
}

absl::StatusOr<std::vector<v1::Device>> ListDevices(sdk::RpcClient& admin) {
  return admin.List(&v1::DeviceService::Stub::ListDevices, v1::ListDevicesRequest(),
                    [](auto& page) { return page.mutable_devices(); });
}

}  // namespace

uint64_t MutationsOf(const soak::Counts& acknowledged) {
  return std::accumulate(std::begin(kMutations), std::end(kMutations), uint64_t{0},
                         [&](uint64_t sum, std::string_view operation) {
                           return sum + CountOf(acknowledged, operation);
                         });
}

uint64_t ReadsOf(const soak::Counts& acknowledged) { return CountOf(acknowledged, kRead); }

absl::StatusOr<std::unique_ptr<Load>> Load::Make(const LoadOptions& options) {
  std::unique_ptr<Load> load(new Load(options));
  if (absl::Status status = load->Connect(); !status.ok()) return status;
  return load;
}

absl::Status Load::Connect() {
  auto admin = ConnectTo(options_.coordinators);
  if (!admin.ok()) return admin.status();
  admin_ = *std::move(admin);
  if (absl::Status status = ConnectRivals(); !status.ok()) return status;
  {
    const auto events = soak::ListEvents(*admin_, 0);
    if (!events.ok()) return events.status();
    absl::MutexLock lock(&mu_);
    if (!events->empty()) revision_ = events->back().revision();
  }
  for (int i = 0; i < options_.ledgers; ++i) {
    auto coordinators = ConnectTo(options_.coordinators);
    if (!coordinators.ok()) return coordinators.status();
    ledgers_.push_back(std::make_unique<Ledger>(
        absl::StrCat("ledger", i, "-"), options_.seed + static_cast<uint64_t>(i),
        *std::move(coordinators), progress_,
        [this](absl::Time began, absl::Time ended) { NoteAcknowledged(began, ended); }));
  }
  for (int i = 0; i < options_.workers; ++i) {
    auto worker = MakeWorker(i);
    if (!worker.ok()) return worker.status();
    workers_.push_back(*std::move(worker));
  }
  return absl::OkStatus();
}

std::string Load::SocketOf(size_t host) const {
  return absl::StrCat(options_.folder, "/", options_.hosts[host], "/weftd.sock");
}

absl::Status Load::ConnectRivals() {
  auto rivals = Rivals::Make({.segment = options_.pool + "/rivals",
                              .holder_host = options_.hosts[2],
                              .holder_socket = SocketOf(2),
                              .heir_host = options_.hosts[0],
                              .heir_socket = SocketOf(0),
                              .call_timeout = kCallTimeout},
                             *admin_, progress_);
  if (!rivals.ok()) return rivals.status();
  rivals_ = *std::move(rivals);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<soak::Worker>> Load::MakeWorker(int number) {
  std::unique_ptr<sdk::Client> clients[2];
  for (int i = 0; i < 2; ++i) {
    sdk::ClientOptions options;
    options.socket_path = SocketOf(static_cast<size_t>(number + i) % 2);
    options.call_timeout = kCallTimeout;
    options.on_revoke = [this](const sdk::RevokeNotice& notice) {
      progress_.Violate(absl::StrCat(notice.segment, ": the handle was taken back: ",
                                     notice.gone ? "gone, " : "", notice.detail));
    };
    auto client = sdk::Client::Connect(options);
    if (!client.ok()) return client.status();
    clients[i] = *std::move(client);
  }
  return std::make_unique<soak::Worker>(absl::StrCat(options_.pool, "/w", number),
                                        options_.seed + static_cast<uint64_t>(number),
                                        std::move(clients[0]), std::move(clients[1]), progress_);
}

void Load::Resume() {
  stop_ = false;
  progress_.BeginWorkers(static_cast<int>(ledgers_.size() + workers_.size()));
  for (const auto& ledger : ledgers_) {
    threads_.emplace_back([this, &ledger] {
      ledger->Run(stop_);
      progress_.EndWorker();
    });
  }
  for (const auto& worker : workers_) {
    threads_.emplace_back([this, &worker] {
      while (!stop_ && !progress_.violated()) worker->Run(1);
      progress_.EndWorker();
    });
  }
  threads_.emplace_back([this] { KeepCollecting(); });
}

void Load::Hold() {
  uint64_t revision = 0;
  {
    absl::MutexLock lock(&mu_);
    revision = revision_;
  }
  rivals_->Hold(revision);
}

void Load::Pause() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Load::AwaitMutations(uint64_t count) {
  const uint64_t end = MutationsOf(progress_.acknowledged_by_operation()) + count;
  progress_.AwaitOperations(
      [end](const soak::Counts& counts) { return MutationsOf(counts) >= end; });
}

void Load::AwaitReads(uint64_t count) {
  const uint64_t end = ReadsOf(progress_.acknowledged_by_operation()) + count;
  progress_.AwaitOperations([end](const soak::Counts& counts) { return ReadsOf(counts) >= end; });
}

void Load::NoteAcknowledged(absl::Time began, absl::Time ended) {
  absl::MutexLock lock(&mu_);
  if (served_ || began <= since_) return;
  gap_ = ended - since_;
  served_ = true;
}

absl::Duration Load::AwaitServiceSince(absl::Time since) {
  const auto over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return served_ || progress_.violated();
  };
  absl::MutexLock lock(&mu_);
  since_ = since;
  served_ = false;
  // What Progress has changes without this mutex: looked at again every now and then.
  while (!mu_.AwaitWithTimeout(absl::Condition(&over), absl::Seconds(1))) {
  }
  since_ = absl::InfiniteFuture();
  return served_ ? gap_ : absl::InfiniteDuration();
}

void Load::Check() {
  const auto segments = soak::ListSegments(*admin_);
  const auto devices = ListDevices(*admin_);
  const auto pools = admin_->List(&v1::PoolService::Stub::ListPools, v1::ListPoolsRequest(),
                                  [](v1::ListPoolsResponse& page) { return page.mutable_pools(); });
  if (!Expect(segments.status(), "listing segments") ||
      !Expect(devices.status(), "listing devices") || !Expect(pools.status(), "listing pools") ||
      !CollectEvents()) {
    return;
  }
  soak::Promises promises = rivals_->promises();
  std::map<std::string, soak::Acknowledged> acknowledged;
  for (const auto& worker : workers_) {
    promises.merge(worker->promises());
    acknowledged.merge(worker->TakeAcknowledged());
  }
  std::set<std::string> promised_pools, found_pools;
  for (const auto& ledger : ledgers_) {
    promised_pools.insert(ledger->pools().begin(), ledger->pools().end());
    acknowledged.merge(ledger->TakeAcknowledged());
  }
  for (const v1::Pool& pool : *pools) found_pools.insert(pool.name());
  Add(CheckPools(promised_pools, "pools/" + options_.pool, found_pools));
  Add(soak::CheckSegments(promises, *segments));
  Add(soak::CheckOverlaps(soak::ClaimsOf(*segments)));
  Add(soak::CheckUsage(*devices, *segments));
  absl::MutexLock lock(&mu_);
  Add(soak::CheckEvents(acknowledged, events_));
  CheckExpiries(events_);
  events_.clear();
}

void Load::CheckExpiries(const std::vector<v1::Event>& events) {
  int expiries = 0;
  for (const v1::Event& event : events) {
    if (event.type() != v1::HOST_EXPIRED) continue;
    ++expiries;
    if (event.resource() != "hosts/" + rivals_->holder_host()) {
      progress_.Violate(event.resource() + " expired");
    }
  }
  if (const int expected = rivals_->TakeExpiries(); expiries != expected) {
    progress_.Violate(absl::StrCat(expiries, " hosts expired, not ", expected));
  }
}

bool Load::CollectEvents() {
  uint64_t revision = 0;
  {
    absl::MutexLock lock(&mu_);
    revision = revision_;
  }
  auto events = soak::ListEvents(*admin_, revision);
  if (!Expect(events.status(), "listing events")) return false;
  absl::MutexLock lock(&mu_);
  for (v1::Event& event : *events) {
    revision_ = event.revision();
    events_.push_back(std::move(event));
  }
  return true;
}

void Load::KeepCollecting() {
  uint64_t collected_at = 0;
  while (!stop_ && !progress_.violated()) {
    progress_.AwaitOperations([&](const soak::Counts& counts) {
      return MutationsOf(counts) >= collected_at + kMutationsBetweenCollections;
    });
    collected_at = MutationsOf(progress_.acknowledged_by_operation());
    CollectEvents();
  }
}

void Load::CheckDevices() {
  for (const auto& worker : workers_) worker->VerifyAll();
  uint64_t revision = 0;
  {
    absl::MutexLock lock(&mu_);
    revision = revision_;
  }
  for (;;) {
    const auto devices = ListDevices(*admin_);
    if (!Expect(devices.status(), "listing devices")) return;
    const bool scrubbed =
        std::all_of(devices->begin(), devices->end(),
                    [](const v1::Device& device) { return device.scrubbing_bytes() == 0; });
    if (!scrubbed) {
      const absl::Status status = admin_->WatchEvents(revision, [&](const v1::Event& event) {
        revision = event.revision();
        return false;
      });
      if (!Expect(status, "waiting until all is scrubbed")) return;
      continue;
    }
    const auto segments = soak::ListSegments(*admin_);
    if (!Expect(segments.status(), "listing segments")) return;
    for (const v1::Device& device : *devices) {
      const auto bytes = soak::ReadDevice(device.attachments(0).path());
      if (Expect(bytes.status(), "reading a device")) {
        Add(soak::CheckFreeBytes(device, *bytes, *segments));
      }
    }
    return;
  }
}

bool Load::Expect(const absl::Status& status, const std::string& what) {
  if (!status.ok()) progress_.Violate(absl::StrCat(what, ": ", status.ToString()));
  return status.ok();
}

void Load::Add(const soak::Violations& violations) {
  for (const std::string& violation : violations) progress_.Violate(violation);
}

}  // namespace weft
