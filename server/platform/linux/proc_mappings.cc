#include "server/platform/linux/proc_mappings.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/platform/linux/errno_status.h"

namespace weft {
namespace {

// A file, however it is called.
using FileKey = std::pair<dev_t, ino_t>;
using Files = std::map<FileKey, std::string>;

absl::StatusOr<Files> Identify(const std::vector<std::string>& paths) {
  Files files;
  for (const std::string& path : paths) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) return ErrnoError(errno, "stat", path);
    files[{st.st_dev, st.st_ino}] = path;
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
  if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %*4s %" SCNx64 " %x:%x %" SCNu64, &begin,
                  &end, &offset, &major_number, &minor_number, &inode) != 6) {
    return;
  }
  const auto found = files.find({makedev(major_number, minor_number), inode});
  if (found == files.end()) return;
  mappings.push_back({found->second, ByteOffset(offset), ByteCount(end - begin), pid});
}

absl::Status ScanProcess(int pid, const Files& files, std::vector<FileMapping>& mappings) {
  const std::string path = absl::StrCat("/proc/", pid, "/maps");
  std::ifstream maps(path);
  const int error = errno;
  if (!maps) {
    // It has ended, and its mappings with it.
    if (error == ENOENT || error == ESRCH) return absl::OkStatus();
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
    if (absl::Status s = ScanProcess(pid, *files, mappings); !s.ok()) return s;
  }
  return mappings;
}

}  // namespace weft
