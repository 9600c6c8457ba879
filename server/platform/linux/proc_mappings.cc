#include "server/platform/linux/proc_mappings.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/platform/linux/errno_status.h"

namespace weft {
namespace {

// The files in question: as the kernel numbers them, and by their names. Some file systems
// (btrfs, overlayfs) show other device numbers in maps than stat(2) gives.
struct Files {
  std::map<std::pair<dev_t, ino_t>, std::string> by_number;
  std::map<std::string, std::string> by_name;
};

absl::StatusOr<Files> Identify(const std::vector<std::string>& paths) {
  Files files;
  for (const std::string& path : paths) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) return ErrnoError(errno, "stat", path);
    files.by_number[{st.st_dev, st.st_ino}] = path;
    std::error_code error;
    const std::string name = std::filesystem::canonical(path, error);
    if (error) return ErrnoError(error.value(), "realpath", path);
    files.by_name[name] = path;
  }
  return files;
}

// One line of /proc/<pid>/maps: begin-end perms offset major:minor inode path.
void ParseLine(const std::string& line, const Files& files, int pid,
               std::vector<FileMapping>& mappings) {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t offset = 0;
  uint64_t inode = 0;
  unsigned major_number = 0;
  unsigned minor_number = 0;
  int name_at = 0;
  if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %x:%x %" SCNu64 " %n",
                  &begin, &end, &offset, &major_number, &minor_number, &inode, &name_at) != 6) {
    return;
  }
  const auto numbered = files.by_number.find({makedev(major_number, minor_number), inode});
  const auto named = files.by_name.find(line.substr(static_cast<size_t>(name_at)));
  const std::string* path = nullptr;
  if (numbered != files.by_number.end()) path = &numbered->second;
  if (named != files.by_name.end()) path = &named->second;
  if (path == nullptr) return;
  mappings.push_back({*path, ByteOffset(offset), ByteCount(end - begin), pid});
}

absl::Status ScanProcess(int pid, const Files& files, Unreadable unreadable,
                         std::vector<FileMapping>& mappings) {
  const std::string path = absl::StrCat("/proc/", pid, "/maps");
  std::ifstream maps(path);
  const int error = errno;
  if (!maps) {
    // It has ended, and its mappings with it.
    if (error == ENOENT || error == ESRCH) return absl::OkStatus();
    if (unreadable == Unreadable::kIgnored && (error == EACCES || error == EPERM)) {
      return absl::OkStatus();
    }
    return ErrnoError(error, "open", path);
  }
  std::string line;
  while (std::getline(maps, line)) ParseLine(line, files, pid, mappings);
  return absl::OkStatus();
}

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

}  // namespace

absl::StatusOr<std::vector<FileMapping>> ProcMappings::Scan(const std::vector<std::string>& paths) {
  const absl::StatusOr<Files> files = Identify(paths);
  if (!files.ok()) return files.status();
  const std::unique_ptr<DIR, CloseDir> proc(opendir("/proc"));
  if (proc == nullptr) return ErrnoError(errno, "opendir", "/proc");
  std::vector<FileMapping> mappings;
  while (const dirent* entry = readdir(proc.get())) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid) || pid == getpid()) continue;
    if (absl::Status s = ScanProcess(pid, *files, unreadable_, mappings); !s.ok()) return s;
  }
  return mappings;
}

}  // namespace weft
