#include "server/platform/device_spec.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/key_values.h"

namespace weft {

absl::StatusOr<DeviceSpec> ParseDeviceSpec(std::string_view text) {
  DeviceSpec spec;
  bool good = true;
  for (const auto& [key, value] : ParseKeyValues(text)) {
    std::optional<bool> either = true;
    if (key == "name" && spec.name.empty()) {
      spec.name = value;
    } else if (key == "coherence") {
      either = ParseEither(value, "software", "hardware");
      spec.software_coherent = either.value_or(false);
    } else if (key == "use") {
      either = ParseEither(value, "yes", "no");
      spec.use = either.value_or(false);
    } else {
      good = false;
    }
    good = good && either.has_value();
  }
  if (good && spec.name.starts_with("dax")) return spec;
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                   absl::StrCat("device \"", std::string(text), "\": expected ",
                                "name=dax0.0[,coherence=software][,use=no]"));
}

}  // namespace weft
