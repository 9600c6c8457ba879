#include "server/platform/linux/kmod_errors.h"

#include <errno.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"

namespace weft {

absl::Status KmodError(int error, std::string_view call, std::string_view object) {
  const auto failed_precondition = [&](v1::Reason reason, std::string_view why) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, reason,
        absl::StrCat(std::string(call), " ", std::string(object), ": ", std::string(why)));
  };
  switch (error) {
    case ESTALE:
      return failed_precondition(v1::STALE_TOKEN, "it is revoked, or a later token was seen");
    case ETIME:
      return failed_precondition(v1::SESSION_EXPIRED,
                                 "the lease ran out: the dead-man took everything back");
    case EBUSY:
      return failed_precondition(v1::BUSY_PINNED,
                                 "in use: pages are pinned, or its bytes are another's");
    case EMEDIUMTYPE:
      return failed_precondition(v1::NOT_SUPPORTED, "it is bound to another driver");
    case ENOENT:
      return absl::NotFoundError(absl::StrCat(std::string(call), " ", std::string(object),
                                              ": the module does not have it"));
    case ENOSPC:
      return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                       absl::StrCat(std::string(call), " ", std::string(object),
                                    ": a limit of the module is reached"));
    default:
      return ErrnoError(error, call, object);
  }
}

}  // namespace weft
