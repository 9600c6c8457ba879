#include "server/core/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace weft {
namespace {

constexpr char kReasonUrl[] = "weft.v1.Reason";
constexpr char kLeaderUrl[] = "weft.v1.Leader";
constexpr char kRetryDelayUrl[] = "weft.v1.RetryDelay";

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status MakeError(absl::StatusCode code, v1::Reason reason, std::string_view message) {
  absl::Status status(code, ToAbsl(message));
  status.SetPayload(kReasonUrl, absl::Cord(v1::Reason_Name(reason)));
  return status;
}

v1::Reason ReasonOf(const absl::Status& status) {
  v1::Reason reason = v1::REASON_UNSPECIFIED;
  if (const auto payload = status.GetPayload(kReasonUrl)) {
    v1::Reason_Parse(std::string(*payload), &reason);
  }
  return reason;
}

absl::Status NotLeader(std::string_view leader) {
  absl::Status status = MakeError(
      absl::StatusCode::kUnavailable, v1::NOT_LEADER,
      leader.empty() ? "this coordinator does not lead; who does is being decided"
                     : absl::StrCat("this coordinator does not lead; ", ToAbsl(leader), " does"));
  if (!leader.empty()) status.SetPayload(kLeaderUrl, absl::Cord(ToAbsl(leader)));
  return status;
}

std::string LeaderOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kLeaderUrl);
  return payload ? std::string(*payload) : "";
}

absl::Status WithRetryDelay(absl::Status error, absl::Duration delay) {
  error.SetPayload(kRetryDelayUrl, absl::Cord(absl::FormatDuration(delay)));
  return error;
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& error) {
  const auto payload = error.GetPayload(kRetryDelayUrl);
  absl::Duration delay;
  if (!payload || !absl::ParseDuration(std::string(*payload), &delay)) return std::nullopt;
  return delay;
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(ToAbsl(context), ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

}  // namespace weft
