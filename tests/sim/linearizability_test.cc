#include "tests/sim/linearizability.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace weft::sim {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class LinearizabilityTest : public testing::Test {
 protected:
  // An operation between two moments.
  Op& Add(OpKind kind, uint64_t called, uint64_t returned, OpResult result, uint64_t id = 0,
          uint64_t size_mib = 2) {
    Op op;
    op.kind = kind;
    op.segment = "a";
    op.wanted_bytes = size_mib * kMiB;
    op.result = result;
    op.id = id;
    op.size_bytes = size_mib * kMiB;
    op.called = called;
    op.returned = returned;
    ops_.push_back(op);
    return ops_.back();
  }
  bool IsFine() const { return Judge(ops_).contradiction.empty(); }

  std::vector<Op> ops_;
};

TEST_F(LinearizabilityTest, OneAfterTheOther) {
  Add(OpKind::kGet, 1, 2, OpResult::kAbsent);
  Add(OpKind::kCreate, 3, 4, OpResult::kOk, 7);
  Add(OpKind::kCreate, 5, 6, OpResult::kPresent);
  Add(OpKind::kGrow, 7, 8, OpResult::kOk, 7, 4);
  Add(OpKind::kOpen, 9, 10, OpResult::kOk, 7, 4);
  Add(OpKind::kDelete, 11, 12, OpResult::kOk);
  Add(OpKind::kGet, 13, 14, OpResult::kAbsent);
  EXPECT_TRUE(IsFine());
}

TEST_F(LinearizabilityTest, WhatWasAcknowledgedIsThere) {
  Add(OpKind::kCreate, 1, 2, OpResult::kOk, 7);
  Add(OpKind::kGet, 3, 4, OpResult::kAbsent);
  EXPECT_FALSE(IsFine());
}

TEST_F(LinearizabilityTest, WhatOverlapsMayBeEitherWay) {
  Add(OpKind::kCreate, 1, 4, OpResult::kOk, 7);
  Add(OpKind::kGet, 2, 3, OpResult::kAbsent);
  EXPECT_TRUE(IsFine());
}

TEST_F(LinearizabilityTest, NothingComesBackByItself) {
  Add(OpKind::kCreate, 1, 2, OpResult::kOk, 7);
  Add(OpKind::kDelete, 3, 4, OpResult::kOk);
  Add(OpKind::kGet, 5, 6, OpResult::kOk, 8);
  EXPECT_FALSE(IsFine());
}

TEST_F(LinearizabilityTest, AnUnansweredCreateMayHappenLaterOrNever) {
  Add(OpKind::kCreate, 1, 2, OpResult::kUnknown);
  Add(OpKind::kGet, 3, 4, OpResult::kAbsent);
  EXPECT_TRUE(IsFine());
  Add(OpKind::kGet, 5, 6, OpResult::kOk, 7);
  EXPECT_TRUE(IsFine());
  Add(OpKind::kGet, 7, 8, OpResult::kOk, 8);
  EXPECT_FALSE(IsFine());
}

TEST_F(LinearizabilityTest, AGrowthIsNotForgotten) {
  Add(OpKind::kCreate, 1, 2, OpResult::kOk, 7);
  Add(OpKind::kGrow, 3, 4, OpResult::kOk, 7, 6);
  Add(OpKind::kGet, 5, 6, OpResult::kOk, 7, 2);
  EXPECT_FALSE(IsFine());
}

TEST_F(LinearizabilityTest, WhatIsTakenBackMayLinger) {
  Add(OpKind::kCreate, 1, 2, OpResult::kOk, 7);
  Add(OpKind::kDelete, 3, 4, OpResult::kOk).force = true;
  Add(OpKind::kGet, 5, 6, OpResult::kOk, 7);
  Add(OpKind::kGet, 7, 8, OpResult::kAbsent);
  EXPECT_TRUE(IsFine());
  Add(OpKind::kGet, 9, 10, OpResult::kOk, 7);
  EXPECT_FALSE(IsFine());
}

TEST_F(LinearizabilityTest, ASearchThatIsGivenUpIsCounted) {
  for (uint64_t i = 0; i < 6; ++i) Add(OpKind::kCreate, 1 + i, ~uint64_t{0}, OpResult::kUnknown);
  for (uint64_t i = 0; i < 6; ++i) Add(OpKind::kDelete, 7 + i, ~uint64_t{0}, OpResult::kUnknown);
  Add(OpKind::kGet, 20, 21, OpResult::kOk, 7, 4);
  const Judgement short_search = Judge(ops_, /*most_tried=*/3);
  EXPECT_EQ(short_search.contradiction, "");
  EXPECT_EQ(short_search.searches, 1u);
  EXPECT_EQ(short_search.given_up, 1u);
  const Judgement whole = Judge(ops_);
  EXPECT_NE(whole.contradiction, "");
  EXPECT_EQ(whole.given_up, 0u);
}

TEST_F(LinearizabilityTest, ARefusedRequestMayHaveALateCopy) {
  Add(OpKind::kCreate, 1, 2, OpResult::kRefused).may_be_late = true;
  Add(OpKind::kGet, 3, 4, OpResult::kOk, 7);
  EXPECT_TRUE(IsFine());
  ops_[0].may_be_late = false;
  EXPECT_FALSE(IsFine());
}

}  // namespace
}  // namespace weft::sim
