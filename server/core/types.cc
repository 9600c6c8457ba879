#include "server/core/types.h"

#include <uuid/uuid.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weft {

absl::StatusOr<Uuid> Uuid::Parse(std::string_view text) {
  std::array<uint8_t, 16> bytes;
  if (uuid_parse_range(text.data(), text.data() + text.size(), bytes.data()) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", std::string(text), "\" is not a UUID of the form 8-4-4-4-12"));
  }
  return Uuid(bytes);
}

std::string Uuid::ToString() const {
  char text[UUID_STR_LEN];
  uuid_unparse_lower(bytes_.data(), text);
  return text;
}

}  // namespace weft
