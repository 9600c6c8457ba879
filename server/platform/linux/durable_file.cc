#include "server/platform/linux/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::Status SyncDirectory(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return DiskError(errno, "open", path);
  return fsync(fd.get()) == 0 ? absl::OkStatus() : DiskError(errno, "fsync", path);
}

absl::Status WriteNewFile(const std::string& path, std::string_view bytes) {
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return DiskError(errno, "open", path);
  if (const int error = WriteFully(fd.get(), bytes.data(), bytes.size(), 0); error != 0) {
    return DiskError(error, "write", path);
  }
  return fsync(fd.get()) == 0 ? absl::OkStatus() : DiskError(errno, "fsync", path);
}

}  // namespace

absl::Status EnsureFileExists(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd.valid()) return DiskError(errno, "open", path);
  // Also for a file that was there: its creator may have died before doing this.
  return SyncDirectory(DirectoryOf(path));
}

absl::Status ReplaceFile(const std::string& path, std::string_view bytes) {
  const std::string temporary = absl::StrCat(path, ".", getpid());
  absl::Status status = WriteNewFile(temporary, bytes);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = DiskError(errno, "rename", path);
  }
  if (status.ok()) return SyncDirectory(DirectoryOf(path));
  unlink(temporary.c_str());
  return status;
}

}  // namespace weft
