#include "tests/integration/failover/load.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/weft.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "tests/soak/kill/observer.h"

namespace weft {
namespace {

// Far longer than any fault lasts.
constexpr absl::Duration kCallTimeout = absl::Seconds(60);

absl::StatusOr<std::unique_ptr<sdk::RpcClient>> ConnectTo(const std::string& coordinators) {
  return sdk::RpcClient::Make({.address = coordinators, .timeout = kCallTimeout});
}

absl::StatusOr<std::vector<v1::Device>> ListDevices(sdk::RpcClient& admin) {
  return admin.List(&v1::DeviceService::Stub::ListDevices, v1::ListDevicesRequest(),
                    [](auto& page) { return page.mutable_devices(); });
}

}  // namespace

absl::StatusOr<std::unique_ptr<Load>> Load::Make(const LoadOptions& options) {
  std::unique_ptr<Load> load(new Load(options));
  if (absl::Status status = load->Connect(); !status.ok()) return status;
  return load;
}

absl::Status Load::Connect() {
  auto admin = ConnectTo(options_.coordinators);
  if (!admin.ok()) return admin.status();
  admin_ = *std::move(admin);
  const auto events = soak::ListEvents(*admin_, 0);
  if (!events.ok()) return events.status();
  if (!events->empty()) revision_ = events->back().revision();
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

absl::StatusOr<std::unique_ptr<soak::Worker>> Load::MakeWorker(int number) {
  std::unique_ptr<sdk::Client> clients[2];
  for (int i = 0; i < 2; ++i) {
    sdk::ClientOptions options;
    options.socket_path = options_.sockets[static_cast<size_t>(number + i) % 2];
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
}

void Load::Pause() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Load::Await(uint64_t operations) {
  progress_.AwaitAcknowledged(progress_.acknowledged() + operations);
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
  mu_.Await(absl::Condition(&over));
  since_ = absl::InfiniteFuture();
  return served_ ? gap_ : absl::InfiniteDuration();
}

void Load::Check() {
  const auto segments = soak::ListSegments(*admin_);
  const auto devices = ListDevices(*admin_);
  const auto events = soak::ListEvents(*admin_, revision_);
  const auto pools = admin_->List(&v1::PoolService::Stub::ListPools, v1::ListPoolsRequest(),
                                  [](v1::ListPoolsResponse& page) { return page.mutable_pools(); });
  if (!Expect(segments.status(), "listing segments") ||
      !Expect(devices.status(), "listing devices") || !Expect(events.status(), "listing events") ||
      !Expect(pools.status(), "listing pools")) {
    return;
  }
  soak::Promises promises;
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
  Add(soak::CheckEvents(acknowledged, *events));
  if (!events->empty()) revision_ = events->back().revision();
}

void Load::CheckDevices() {
  for (const auto& worker : workers_) worker->VerifyAll();
  for (;;) {
    const auto devices = ListDevices(*admin_);
    if (!Expect(devices.status(), "listing devices")) return;
    const bool scrubbed =
        std::all_of(devices->begin(), devices->end(),
                    [](const v1::Device& device) { return device.scrubbing_bytes() == 0; });
    if (!scrubbed) {
      const absl::Status status = admin_->WatchEvents(revision_, [this](const v1::Event& event) {
        revision_ = event.revision();
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
