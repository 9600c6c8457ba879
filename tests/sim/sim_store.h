// A disk that loses what was not synced, and the store on it.

#ifndef WEFT_TESTS_SIM_SIM_STORE_H_
#define WEFT_TESTS_SIM_SIM_STORE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "server/store/store.h"
#include "tests/sim/world.h"

namespace weft::sim {

class SimStore;

// Outlives the stores that are opened on it. A transaction is seen by its owner at once, and
// is durable when it is synced, a moment later; a crash in between loses it and those after
// it, or does not.
class Disk {
 public:
  // `on_durable` is told of transactions in their order.
  Disk(World& world, std::function<void(const Transaction&)> on_durable)
      : world_(world), rng_(world.rng.Fork()), on_durable_(std::move(on_durable)) {}

  // What becomes of commits; each in so many times, 0: never.
  struct Faults {
    uint64_t full_one_in = 0;
    uint64_t sync_fails_one_in = 0;
    uint64_t unreachable_one_in = 0;
    absl::Duration sync_time_max = absl::Microseconds(300);
  };
  Faults faults;
  // Nobody can be reached by the owner: commits end with an unknown outcome.
  bool cut_off = false;

  // The owner is dead, or another takes its place: what was not synced is decided.
  void Crash();
  // When the last commit will be, or was, durable.
  absl::Duration synced_at() const { return synced_at_; }

 private:
  friend class SimStore;

  struct Pending {
    uint64_t number;
    Transaction transaction;
  };
  using Records = std::map<std::string, KeyValue, std::less<>>;

  static void ApplyTo(Records& records, const Transaction& transaction, int64_t revision);
  void SyncUpTo(uint64_t number);

  World& world_;
  Rng rng_;
  const std::function<void(const Transaction&)> on_durable_;
  const SimStore* owner_ = nullptr;
  Records durable_;
  int64_t durable_revision_ = 0;
  Records seen_;  // durable_ and what is pending
  int64_t revision_ = 0;
  std::deque<Pending> pending_;
  uint64_t last_number_ = 0;
  absl::Duration synced_at_;
};

// See Store. Never blocks: its owner's words wait until Disk::synced_at.
class SimStore final : public Store {
 public:
  // Takes the disk from its owner, if it has one.
  SimStore(World& world, Disk& disk);
  ~SimStore() override;

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) override;
  absl::StatusOr<int64_t> Scan(std::string_view prefix, Visitor visit) override;
  absl::Status ConfirmLeadership() override;
  absl::Status Recover() override;
  StoreLimits limits() const override;

 private:
  absl::Status CheckOwner() const;
  absl::StatusOr<CommitResult> EndUnknown(const Transaction& transaction, const char* why);

  World& world_;
  Disk& disk_;
  bool must_recover_ = false;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_STORE_H_
