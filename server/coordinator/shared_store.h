// The store that the command line names, and how this process comes to own it.

#ifndef WEFT_SERVER_COORDINATOR_SHARED_STORE_H_
#define WEFT_SERVER_COORDINATOR_SHARED_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/coordinator/flags.h"
#include "server/platform/clock.h"
#include "server/store/leadership.h"
#include "server/store/store.h"

namespace weft {

class SharedStore {
 public:
  virtual ~SharedStore() = default;

  virtual Leadership& leadership() = 0;
  // Takes part in elections as `address`, until Shutdown. To be called once, on a thread of
  // the caller's.
  virtual void Run(const std::string& address) = 0;
  // Makes Run return, and gives the store up. REQUIRES: the leadership is stopped, and nobody
  // uses the store any more.
  virtual void Shutdown() = 0;
};

// SQLite: errors as SqliteStore::Open. etcd: none, it need not be there yet. `clock`
// outlives what is returned.
absl::StatusOr<std::unique_ptr<SharedStore>> OpenSharedStore(const CoordinatorFlags& flags,
                                                             Clock& clock);

// For a program that fills or reads a store and ends: it has the store alone, for at most a
// minute if that is in etcd. Errors as SqliteStore::Open; of etcd, FAILED_PRECONDITION
// STORE_IN_USE: a coordinator leads, and UNAVAILABLE.
absl::StatusOr<std::unique_ptr<Store>> OpenStoreAlone(const StoreFlags& flags);

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_SHARED_STORE_H_
