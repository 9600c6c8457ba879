// A lock on a file that keeps a second process away from what belongs to the first.

#ifndef WEFT_SERVER_PLATFORM_LINUX_FILE_LOCK_H_
#define WEFT_SERVER_PLATFORM_LINUX_FILE_LOCK_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/platform/unique_fd.h"

namespace weft {

// Held from Acquire until destruction or the end of the process, however it ends.
// Advisory (flock): it binds only those who ask for it. Not inherited over exec.
// Thread-safe.
class FileLock {
 public:
  // Locks the file at `path`, which is created if absent (mode 0600) and never
  // deleted, and writes this process's id into it. Does not wait.
  // FAILED_PRECONDITION: someone holds it; the message names the file and, if known,
  // the process. Other codes: an errno of open, flock or write.
  static absl::StatusOr<std::unique_ptr<FileLock>> Acquire(const std::string& path);

  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // OK while the path still leads to the locked file. FAILED_PRECONDITION when it was
  // deleted or replaced: another process could then hold a lock of the same name.
  absl::Status CheckHeld() const;

 private:
  FileLock(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  const std::string path_;
  const UniqueFd fd_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_FILE_LOCK_H_
