#include "server/platform/linux/errno_status.h"

#include <errno.h>

#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {

absl::Status ErrnoError(int error, std::string_view call, std::string_view object) {
  const std::string message = absl::StrCat(std::string(call), " ", std::string(object), ": ",
                                           std::generic_category().message(error));
  switch (error) {
    case EIO:
    case EHWPOISON:
      return MakeError(absl::StatusCode::kDataLoss, v1::POISONED, message);
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING, message);
    case EACCES:
    case EPERM:
      return MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_ALLOWED, message);
    default:
      return absl::ErrnoToStatus(error, absl::string_view(message.data(), message.size()));
  }
}

absl::Status DiskError(int error, std::string_view call, std::string_view path) {
  return absl::ErrnoToStatus(error, absl::StrCat(std::string(call), " ", std::string(path)));
}

}  // namespace weft
