#include "server/platform/linux/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"

namespace weft {
namespace {

// " by process 123", or nothing if the file does not say.
std::string Holder(int fd) {
  char text[16];
  const ssize_t length = pread(fd, text, sizeof(text), 0);
  int pid = 0;
  if (length <= 0 || !absl::SimpleAtoi(absl::string_view(text, length), &pid)) return "";
  return absl::StrCat(" by process ", pid);
}

absl::Status WriteOwnPid(int fd, const std::string& path) {
  const std::string text = absl::StrCat(getpid(), "\n");
  if (ftruncate(fd, 0) != 0) return DiskError(errno, "ftruncate", path);
  const int error = WriteFully(fd, text.data(), text.size(), 0);
  return error == 0 ? absl::OkStatus() : DiskError(error, "write", path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileLock>> FileLock::Acquire(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd.valid()) return DiskError(errno, "open", path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return DiskError(errno, "flock", path);
    return absl::FailedPreconditionError(absl::StrCat(path, " is locked", Holder(fd.get())));
  }
  std::unique_ptr<FileLock> lock(new FileLock(path, std::move(fd)));
  if (absl::Status status = lock->CheckHeld(); !status.ok()) return status;
  if (absl::Status status = WriteOwnPid(lock->fd_.get(), path); !status.ok()) return status;
  return lock;
}

absl::Status FileLock::CheckHeld() const {
  struct stat locked;
  struct stat named = {};
  if (fstat(fd_.get(), &locked) != 0) return DiskError(errno, "fstat", path_);
  if (stat(path_.c_str(), &named) != 0 && errno != ENOENT) return DiskError(errno, "stat", path_);
  if (locked.st_nlink == 0 || locked.st_dev != named.st_dev || locked.st_ino != named.st_ino) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " was deleted or replaced: the lock on it means nothing now"));
  }
  return absl::OkStatus();
}

}  // namespace weft
