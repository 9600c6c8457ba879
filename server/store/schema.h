// The version of what Weft keeps in a store, the same for every kind of store.

#ifndef WEFT_SERVER_STORE_SCHEMA_H_
#define WEFT_SERVER_STORE_SCHEMA_H_

#include "absl/status/status.h"
#include "server/core/schema_version.h"
#include "server/store/store.h"

namespace weft {

// Every key of Weft starts with this.
inline constexpr char kKeyPrefix[] = "/weft/v1/";

// Makes sure that this build understands what `store` holds, and writes the version
// into a store without any Weft keys. To be called before anything else is read,
// also after Recover. Idempotent.
//   FAILED_PRECONDITION VERSION_TOO_NEW: written by a newer Weft; nothing is changed.
//   DATA_LOSS STORE_DAMAGED: the version is unreadable, or missing beside other keys.
//   Errors of Scan and Commit.
absl::Status EnsureSchema(Store& store);

}  // namespace weft

#endif  // WEFT_SERVER_STORE_SCHEMA_H_
