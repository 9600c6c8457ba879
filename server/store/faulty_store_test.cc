#include "server/store/faulty_store.h"

#include <memory>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/store/memory_store.h"
#include "server/store/store_test_util.h"

namespace weft {
namespace {

class FaultyStoreTest : public testing::Test {
 protected:
  std::shared_ptr<MemoryMedium> medium_ = std::make_shared<MemoryMedium>();
  FaultyStore store_{MemoryStore::Open(medium_).value()};
};

TEST_F(FaultyStoreTest, FullChangesNothingAndPasses) {
  store_.FailNextCommit(CommitFault::kFull);
  const absl::Status status = store_.Commit(Put("a", "1")).status();
  EXPECT_EQ(ReasonOf(status), v1::STORE_FULL);
  EXPECT_EQ(OutcomeOf(status), Outcome::kNotCommitted);
  EXPECT_EQ(ValueOf(store_, "a"), "(none)");
  WEFT_EXPECT_OK(store_.Commit(Put("a", "1")));
}

TEST_F(FaultyStoreTest, UnknownOutcomeIsEitherAndDemandsRecovery) {
  for (const CommitFault fault : {CommitFault::kUnknownLost, CommitFault::kUnknownCommitted}) {
    WEFT_ASSERT_OK(store_.Commit(Put("a", "old")));
    store_.FailNextCommit(fault);
    const absl::Status status = store_.Commit(Put("a", "new")).status();
    EXPECT_EQ(ReasonOf(status), v1::OUTCOME_UNKNOWN);
    EXPECT_EQ(OutcomeOf(status), Outcome::kUnknown);
    EXPECT_EQ(ReasonOf(store_.Commit(Put("b", "1")).status()), v1::OUTCOME_UNKNOWN);
    const auto scanned = store_.Scan("", [](const KeyValue&) { return absl::OkStatus(); });
    EXPECT_EQ(ReasonOf(scanned.status()), v1::OUTCOME_UNKNOWN);

    WEFT_ASSERT_OK(store_.Recover());
    EXPECT_EQ(ValueOf(store_, "a"), fault == CommitFault::kUnknownLost ? "old" : "new");
    EXPECT_EQ(ValueOf(store_, "b"), "(none)");
  }
}

TEST_F(FaultyStoreTest, DeposedOwnerCannotDoAnything) {
  WEFT_ASSERT_OK(store_.Commit(Put("a", "1")));
  medium_->Depose();
  const auto successor = MemoryStore::Open(medium_);
  WEFT_ASSERT_OK(successor);
  for (const absl::Status& status :
       {store_.ConfirmLeadership(), store_.Commit(Put("a", "2")).status(), store_.Recover()}) {
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_EQ(ReasonOf(status), v1::STORE_IN_USE);
  }
  EXPECT_EQ(ValueOf(**successor, "a"), "1");
  WEFT_EXPECT_OK((*successor)->ConfirmLeadership());
}

}  // namespace
}  // namespace weft
