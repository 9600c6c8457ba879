#include "server/platform/linux/dax_ranges.h"

#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/file_io.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

bool ReadAddress(const fs::path& path, uint64_t* address) {
  const std::string text = ReadWord(path);
  return absl::SimpleHexAtoi(text, address);
}

}  // namespace

absl::StatusOr<std::vector<PhysicalRange>> ReadDaxRanges(const std::string& device) {
  const fs::path directory(device);
  std::vector<PhysicalRange> ranges;
  // One of several ranges has mapping0, mapping1, ...
  for (int i = 0;; ++i) {
    const fs::path mapping = directory / absl::StrCat("mapping", i);
    PhysicalRange range;
    if (!ReadAddress(mapping / "start", &range.begin) ||
        !ReadAddress(mapping / "end", &range.last)) {
      break;
    }
    ranges.push_back(range);
  }
  if (!ranges.empty()) return ranges;
  PhysicalRange whole;
  uint64_t size = 0;
  const bool has_size = absl::SimpleAtoi(ReadWord(directory / "size"), &size) && size > 0;
  if (ReadAddress(directory / "resource", &whole.begin) && has_size) {
    whole.last = whole.begin + size - 1;
    return std::vector<PhysicalRange>{whole};
  }
  return MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_ALLOWED,
                   absl::StrCat("cannot read where ", directory.filename().string(),
                                " is in memory: run this as root"));
}

}  // namespace weft
