// Between the SDK's plain values and the messages that travel.

#ifndef WEFT_CLIENT_SDK_INTERNAL_CONVERT_H_
#define WEFT_CLIENT_SDK_INTERNAL_CONVERT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/sdk/types.h"
#include "proto/weft/v1/node.pb.h"
#include "proto/weft/v1/segment.pb.h"
#include "proto/weft/v1/types.pb.h"

namespace weft::sdk {

// Values of a newer weftd that this version does not know become the most careful one:
// read-only, software coherence.

v1::AccessMode ToProto(AccessMode mode);
v1::SharingMode ToProto(SharingMode mode);
v1::Placement ToProto(Placement placement);
v1::Incarnation ToProto(const Incarnation& incarnation);

AccessMode FromProto(v1::AccessMode mode);
Token FromProto(const v1::Token& token);
Incarnation FromProto(const v1::Incarnation& incarnation);
std::vector<ByteRange> FromProto(const google::protobuf::RepeatedPtrField<v1::ByteRange>& ranges);
Segment FromProto(const v1::Segment& segment);
// INTERNAL for one that this version does not know: it could not map it.
absl::StatusOr<Backend> FromProto(v1::Backend backend);

// `pools/<pool>/segments/<segment>` of `<pool>/<segment>`, and back. The first returns
// INVALID_ARGUMENT BAD_NAME for anything else; the second gives anything else as it is.
absl::StatusOr<std::string> ResourceName(std::string_view name);
std::string ShortName(const std::string& resource_name);

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_CONVERT_H_
