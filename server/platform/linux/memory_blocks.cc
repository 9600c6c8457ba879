#include "server/platform/linux/memory_blocks.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::string ReadWord(const fs::path& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

bool Overlaps(const std::vector<PhysicalRange>& ranges, uint64_t begin, uint64_t last) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PhysicalRange& range) {
    return begin <= range.last && range.begin <= last;
  });
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FindOnlineBlocks(
    const std::string& sys, const std::vector<PhysicalRange>& ranges) {
  const fs::path memory = fs::path(sys) / "devices/system/memory";
  uint64_t block_bytes = 0;
  const std::string size = ReadWord(memory / "block_size_bytes");
  if (!absl::SimpleHexAtoi(size, &block_bytes) || block_bytes == 0) {
    // A kernel without memory hotplug: none of it is memory.
    return std::vector<std::string>();
  }
  std::vector<std::string> online;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(memory, error)) {
    const std::string name = entry.path().filename();
    uint64_t number = 0;
    if (!name.starts_with("memory") || !absl::SimpleAtoi(name.substr(6), &number)) continue;
    const uint64_t begin = number * block_bytes;
    if (!Overlaps(ranges, begin, begin + block_bytes - 1)) continue;
    if (ReadWord(entry.path() / "state") != "offline") online.push_back(entry.path());
  }
  if (error) return ErrnoError(error.value(), "readdir", memory.string());
  std::sort(online.begin(), online.end());
  return online;
}

absl::Status TakeOffline(const std::string& block) {
  const std::string path = block + "/state";
  const UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "open", path);
  constexpr char kOffline[] = "offline";
  if (write(fd.get(), kOffline, sizeof(kOffline) - 1) == sizeof(kOffline) - 1) {
    return absl::OkStatus();
  }
  if (errno != EBUSY) return ErrnoError(errno, "write", path);
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                   absl::StrCat(fs::path(block).filename().string(),
                                " holds pages that cannot be moved: restart this host with "
                                "memhp_default_state=offline on the kernel's command line, and "
                                "claim the device then"));
}

}  // namespace weft
