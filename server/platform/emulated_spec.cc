#include "server/platform/emulated_spec.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/size_text.h"
#include "server/platform/device.h"
#include "server/platform/key_values.h"

namespace weft {
namespace {

absl::Status Bad(v1::Reason reason, std::string_view text, std::string_view what) {
  return MakeError(absl::StatusCode::kInvalidArgument, reason,
                   absl::StrCat("emulated device \"", std::string(text), "\": ", std::string(what),
                                "; expected path=FILE,size=SIZE[,name=NAME][,coherence=software]"
                                "[,distance=N]"));
}

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
  });
}

}  // namespace

absl::StatusOr<EmulatedSpec> ParseEmulatedSpec(std::string_view text) {
  EmulatedSpec spec;
  for (const auto& [key, value] : ParseKeyValues(text)) {
    if (value.empty())
      return Bad(v1::BAD_ARGUMENT, text, absl::StrCat("no value for \"", key, "\""));
    if (key == "path") {
      spec.path = value;
    } else if (key == "name") {
      spec.name = value;
    } else if (key == "size") {
      const absl::StatusOr<ByteCount> size = ParseSize(value);
      if (!size.ok() || !IsMultipleOf(size->value(), kExtentUnit) || *size < kMinDeviceSize) {
        return Bad(v1::BAD_SIZE, text,
                   absl::StrCat("size ", value, " is not a multiple of 2M of at least 6M"));
      }
      spec.size = *size;
    } else if (key == "coherence") {
      const std::optional<bool> software = ParseEither(value, "software", "hardware");
      if (!software) return Bad(v1::BAD_ARGUMENT, text, "coherence is hardware or software");
      spec.software_coherent = *software;
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
