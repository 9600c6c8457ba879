#include "server/core/size_text.h"

#include <charconv>
#include <cstdint>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/core/errors.h"

namespace weft {
namespace {

// The n-th stands for 1024^(n+1).
constexpr std::string_view kSuffixes = "kMGTP";
constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

absl::Status BadSize(std::string_view text, const char* problem) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
      absl::StrCat("size \"", std::string(text), "\" ", problem,
                   ": write a whole number of bytes, or one with k, M, G, T or P, as in 512M"));
}

// The power of 2 that `suffix` stands for; -1 if for none.
int ShiftOf(std::string_view suffix) {
  if (suffix.empty()) return 0;
  if (suffix.size() > 1) return -1;
  for (size_t i = 0; i < kSuffixes.size(); ++i) {
    if ((suffix[0] | 0x20) == (kSuffixes[i] | 0x20)) return 10 * static_cast<int>(i + 1);
  }
  return -1;
}

}  // namespace

absl::StatusOr<ByteCount> ParseSize(std::string_view text) {
  const char* const end = text.data() + text.size();
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::invalid_argument) return BadSize(text, "does not start with a digit");
  const int shift = ShiftOf({stop, static_cast<size_t>(end - stop)});
  if (shift < 0) return BadSize(text, "ends in an unknown unit");
  if (error == std::errc::result_out_of_range || number > (kMaxBytes.value() - 1) >> shift) {
    return BadSize(text, "is 8 EiB or more");
  }
  return ByteCount(number << shift);
}

std::string FormatSize(ByteCount size) {
  const uint64_t bytes = size.value();
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  int unit = 0;
  int shift = 10;
  while (shift < 60 && bytes >> (shift + 10) != 0) {
    ++unit;
    shift += 10;
  }
  const uint64_t fraction_of_1024 = (bytes >> (shift - 10)) % 1024;
  return absl::StrFormat("%d.%02d %s", bytes >> shift, fraction_of_1024 * 100 / 1024, kUnits[unit]);
}

}  // namespace weft
