#include "server/core/errors.h"

#include <string>

#include "gtest/gtest.h"

namespace weft {
namespace {

absl::Status PoolFull() {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::POOL_FULL, "pools/a: 2 MiB free");
}

TEST(ErrorsTest, CarryCodeReasonAndMessage) {
  const absl::Status status = PoolFull();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(std::string(status.message()), "pools/a: 2 MiB free");
  EXPECT_EQ(ReasonOf(status), v1::POOL_FULL);
}

TEST(ErrorsTest, ReasonSurvivesACopy) {
  absl::Status copy;
  {
    const absl::Status original = PoolFull();
    copy = original;
  }
  EXPECT_EQ(ReasonOf(copy), v1::POOL_FULL);
}

TEST(ErrorsTest, OthersHaveNoReason) {
  EXPECT_EQ(ReasonOf(absl::OkStatus()), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(ReasonOf(absl::InternalError("broken")), v1::REASON_UNSPECIFIED);
}

TEST(ErrorsTest, AReasonOfANewerPeerIsUnspecified) {
  absl::Status status = PoolFull();
  status.SetPayload("weft.v1.Reason", absl::Cord("REASON_OF_TOMORROW"));
  EXPECT_EQ(ReasonOf(status), v1::REASON_UNSPECIFIED);
}

TEST(AnnotateTest, PutsContextBeforeTheMessageAndKeepsTheRest) {
  const absl::Status status = Annotate(PoolFull(), "segment create");
  EXPECT_EQ(std::string(status.message()), "segment create: pools/a: 2 MiB free");
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), v1::POOL_FULL);
}

TEST(AnnotateTest, LeavesOkAlone) {
  EXPECT_TRUE(Annotate(absl::OkStatus(), "segment create").ok());
}

}  // namespace
}  // namespace weft
