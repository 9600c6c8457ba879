// What people type, as resource names of the API. Full names (`pools/fam`) are taken too,
// so that what --json prints can be used as an argument.
//
// All return INVALID_ARGUMENT BAD_NAME or BAD_ARGUMENT, with an example.

#ifndef WEFT_CLIENT_CLI_ARGUMENTS_H_
#define WEFT_CLIENT_CLI_ARGUMENTS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "proto/weft/v1/types.pb.h"
#include "server/core/names.h"

namespace weft::cli {

absl::StatusOr<std::string> PoolId(std::string_view text);           // fam
absl::StatusOr<std::string> PoolResource(std::string_view text);     // fam
absl::StatusOr<std::string> HostResource(std::string_view text);     // host-a
absl::StatusOr<std::string> DeviceResource(std::string_view text);   // a UUID
absl::StatusOr<SegmentName> SegmentArgument(std::string_view text);  // fam/hello
absl::StatusOr<std::string> SegmentResource(std::string_view text);  // fam/hello

// UUID:OFFSET:LENGTH, with sizes as ParseSize reads them.
absl::StatusOr<v1::Extent> ExtentArgument(std::string_view text);

// The reverse: a resource's name as people type it.
std::string ShortName(std::string_view resource);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_ARGUMENTS_H_
