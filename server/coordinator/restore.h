// Whole states: out of a store, into an empty one, and out of a backup.

#ifndef WEFT_SERVER_COORDINATOR_RESTORE_H_
#define WEFT_SERVER_COORDINATOR_RESTORE_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/state.h"
#include "server/store/store.h"

namespace weft {

using Records = std::map<std::string, std::string>;

// All records of Weft that `store` holds. VERSION_TOO_NEW, STORE_DAMAGED, and errors of Scan.
absl::StatusOr<Records> ReadStore(Store& store);

// The records with which a coordinator goes on from `backup`, the bytes of a backup file: see
// server/core/recovery.h. Errors of ReadBackup; STORE_DAMAGED, VERSION_TOO_NEW.
absl::StatusOr<Records> RecordsToRestore(std::string_view backup, const CoreOptions& options,
                                         const Now& now);

// Writes `records`, the schema's version last: until then, and for ever if this fails,
// coordinators refuse the store as damaged.
//   FAILED_PRECONDITION IN_USE: it holds records of Weft already; errors of Scan and Commit.
absl::Status FillStore(Store& store, const Records& records);

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_RESTORE_H_
