#include "server/platform/linux/emulated_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/unique_fd.h"

namespace weft {

absl::Status CreateEmulatedFile(const EmulatedSpec& spec) {
  if (access(spec.path.c_str(), F_OK) == 0) return absl::OkStatus();
  if (errno != ENOENT) return ErrnoError(errno, "access", spec.path);

  std::string temporary = absl::StrCat(spec.path, ".XXXXXX");
  // mkostemp gives mode 0600: only who runs the daemons gets at the bytes by path.
  const UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "create", spec.path);
  const auto remove = absl::MakeCleanup([&] { unlink(temporary.c_str()); });
  if (ftruncate(fd.get(), static_cast<off_t>(spec.size.value())) != 0) {
    return ErrnoError(errno, "ftruncate", spec.path);
  }
  if (link(temporary.c_str(), spec.path.c_str()) != 0 && errno != EEXIST) {
    return ErrnoError(errno, "link", spec.path);
  }
  return absl::OkStatus();
}

absl::Status CheckEmulatedFile(int fd, const std::string& path, ByteCount size) {
  struct stat st;
  if (fstat(fd, &st) != 0) return ErrnoError(errno, "fstat", path);
  if (!S_ISREG(st.st_mode)) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISMATCH,
                     absl::StrCat(path, " is not a regular file: an emulated device must be one"));
  }
  const ByteCount actual(static_cast<uint64_t>(st.st_size));
  if (actual < size) {
    return MakeError(
        absl::StatusCode::kDataLoss, v1::BACKING_FILE_DAMAGED,
        absl::StrCat(path, " has ", actual.value(), " bytes, but the device has ", size.value(),
                     ": it was truncated. Restore it, or remove it to begin anew"));
  }
  if (actual > size) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISMATCH,
                     absl::StrCat(path, " has ", actual.value(), " bytes, more than the ",
                                  size.value(), " that the device is said to have: correct size="));
  }
  return absl::OkStatus();
}

}  // namespace weft
