// Errors that say which: an absl::Status with a weft.v1.Reason inside.

#ifndef WEFT_SERVER_CORE_ERRORS_H_
#define WEFT_SERVER_CORE_ERRORS_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/weft/v1/errors.pb.h"

namespace weft {

// An error of `code` that carries `reason` in a payload, which survives
// absl::Status copies and which server/rpc turns into google.rpc.ErrorInfo.
// `message` names the object and the way out. REQUIRES: code is not OK.
absl::Status MakeError(absl::StatusCode code, v1::Reason reason, std::string_view message);

// The reason inside `status`; REASON_UNSPECIFIED if it carries none.
v1::Reason ReasonOf(const absl::Status& status);

// UNAVAILABLE NOT_LEADER: the coordinator at `leader` has to be asked instead; empty: not
// known which.
absl::Status NotLeader(std::string_view leader);

// The address inside such an error; empty: there is none.
std::string LeaderOf(const absl::Status& status);

// `error`, and that another attempt is worth it after `delay`, which server/rpc turns into
// google.rpc.RetryInfo.
absl::Status WithRetryDelay(absl::Status error, absl::Duration delay);

// The delay inside such an error; absent: it does not say.
std::optional<absl::Duration> RetryDelayOf(const absl::Status& error);

// `status` with `context` and ": " before its message; code and payloads stay.
// An OK status stays as it is.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_ERRORS_H_
