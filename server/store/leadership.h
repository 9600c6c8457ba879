// How a coordinator comes to own the store that it may share with others.

#ifndef WEFT_SERVER_STORE_LEADERSHIP_H_
#define WEFT_SERVER_STORE_LEADERSHIP_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/errors.h"
#include "server/store/store.h"

namespace weft {

// Called from a thread of the leadership's; must not block.
class LeadershipObserver {
 public:
  virtual ~LeadershipObserver() = default;

  // The coordinator at `address` leads, not this one; empty: nobody knows who does.
  virtual void OnFollowing(const std::string& address) = 0;
  // This coordinator's term is over: its store refuses everything.
  virtual void OnTermOver() = 0;
};

// Thread-safe. What is safe rests on the store alone, which refuses whoever does not lead;
// this only says when to try.
class Leadership {
 public:
  virtual ~Leadership() = default;

  // Blocks until this process leads, in another term than before, and returns the store of
  // that term, which is there until the next call. The observer hears of this term and
  // of others until Stop.
  //   CANCELLED: Stop was called. FAILED_PRECONDITION STORE_IN_USE: it will never lead
  //   again.
  virtual absl::StatusOr<Store*> AwaitTerm(LeadershipObserver& observer) = 0;

  // Makes AwaitTerm return; no observer is called after this. Idempotent.
  virtual void Stop() = 0;
};

// For a store that one process has for as long as it runs: one term, from the beginning.
class SoleLeadership final : public Leadership {
 public:
  // `store` outlives this object.
  explicit SoleLeadership(Store& store) : store_(store) {}

  absl::StatusOr<Store*> AwaitTerm(LeadershipObserver& /*observer*/) override {
    if (!begun_) {
      begun_ = true;
      return &store_;
    }
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::STORE_IN_USE,
                     "the store has another owner");
  }
  void Stop() override {}

 private:
  Store& store_;
  bool begun_ = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_LEADERSHIP_H_
