#include "server/rpc/status.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(StatusTest, OkIsOkInBothDirections) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(StatusTest, ReasonCrossesAsErrorInfo) {
  const grpc::Status sent = ToGrpcStatus(
      MakeError(absl::StatusCode::kResourceExhausted, v1::POOL_FULL, "pool \"p\" is full"));
  EXPECT_EQ(sent.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(sent.error_message(), "pool \"p\" is full");

  const google::rpc::Status details = DetailsOf(sent);
  EXPECT_EQ(details.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(details.message(), "pool \"p\" is full");
  ASSERT_EQ(details.details_size(), 1);  // POOL_FULL is not to be retried: no RetryInfo.
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "POOL_FULL");
  EXPECT_EQ(info.domain(), "weft");
}

TEST(StatusTest, EveryReasonAndCodeComesBack) {
  for (int code = 1; code <= 16; ++code) {
    if (code == static_cast<int>(absl::StatusCode::kUnknown)) continue;
    for (int number = v1::Reason_MIN; number <= v1::Reason_MAX; ++number) {
      if (!v1::Reason_IsValid(number)) continue;
      const auto reason = static_cast<v1::Reason>(number);
      const absl::Status back = FromGrpcStatus(
          ToGrpcStatus(MakeError(static_cast<absl::StatusCode>(code), reason, "text")));
      EXPECT_EQ(static_cast<int>(back.code()), code);
      EXPECT_EQ(ReasonOf(back), reason) << code;
      EXPECT_EQ(back.message(), "text");
    }
  }
}

TEST(StatusTest, TheLeaderComesWithNotLeader) {
  const absl::Status back = FromGrpcStatus(ToGrpcStatus(NotLeader("host-b:9460")));
  EXPECT_TRUE(absl::IsUnavailable(back));
  EXPECT_EQ(ReasonOf(back), v1::NOT_LEADER);
  EXPECT_EQ(LeaderOf(back), "host-b:9460");
  // It can be asked at once; an election takes a while.
  EXPECT_EQ(RetryDelayOf(back), std::nullopt);
  EXPECT_TRUE(RetryDelayOf(FromGrpcStatus(ToGrpcStatus(NotLeader("")))).has_value());
}

TEST(StatusTest, RetryDelayIsSentWhereARetryHelps) {
  const auto delay = [](absl::StatusCode code, v1::Reason reason) {
    return RetryDelayOf(FromGrpcStatus(ToGrpcStatus(MakeError(code, reason, ""))));
  };
  EXPECT_EQ(delay(absl::StatusCode::kResourceExhausted, v1::OVERLOADED), absl::Milliseconds(50));
  EXPECT_EQ(delay(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN), absl::Milliseconds(200));
  EXPECT_EQ(delay(absl::StatusCode::kResourceExhausted, v1::QUOTA), std::nullopt);
  EXPECT_EQ(delay(absl::StatusCode::kFailedPrecondition, v1::HELD), std::nullopt);
}

TEST(StatusTest, ADelayOfItsOwnIsPassedOn) {
  const absl::Status error = WithRetryDelay(
      MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA, ""), absl::Milliseconds(1500));
  const absl::Status once = FromGrpcStatus(ToGrpcStatus(error));
  EXPECT_EQ(RetryDelayOf(once), absl::Milliseconds(1500));
  EXPECT_EQ(RetryDelayOf(FromGrpcStatus(ToGrpcStatus(once))), absl::Milliseconds(1500));
}

TEST(StatusTest, UnknownDoesNotCross) {
  EXPECT_EQ(ToGrpcStatus(absl::UnknownError("x")).error_code(), grpc::StatusCode::INTERNAL);
}

TEST(StatusTest, UnreachablePeer) {
  const absl::Status status =
      FromGrpcStatus(grpc::Status(grpc::StatusCode::UNAVAILABLE, "failed to connect"));
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(ReasonOf(status), v1::UNREACHABLE);
}

TEST(StatusTest, ForeignOrDamagedDetailsAreDropped) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  info.set_domain("example.com");
  info.set_reason("POOL_FULL");
  details.add_details()->PackFrom(info);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(
                grpc::Status(grpc::StatusCode::ABORTED, "text", details.SerializeAsString()))),
            v1::REASON_UNSPECIFIED);
  info.set_domain("weft");
  info.set_reason("A_REASON_OF_TOMORROW");
  details.mutable_details(0)->PackFrom(info);
  EXPECT_EQ(ReasonOf(FromGrpcStatus(
                grpc::Status(grpc::StatusCode::ABORTED, "text", details.SerializeAsString()))),
            v1::REASON_UNSPECIFIED);
  EXPECT_EQ(FromGrpcStatus(grpc::Status(grpc::StatusCode::ABORTED, "text", "\xff\xff")),
            absl::AbortedError("text"));
}

TEST(StatusTest, ResultNames) {
  EXPECT_EQ(ResultName(absl::OkStatus()), "OK");
  EXPECT_EQ(ResultName(absl::InternalError("x")), "INTERNAL");
  EXPECT_EQ(ResultName(MakeError(absl::StatusCode::kNotFound, v1::POOL_NOT_FOUND, "x")),
            "POOL_NOT_FOUND");
}

}  // namespace
}  // namespace weft
