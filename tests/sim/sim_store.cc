#include "tests/sim/sim_store.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proto/weft/store/v1/records.pb.h"
#include "server/core/errors.h"
#include "server/core/keys.h"
#include "server/store/memory_store.h"

namespace weft::sim {
namespace {

template <typename Record>
void Spoil(Mutation& mutation, void (*spoil)(Record&)) {
  Record record;
  record.ParseFromString(*mutation.value);
  spoil(record);
  mutation.value = record.SerializeAsString();
}

// The transaction as a store with a planted bug keeps it.
Transaction Spoiled(const World& world, const Transaction& transaction) {
  Transaction spoiled = transaction;
  for (Mutation& mutation : spoiled.mutations) {
    if (!mutation.value) continue;
    if (world.bugs.reuse_token && mutation.key == keys::kCluster) {
      Spoil<store::v1::ClusterRecord>(mutation,
                                      [](auto& record) { record.set_last_token_counter(0); });
    }
    if (world.bugs.store_exclusive && mutation.key.starts_with(keys::kSegments)) {
      Spoil<store::v1::SegmentRecord>(
          mutation, [](auto& record) { record.mutable_segment()->set_sharing(v1::EXCLUSIVE); });
    }
  }
  return spoiled;
}

bool IsForgotten(const World& world, std::string_view key) {
  const Bugs& bugs = world.bugs;
  return (bugs.forget_scrubs && key.starts_with(keys::kScrubs)) ||
         ((bugs.forget_grants || bugs.forget_segments) && key.starts_with(keys::kGrants)) ||
         (bugs.forget_segments && key.starts_with(keys::kSegments));
}

}  // namespace

void Disk::ApplyTo(Records& records, const Transaction& transaction, int64_t revision) {
  for (const Mutation& mutation : transaction.mutations) {
    if (mutation.value) {
      records[mutation.key] = {mutation.key, *mutation.value, revision};
    } else {
      records.erase(mutation.key);
    }
  }
}

void Disk::SyncUpTo(uint64_t number) {
  while (!pending_.empty() && pending_.front().number <= number) {
    const Pending next = std::move(pending_.front());
    pending_.pop_front();
    ApplyTo(durable_, next.transaction, ++durable_revision_);
    on_durable_(next.transaction);
  }
}

void Disk::Crash() {
  if (!pending_.empty()) {
    const uint64_t kept = rng_.Below(pending_.size() + 1);
    world_.Log("disk: of ", pending_.size(), " transactions not synced ", kept, " are kept");
    world_.Probe(kept < pending_.size() ? "unsynced transaction lost"
                                        : "unsynced transaction kept");
    if (kept > 0) SyncUpTo(pending_[kept - 1].number);
    pending_.clear();
  }
  seen_ = durable_;
  revision_ = durable_revision_;
}

SimStore::SimStore(World& world, Disk& disk) : world_(world), disk_(disk) {
  // What the owner before was answered, or will be, comes before this.
  disk_.SyncUpTo(disk_.last_number_);
  disk_.Crash();
  disk_.owner_ = this;
}

SimStore::~SimStore() {
  if (disk_.owner_ != this) return;
  disk_.Crash();
  disk_.owner_ = nullptr;
}

StoreLimits SimStore::limits() const { return MemoryStore::kLimits; }

absl::Status SimStore::CheckOwner() const {
  if (disk_.owner_ == this) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::STORE_IN_USE,
                   "another coordinator has the store");
}

absl::StatusOr<CommitResult> SimStore::EndUnknown(const Transaction& transaction, const char* why) {
  must_recover_ = true;
  const bool kept = disk_.rng_.OneIn(2);
  world_.Log("disk: a commit ends ", why, " and is ", kept ? "kept" : "lost");
  world_.Probe(kept ? "unknown outcome: committed" : "unknown outcome: lost");
  // Those before it were answered, which a store does only once they are synced.
  disk_.SyncUpTo(disk_.last_number_);
  if (kept) {
    disk_.pending_.push_back({++disk_.last_number_, Spoiled(world_, transaction)});
    disk_.SyncUpTo(disk_.last_number_);
  }
  disk_.Crash();
  return UnknownOutcome(absl::UnavailableError(why));
}

absl::StatusOr<CommitResult> SimStore::Commit(const Transaction& transaction) {
  if (absl::Status s = CheckTransaction(transaction, limits()); !s.ok()) return s;
  if (must_recover_) return RecoveryNeeded();
  if (absl::Status s = CheckOwner(); !s.ok()) {
    if (disk_.cut_off) return UnknownOutcome(absl::UnavailableError("the store is out of reach"));
    return s;
  }
  const auto happens = [&](uint64_t one_in) { return one_in > 0 && disk_.rng_.OneIn(one_in); };
  if (disk_.cut_off || happens(disk_.faults.unreachable_one_in)) {
    return EndUnknown(transaction, "without an answer");
  }
  if (happens(disk_.faults.full_one_in)) {
    world_.Probe("store full");
    return MakeError(absl::StatusCode::kResourceExhausted, v1::STORE_FULL, "no space left");
  }
  if (happens(disk_.faults.sync_fails_one_in)) return EndUnknown(transaction, "with a failed sync");
  for (const Compare& compare : transaction.compares) {
    const auto found = disk_.seen_.find(compare.key);
    const int64_t actual = found == disk_.seen_.end() ? 0 : found->second.revision;
    if (actual != compare.revision) return CompareFailed(compare, actual);
  }
  Disk::Pending pending{++disk_.last_number_, Spoiled(world_, transaction)};
  Disk::ApplyTo(disk_.seen_, pending.transaction, ++disk_.revision_);
  const uint64_t number = pending.number;
  disk_.pending_.push_back(std::move(pending));
  const absl::Duration sync =
      disk_.rng_.Between(absl::Microseconds(50), disk_.faults.sync_time_max);
  disk_.synced_at_ = std::max(disk_.synced_at_, world_.loop.now()) + sync;
  world_.loop.At(disk_.synced_at_, [&disk = disk_, number] { disk.SyncUpTo(number); });
  return CommitResult{.revision = disk_.revision_};
}

absl::StatusOr<int64_t> SimStore::Scan(std::string_view prefix, Visitor visit) {
  if (must_recover_) return RecoveryNeeded();
  if (absl::Status s = CheckOwner(); !s.ok()) return s;
  if (disk_.cut_off) return absl::UnavailableError("the store is out of reach");
  for (auto it = disk_.seen_.lower_bound(prefix);
       it != disk_.seen_.end() && it->first.starts_with(prefix); ++it) {
    if (IsForgotten(world_, it->first)) continue;
    if (absl::Status s = visit(it->second); !s.ok()) return s;
  }
  return disk_.revision_;
}

absl::Status SimStore::ConfirmLeadership() {
  if (world_.bugs.confirm_deposed) return absl::OkStatus();
  if (disk_.cut_off) return absl::UnavailableError("the store is out of reach");
  return CheckOwner();
}

absl::Status SimStore::Recover() {
  if (disk_.cut_off) return absl::UnavailableError("the store is out of reach");
  if (absl::Status s = CheckOwner(); !s.ok()) return s;
  if (must_recover_ && disk_.rng_.OneIn(4)) {
    world_.Probe("recovery fails at first");
    return absl::UnavailableError("the store cannot be read yet");
  }
  must_recover_ = false;
  return absl::OkStatus();
}

}  // namespace weft::sim
