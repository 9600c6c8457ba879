#include "server/rpc/status.h"

#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr char kDomain[] = "weft";
constexpr char kLeaderKey[] = "leader";

// A queue of the coordinator drains in a fraction of the first; an election or a reload
// takes longer.
constexpr absl::Duration kOverloadedDelay = absl::Milliseconds(50);
constexpr absl::Duration kUnavailableDelay = absl::Milliseconds(200);

absl::string_view ToAbsl(const std::string& text) { return {text.data(), text.size()}; }

std::optional<absl::Duration> DelayFor(const absl::Status& status) {
  if (const auto delay = RetryDelayOf(status)) return delay;
  if (ReasonOf(status) == v1::OVERLOADED) return kOverloadedDelay;
  if (!LeaderOf(status).empty()) return std::nullopt;
  if (absl::IsUnavailable(status)) return kUnavailableDelay;
  return std::nullopt;
}

google::rpc::RetryInfo ToRetryInfo(absl::Duration delay) {
  google::rpc::RetryInfo info;
  const int64_t seconds = absl::IDivDuration(delay, absl::Seconds(1), &delay);
  info.mutable_retry_delay()->set_seconds(seconds);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(delay)));
  return info;
}

grpc::StatusCode ToGrpcCode(absl::StatusCode code) {
  if (code == absl::StatusCode::kUnknown) return grpc::StatusCode::INTERNAL;
  return static_cast<grpc::StatusCode>(code);
}

// The parts of a google.rpc.Status that Weft knows.
struct Details {
  v1::Reason reason = v1::REASON_UNSPECIFIED;
  std::string leader;
  std::optional<google::rpc::RetryInfo> retry;
};

Details ParseDetails(const std::string& bytes) {
  Details details;
  google::rpc::Status status;
  if (!status.ParseFromString(bytes)) return details;
  for (const google::protobuf::Any& any : status.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&info) && info.domain() == kDomain) {
      v1::Reason_Parse(info.reason(), &details.reason);
      const auto leader = info.metadata().find(kLeaderKey);
      if (leader != info.metadata().end()) details.leader = leader->second;
    } else if (any.UnpackTo(&retry)) {
      details.retry = retry;
    }
  }
  return details;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const grpc::StatusCode code = ToGrpcCode(status.code());
  google::rpc::Status details;
  details.set_code(code);
  details.set_message(std::string(status.message()));
  google::rpc::ErrorInfo info;
  info.set_domain(kDomain);
  info.set_reason(v1::Reason_Name(ReasonOf(status)));
  if (const std::string leader = LeaderOf(status); !leader.empty()) {
    (*info.mutable_metadata())[kLeaderKey] = leader;
  }
  details.add_details()->PackFrom(info);
  if (const std::optional<absl::Duration> delay = DelayFor(status)) {
    details.add_details()->PackFrom(ToRetryInfo(*delay));
  }
  return grpc::Status(code, details.message(), details.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  Details details = ParseDetails(status.error_details());
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  if (code == absl::StatusCode::kUnavailable && status.error_details().empty()) {
    details.reason = v1::UNREACHABLE;
  }
  absl::Status result = absl::Status(code, ToAbsl(status.error_message()));
  if (details.reason == v1::NOT_LEADER && !details.leader.empty()) {
    result = NotLeader(details.leader);
  } else if (details.reason != v1::REASON_UNSPECIFIED) {
    result = MakeError(code, details.reason, status.error_message());
  }
  if (details.retry) {
    result = WithRetryDelay(result, absl::Seconds(details.retry->retry_delay().seconds()) +
                                        absl::Nanoseconds(details.retry->retry_delay().nanos()));
  }
  return result;
}

std::string ResultName(const absl::Status& status) {
  if (const v1::Reason reason = ReasonOf(status); reason != v1::REASON_UNSPECIFIED) {
    return v1::Reason_Name(reason);
  }
  return absl::StatusCodeToString(status.code());
}

}  // namespace weft
