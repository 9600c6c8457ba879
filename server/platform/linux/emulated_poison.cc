#include "server/platform/linux/emulated_poison.h"

#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"

namespace weft {
namespace {

std::string BadPath(const std::string& device_path) { return device_path + ".bad"; }

}  // namespace

absl::StatusOr<ByteRanges> ReadEmulatedPoison(const std::string& device_path) {
  ByteRanges ranges;
  std::ifstream file(BadPath(device_path));
  if (!file) return ranges;
  uint64_t offset = 0;
  uint64_t length = 0;
  while (file >> offset >> length) ranges.push_back({ByteOffset(offset), ByteCount(length)});
  if (file.eof()) return Joined(std::move(ranges));
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                   absl::StrCat(BadPath(device_path), ": its lines are to be OFFSET LENGTH"));
}

absl::Status ClearEmulatedPoison(const std::string& device_path, const ByteRange& cleared) {
  const absl::StatusOr<ByteRanges> bad = ReadEmulatedPoison(device_path);
  if (!bad.ok()) return bad.status();
  if (Intersection(*bad, {cleared}).empty()) return absl::OkStatus();
  // Each daemon that shares the device has a file of its own under way.
  const std::string temporary = absl::StrCat(BadPath(device_path), ".", getpid());
  std::ofstream file(temporary, std::ios::trunc);
  for (const ByteRange& range : Difference(*bad, {cleared})) {
    file << range.offset.value() << " " << range.length.value() << "\n";
  }
  file.close();
  if (!file) return ErrnoError(errno != 0 ? errno : EIO, "write", temporary);
  if (rename(temporary.c_str(), BadPath(device_path).c_str()) == 0) return absl::OkStatus();
  return ErrnoError(errno, "rename", temporary);
}

}  // namespace weft
