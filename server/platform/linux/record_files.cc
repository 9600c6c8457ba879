#include "server/platform/linux/record_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"

namespace weft {

namespace fs = std::filesystem;

namespace {

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return DiskError(errno, "open", path);
  std::string bytes;
  char piece[4096];
  do {
    file.read(piece, sizeof(piece));
    bytes.append(piece, static_cast<size_t>(file.gcount()));
  } while (file);
  if (file.bad()) return DiskError(EIO, "read", path);
  return bytes;
}

}  // namespace

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
    absl::StatusOr<std::string> bytes = ReadWhole(it->path());
    if (!bytes.ok()) return bytes.status();
    records[name] = *std::move(bytes);
  }
  if (error) return DiskError(error.value(), "readdir", directory_);
  return records;
}

absl::Status RecordFiles::Write(const std::string& name, const std::string& bytes) {
  const std::string path = absl::StrCat(directory_, "/", name);
  if (const absl::StatusOr<std::string> old = ReadWhole(path); old.ok() && *old == bytes) {
    return absl::OkStatus();
  }
  const int error = SwapFile(path, absl::StrCat(directory_, "/.", name), bytes);
  return error == 0 ? absl::OkStatus() : DiskError(error, "write", path);
}

absl::Status RecordFiles::Remove(const std::string& name) {
  const std::string path = absl::StrCat(directory_, "/", name);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return DiskError(errno, "unlink", path);
  return absl::OkStatus();
}

}  // namespace weft
