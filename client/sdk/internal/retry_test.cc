#include "client/sdk/internal/retry.h"

#include <set>
#include <string>

#include "client/sdk/internal/random.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::sdk {
namespace {

constexpr BackoffOptions kOptions = {
    .initial = absl::Milliseconds(10), .max = absl::Milliseconds(50), .multiplier = 2};

absl::Status Unreachable() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "weftd is away");
}

RetryPolicy WithoutJitter() {
  return RetryPolicy(kOptions, [] { return 0.0; });
}

TEST(BackoffTest, GrowsToItsMaximum) {
  Backoff backoff(kOptions, [] { return 0.0; });
  for (const int ms : {10, 20, 40, 50, 50}) EXPECT_EQ(backoff.Next(), absl::Milliseconds(ms));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(10));
}

TEST(BackoffTest, JitterTakesUpToHalf) {
  Backoff backoff(kOptions, [] { return 0.5; });
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(7.5));
  EXPECT_EQ(backoff.Next(), absl::Milliseconds(15));
}

TEST(RetryPolicyTest, RetriesWhatMayPass) {
  EXPECT_EQ(WithoutJitter().NextPause(Unreachable(), absl::Seconds(1)), absl::Milliseconds(10));
  EXPECT_EQ(
      WithoutJitter().NextPause(MakeError(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN, ""),
                                absl::Seconds(1)),
      absl::Milliseconds(10));
  EXPECT_EQ(
      WithoutJitter().NextPause(MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED, ""),
                                absl::Seconds(1)),
      absl::Milliseconds(10));
}

TEST(RetryPolicyTest, GivesUpOnEverythingElse) {
  for (const absl::Status& error : {
           MakeError(absl::StatusCode::kResourceExhausted, v1::POOL_FULL, ""),
           MakeError(absl::StatusCode::kFailedPrecondition, v1::HELD, ""),
           MakeError(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_REUSED, ""),
           absl::DeadlineExceededError(""),
           absl::InternalError(""),
       }) {
    EXPECT_EQ(WithoutJitter().NextPause(error, absl::Seconds(1)), std::nullopt) << error;
  }
}

TEST(RetryPolicyTest, WaitsAsLongAsTheServerAsks) {
  const absl::Status overloaded = FromGrpcStatus(
      ToGrpcStatus(MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED, "")));
  const std::optional<absl::Duration> asked = RetryDelayOf(overloaded);
  ASSERT_TRUE(asked.has_value());
  ASSERT_GT(*asked, absl::Milliseconds(10));
  EXPECT_EQ(WithoutJitter().NextPause(overloaded, absl::Seconds(1)), asked);
}

TEST(RetryPolicyTest, GivesUpWhenTheNextAttemptWouldBeTooLate) {
  RetryPolicy policy = WithoutJitter();
  EXPECT_EQ(policy.NextPause(Unreachable(), absl::Milliseconds(11)), absl::Milliseconds(10));
  EXPECT_EQ(policy.NextPause(Unreachable(), absl::Milliseconds(20)), std::nullopt);
}

TEST(RandomTest, RequestIdsAre128BitsAndDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(NewRequestId());
  EXPECT_EQ(ids.size(), 1000);
  EXPECT_EQ(ids.begin()->size(), 32);
}

TEST(RandomTest, FractionsFillTheUnitInterval) {
  double least = 1;
  double most = 0;
  for (int i = 0; i < 1000; ++i) {
    const double fraction = RandomFraction();
    ASSERT_GE(fraction, 0);
    ASSERT_LT(fraction, 1);
    least = std::min(least, fraction);
    most = std::max(most, fraction);
  }
  EXPECT_LT(least, 0.1);
  EXPECT_GT(most, 0.9);
}

}  // namespace
}  // namespace weft::sdk
