// The transaction that is being put together.

#ifndef WEFT_SERVER_COORDINATOR_STAGED_H_
#define WEFT_SERVER_COORDINATOR_STAGED_H_

#include <cstddef>

#include "server/core/changes.h"
#include "server/store/store.h"

namespace weft {

// The changes of several commands, with their size as one transaction kept up to date.
class Staged {
 public:
  explicit Staged(const StoreLimits& limits) : limits_(limits) {}

  // Whether `later` can join without exceeding the store's limits. Always, if there is
  // nothing yet: a command's changes are never divided.
  bool Fits(const Changes& later) const;

  // `revision`: the cluster's after these changes.
  void Append(Changes later, uint64_t revision);

  const Changes& changes() const { return changes_; }
  uint64_t revision() const { return revision_; }

 private:
  StoreLimits limits_;
  Changes changes_;
  size_t size_bytes_ = 0;
  uint64_t revision_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_STAGED_H_
