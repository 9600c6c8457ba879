// The version of what Weft keeps, in every kind of store and in backups.

#ifndef WEFT_SERVER_CORE_SCHEMA_VERSION_H_
#define WEFT_SERVER_CORE_SCHEMA_VERSION_H_

#include <cstdint>

namespace weft {

// Holds the version as decimal digits, not as a proto: it can be read before anything
// is known of how the rest is encoded.
inline constexpr char kSchemaKey[] = "/weft/v1/schema";

// To be raised when an older coordinator could misread or spoil what this one writes.
inline constexpr int64_t kSchemaVersion = 1;

}  // namespace weft

#endif  // WEFT_SERVER_CORE_SCHEMA_VERSION_H_
