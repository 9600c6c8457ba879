#include "server/platform/linux/emulated_poison.h"

#include <unistd.h>

#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"

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
  std::string lines;
  for (const ByteRange& range : Difference(*bad, {cleared})) {
    absl::StrAppend(&lines, range.offset.value(), " ", range.length.value(), "\n");
  }
  const int error = SwapFile(BadPath(device_path), temporary, lines);
  return error == 0 ? absl::OkStatus() : ErrnoError(error, "write", BadPath(device_path));
}

}  // namespace weft
