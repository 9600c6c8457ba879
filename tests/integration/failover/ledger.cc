#include "tests/integration/failover/ledger.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr uint64_t kNames = 8;
// One operation in so many is a mutation: the coordinator remembers only so many of a client.
constexpr uint64_t kOperationsPerMutation = 4;

}  // namespace

Ledger::Ledger(std::string name, uint64_t seed, std::unique_ptr<sdk::RpcClient> coordinators,
               soak::Progress& progress, OnAcknowledged on_acknowledged)
    : name_(std::move(name)),
      random_(seed),
      coordinators_(std::move(coordinators)),
      progress_(progress),
      on_acknowledged_(std::move(on_acknowledged)) {}

void Ledger::Run(const std::atomic<bool>& stop) {
  while (!stop && !progress_.violated()) Step();
}

void Ledger::Step() {
  const std::string id = absl::StrCat(name_, random_() % kNames);
  const bool there = pools_.contains("pools/" + id);
  const bool reads = random_() % kOperationsPerMutation != 0;
  const char* const operation = reads ? "read" : there ? "delete pool" : "create pool";
  const absl::Time began = absl::Now();
  const absl::Status status = reads ? Get(id, there) : there ? Delete(id) : Create(id);
  if (status.ok()) {
    progress_.Acknowledge(operation);
    on_acknowledged_(began, absl::Now());
  } else if (ReasonOf(status) == v1::QUOTA) {
    progress_.Refuse("QUOTA");
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
