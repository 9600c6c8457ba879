#include "server/platform/linux/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

absl::Status Errno(const char* call, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat(call, " ", path));
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncDirectory(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return Errno("open", path);
  return fsync(fd.get()) == 0 ? absl::OkStatus() : Errno("fsync", path);
}

absl::Status WriteNewFile(const std::string& path, std::string_view bytes) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return Errno("open", path);
  while (!bytes.empty()) {
    const ssize_t written = write(fd.get(), bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return Errno("write", path);
    if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
  }
  return fsync(fd.get()) == 0 ? absl::OkStatus() : Errno("fsync", path);
}

}  // namespace

absl::Status EnsureFileExists(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd.valid()) return Errno("open", path);
  // Also for a file that was there: its creator may have died before doing this.
  return SyncDirectory(DirectoryOf(path));
}

absl::Status ReplaceFile(const std::string& path, std::string_view bytes) {
  const std::string temporary = absl::StrCat(path, ".", getpid());
  absl::Status status = WriteNewFile(temporary, bytes);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) status = Errno("rename", path);
  if (status.ok()) return SyncDirectory(DirectoryOf(path));
  unlink(temporary.c_str());
  return status;
}

}  // namespace weft
