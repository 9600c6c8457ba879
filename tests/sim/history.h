// What clients asked for and were told, for the judgement whether it could have happened
// one after the other.

#ifndef WEFT_TESTS_SIM_HISTORY_H_
#define WEFT_TESTS_SIM_HISTORY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace weft::sim {

enum class OpKind { kCreate, kGet, kOpen, kGrow, kDelete };

enum class OpResult {
  kOk,
  kAbsent,   // there is no such segment
  kPresent,  // refused because there is one
  kRefused,  // refused for a reason that says nothing of the segment
  kUnknown,  // no answer, or one that leaves open whether it was done
};

struct Op {
  OpKind kind = OpKind::kGet;
  std::string segment;  // its name
  uint64_t wanted_bytes = 0;
  bool force = false;  // kDelete

  OpResult result = OpResult::kUnknown;
  // Of the segment in the reply.
  uint64_t id = 0;
  uint64_t size_bytes = 0;
  // A copy of the request may have come to the coordinator after the answer was made.
  bool may_be_late = false;

  // Moments, all different.
  uint64_t called = 0;
  uint64_t returned = ~uint64_t{0};
};

class History {
 public:
  // Returns the op's number.
  size_t Call(Op op) {
    op.called = ++moments_;
    ops_.push_back(std::move(op));
    return ops_.size() - 1;
  }
  void Return(size_t number, OpResult result, uint64_t id = 0, uint64_t size_bytes = 0) {
    Op& op = ops_[number];
    op.result = result;
    op.id = id;
    op.size_bytes = size_bytes;
    op.returned = ++moments_;
  }
  void SetMayBeLate(size_t number) { ops_[number].may_be_late = true; }
  const std::vector<Op>& ops() const { return ops_; }

 private:
  std::vector<Op> ops_;
  uint64_t moments_ = 0;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_HISTORY_H_
