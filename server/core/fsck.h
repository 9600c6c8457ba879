// Comparison of the coordinator's records with themselves and with what hosts say, for
// FsckService. What these find once may be a change under way: see there.

#ifndef WEFT_SERVER_CORE_FSCK_H_
#define WEFT_SERVER_CORE_FSCK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/fsck.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// See FsckService.
absl::StatusOr<v1::CheckResponse> CheckRecords(const State& state,
                                               const v1::CheckRecordsRequest& request);

// What to ask `request`'s host for its page; without a number. Errors: see FsckService.CheckHost.
absl::StatusOr<v1::InventoryRequest> InventoryFor(const State& state,
                                                  const v1::CheckHostRequest& request);

// Compares the host's answer to `asked` with the records. O(what is in it, and the devices).
// FAILED_PRECONDITION SESSION_EXPIRED: the host is not alive any more; UNAVAILABLE UNREACHABLE:
// it could not look; INVALID_ARGUMENT BAD_ARGUMENT: its answer makes no sense.
absl::StatusOr<v1::CheckResponse> CompareHost(const State& state, const std::string& host,
                                              const v1::InventoryRequest& asked,
                                              const v1::HostInventory& found);

// REVOKE_STRAY; for RESYNC_HOST only checks that the host can be told.
absl::Status Repair(State& state, const Context& context, const v1::RepairRequest& request,
                    Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_FSCK_H_
