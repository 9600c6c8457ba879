// From the store to a State that may serve.

#ifndef WEFT_SERVER_COORDINATOR_LOAD_STATE_H_
#define WEFT_SERVER_COORDINATOR_LOAD_STATE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/core/state.h"
#include "server/store/store.h"

namespace weft {

// Ends what may be unknown in `store`, checks its schema, and builds the State of all
// records. A store without records becomes a new cluster; what that writes is durable on
// return. On any error the caller may try again.
//   FAILED_PRECONDITION VERSION_TOO_NEW; DATA_LOSS STORE_DAMAGED; errors of Store.
absl::StatusOr<std::unique_ptr<State>> LoadState(Store& store, const CoreOptions& options,
                                                 const Now& now);

// The mutations of `changes` as one transaction.
Transaction ToTransaction(const Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_LOAD_STATE_H_
