#include "server/platform/linux/record_files.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/platform/linux/errno_status.h"

namespace weft {

namespace fs = std::filesystem;

absl::StatusOr<std::unique_ptr<RecordDir>> RecordFiles::Open(const std::string& directory) {
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError(errno, "mkdir", directory);
  }
  return std::unique_ptr<RecordDir>(new RecordFiles(directory));
}

absl::StatusOr<std::map<std::string, std::string>> RecordFiles::ReadAll() {
  std::map<std::string, std::string> records;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename();
    if (name.front() == '.') continue;  // half of a Write
    std::ifstream file(it->path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << file.rdbuf();
    if (!file) return ErrnoError(EIO, "read", it->path().string());
    records[name] = bytes.str();
  }
  if (error) return ErrnoError(error.value(), "readdir", directory_);
  return records;
}

absl::Status RecordFiles::Write(const std::string& name, const std::string& bytes) {
  const std::string path = absl::StrCat(directory_, "/", name);
  const std::string temporary = absl::StrCat(directory_, "/.", name);
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << bytes;
  file.close();
  if (!file) return ErrnoError(errno != 0 ? errno : ENOSPC, "write", temporary);
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoError(errno, "rename", path);
  return absl::OkStatus();
}

absl::Status RecordFiles::Remove(const std::string& name) {
  const std::string path = absl::StrCat(directory_, "/", name);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoError(errno, "unlink", path);
  return absl::OkStatus();
}

}  // namespace weft
