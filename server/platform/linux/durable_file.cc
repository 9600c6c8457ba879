#include "server/platform/linux/durable_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
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

}  // namespace

absl::Status EnsureFileExists(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd.valid()) return Errno("open", path);
  // Also for a file that was there: its creator may have died before doing this.
  return SyncDirectory(DirectoryOf(path));
}

}  // namespace weft
