// Memory that failed, for people.

#ifndef WEFT_CLIENT_CLI_BAD_RANGES_H_
#define WEFT_CLIENT_CLI_BAD_RANGES_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/table.h"
#include "google/protobuf/repeated_field.h"
#include "proto/weft/v1/types.pb.h"

namespace weft::cli {

// A table after an empty line; nothing if there are none.
inline std::string BadRangesText(const google::protobuf::RepeatedPtrField<v1::ByteRange>& ranges) {
  if (ranges.empty()) return "";
  Table table({">BAD OFFSET", ">BYTES"});
  for (const v1::ByteRange& range : ranges) {
    table.AddRow({absl::StrCat(range.offset_bytes()), absl::StrCat(range.length_bytes())});
  }
  return absl::StrCat("\n", table.ToString());
}

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_BAD_RANGES_H_
