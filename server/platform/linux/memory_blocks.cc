#include "server/platform/linux/memory_blocks.h"

#include <errno.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"
#include "server/platform/linux/interrupter.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

bool Within(const std::vector<PhysicalRange>& ranges, uint64_t begin, uint64_t last) {
  return std::any_of(ranges.begin(), ranges.end(), [&](const PhysicalRange& range) {
    return range.begin <= begin && last <= range.last;
  });
}

absl::Status SetState(const std::string& block, std::string_view state) {
  const std::string path = block + "/state";
  const int error = WriteWord(path, state);
  if (error == 0) return absl::OkStatus();
  if (error != EBUSY && error != EINTR) return ErrnoError(error, "write", path);
  const char* const why = error == EBUSY
                              ? "cannot be moved: "
                              : "something has pinned (I/O, or a device's registration): stop it "
                                "and try again, or ";
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                   absl::StrCat(fs::path(block).filename().string(), " holds pages that ", why,
                                kKeepOffline, ", and claim the device then"));
}

// What brings a block that is online now back for the same use.
std::string_view StateToComeBack(const std::string& block) {
  return ReadWord(block + "/valid_zones") == "Movable" ? "online_movable" : "online_kernel";
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
    if (!Within(ranges, begin, begin + block_bytes - 1)) continue;
    if (ReadWord(entry.path() / "state") != "offline") online.push_back(entry.path());
  }
  if (error) return ErrnoError(error.value(), "readdir", memory.string());
  std::sort(online.begin(), online.end());
  return online;
}

std::string OnlineText(size_t blocks) {
  return blocks == 1 ? "1 block is online" : absl::StrCat(blocks, " blocks are online");
}

bool ComesOnline(const std::string& sys) {
  const std::string state = ReadWord(sys + "/devices/system/memory/auto_online_blocks");
  return !state.empty() && state != "offline";
}

absl::Status TakeOffline(const std::vector<std::string>& blocks, absl::Duration patience) {
  std::vector<std::string_view> before;
  absl::Status status;
  for (const std::string& block : blocks) {
    before.push_back(StateToComeBack(block));
    const Interrupter interrupter(patience);
    status = SetState(block, "offline");
    if (!status.ok()) break;
  }
  if (status.ok()) return status;
  // What went wrong first is reported.
  for (size_t i = 0; i + 1 < before.size(); ++i) SetState(blocks[i], before[i]).IgnoreError();
  return status;
}

}  // namespace weft
