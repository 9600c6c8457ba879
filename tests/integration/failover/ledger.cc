#include "tests/integration/failover/ledger.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr uint64_t kNames = 8;
// One operation in so many reads: nothing is lost that was only read.
constexpr uint64_t kOperationsPerRead = 8;
// Sixteen ledgers send some 220 mutations a second: the coordinator remembers only so many of a
// client's (--remembered-requests), for two minutes.
constexpr absl::Duration kPeriod = absl::Milliseconds(64);

}  // namespace

Ledger::Ledger(std::string name, uint64_t seed, std::unique_ptr<sdk::RpcClient> coordinators,
               soak::Progress& progress, OnAcknowledged on_acknowledged)
    : name_(std::move(name)),
      random_(seed),
      coordinators_(std::move(coordinators)),
      progress_(progress),
      on_acknowledged_(std::move(on_acknowledged)) {}

void Ledger::Run(const std::atomic<bool>& stop) {
  const auto stopped = [&stop] { return stop.load(); };
  absl::Mutex mu;
  absl::MutexLock lock(&mu);
  for (absl::Time next = absl::Now(); !stop && !progress_.violated();) {
    Step();
    next = std::max(next + kPeriod, absl::Now());
    mu.AwaitWithDeadline(absl::Condition(&stopped), next);
  }
}

void Ledger::Step() {
  const std::string id = absl::StrCat(name_, random_() % kNames);
  const bool there = pools_.contains("pools/" + id);
  const bool reads = random_() % kOperationsPerRead == 0;
  const char* const operation = reads ? "read pool" : there ? "delete pool" : "create pool";
  const absl::Time began = absl::Now();
  const absl::Status status = reads ? Get(id, there) : there ? Delete(id) : Create(id);
  if (status.ok()) {
    progress_.Acknowledge(operation);
    on_acknowledged_(began, absl::Now());
  } else if (const std::string reason = v1::Reason_Name(ReasonOf(status));
             progress_.Tolerates(reason)) {
    progress_.Refuse(reason);
  } else {
    progress_.Violate(absl::StrCat(operation, " ", id, ": ", status.ToString()));
  }
}

absl::Status Ledger::Create(const std::string& id) {
  v1::CreatePoolRequest request;
  request.set_pool_id(id);
  const auto pool = coordinators_->Call(&v1::PoolService::Stub::CreatePool, request);
  if (!pool.ok()) return pool.status();
  pools_.insert(pool->name());
  ++acknowledged_[pool->name()].creates;
  return absl::OkStatus();
}

absl::Status Ledger::Delete(const std::string& id) {
  v1::DeletePoolRequest request;
  request.set_name("pools/" + id);
  const auto done = coordinators_->Call(&v1::PoolService::Stub::DeletePool, request);
  if (!done.ok()) return done.status();
  pools_.erase(request.name());
  ++acknowledged_[request.name()].deletes;
  return absl::OkStatus();
}

absl::Status Ledger::Get(const std::string& id, bool there) {
  v1::GetPoolRequest request;
  request.set_name("pools/" + id);
  const absl::Status status =
      coordinators_->Call(&v1::PoolService::Stub::GetPool, request).status();
  if (there) return status;
  if (ReasonOf(status) == v1::POOL_NOT_FOUND) return absl::OkStatus();
  return status.ok() ? absl::InternalError("a deleted pool was read") : status;
}

std::map<std::string, soak::Acknowledged> Ledger::TakeAcknowledged() {
  return std::exchange(acknowledged_, {});
}

soak::Violations CheckPools(const std::set<std::string>& promised, const std::string& other,
                            const std::set<std::string>& found) {
  soak::Violations violations;
  for (const std::string& pool : promised) {
    if (!found.contains(pool)) violations.push_back(pool + " is lost");
  }
  for (const std::string& pool : found) {
    if (pool != other && !promised.contains(pool)) {
      violations.push_back(pool + " is there, and nobody was told so");
    }
  }
  return violations;
}

}  // namespace weft
