// Why a call failed, for programs.

#ifndef WEFT_CLIENT_SDK_ERRORS_H_
#define WEFT_CLIENT_SDK_ERRORS_H_

#include <string>

#include "absl/status/status.h"

namespace weft::sdk {

// The stable name of the cause, as in proto/weft/v1/errors.proto: "POOL_FULL",
// "FRAGMENTED", "SEGMENT_NOT_FOUND", "NOT_COHERENT", "STALE_GENERATION"... Empty: the
// error has none. The message of `status` is for people, and may change.
//
// Whether to try again: the SDK has already done so, until the call's deadline, wherever
// it could help. After UNAVAILABLE (weftd or the coordinator could not be reached) or
// DEADLINE_EXCEEDED an application may call again later; a mutation that ended with
// either, or with the reason OUTCOME_UNKNOWN, may have been done.
std::string ReasonName(const absl::Status& status);

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_ERRORS_H_
