#include "server/platform/emulated_spec.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/core/errors.h"
#include "server/platform/device.h"

namespace weft {
namespace {

absl::Status Bad(v1::Reason reason, std::string_view text, std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat("emulated device \"", std::string(text), "\": ", std::string(what),
                                "; expected path=FILE,size=SIZE[,name=NAME][,coherence=software]"
                                "[,distance=N]"));
}

std::optional<ByteCount> ParseSize(std::string_view text) {
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const std::string_view suffix(rest, text.data() + text.size() - rest);
  constexpr std::string_view kSuffixes = "kMGT";
  int shift = 0;
  if (!suffix.empty()) {
    const size_t power = suffix.size() == 1 ? kSuffixes.find(suffix[0]) : std::string_view::npos;
    if (power == std::string_view::npos) return std::nullopt;
    shift = 10 * (static_cast<int>(power) + 1);
  }
  if (number >= kMaxBytes.value() >> shift) return std::nullopt;
  return ByteCount(number << shift);
}

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace

absl::StatusOr<EmulatedSpec> ParseEmulatedSpec(std::string_view text) {
  EmulatedSpec spec;
  for (const std::string& part :
       std::vector<std::string>(absl::StrSplit(absl::string_view(text.data(), text.size()), ','))) {
    const size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
    if (value.empty())
      return Bad(v1::BAD_ARGUMENT, text, absl::StrCat("no value in \"", part, "\""));
    if (key == "path") {
      spec.path = value;
    } else if (key == "name") {
      spec.name = value;
    } else if (key == "size") {
      const std::optional<ByteCount> size = ParseSize(value);
      if (!size || !IsMultipleOf(size->value(), kExtentUnit) || *size < kMinDeviceSize) {
        return Bad(v1::BAD_SIZE, text,
                   absl::StrCat("size ", value, " is not a multiple of 2M of at least 6M"));
      }
      spec.size = *size;
    } else if (key == "coherence") {
      if (value != "hardware" && value != "software") {
        return Bad(v1::BAD_ARGUMENT, text, "coherence is hardware or software");
      }
      spec.software_coherent = value == "software";
    } else if (key == "distance") {
      if (!absl::SimpleAtoi(value, &spec.numa_distance) || spec.numa_distance < 10 ||
          spec.numa_distance > 254) {
        return Bad(v1::BAD_ARGUMENT, text, "distance is 10 (local) to 254");
      }
    } else {
      return Bad(v1::BAD_ARGUMENT, text, absl::StrCat("unknown key \"", key, "\""));
    }
  }
  if (spec.path.empty()) return Bad(v1::BAD_ARGUMENT, text, "no path");
  if (spec.size == ByteCount(0)) return Bad(v1::BAD_SIZE, text, "no size");
  if (spec.name.empty()) spec.name = spec.path.substr(spec.path.rfind('/') + 1);
  if (!IsName(spec.name)) {
    return Bad(v1::BAD_ARGUMENT, text, absl::StrCat("\"", spec.name, "\" is not a device name"));
  }
  return spec;
}

}  // namespace weft
