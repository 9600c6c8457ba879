// Transactions that a test and a process it kills both know.

#ifndef WEFT_SERVER_STORE_STORE_WORKLOAD_H_
#define WEFT_SERVER_STORE_STORE_WORKLOAD_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace weft {

using Contents = std::map<std::string, std::string>;

// The `number`th transaction (from 1) of the workload `seed`: a few random puts, small
// and great, and deletes, and a record of `number` itself.
Transaction WorkloadTransaction(uint64_t seed, uint64_t number);

// What a store holds after the first so many transactions.
class WorkloadModel {
 public:
  explicit WorkloadModel(uint64_t seed) : seed_(seed) {}

  // After the first `count`. REQUIRES: no smaller than the last one asked for.
  const Contents& After(uint64_t count);

 private:
  const uint64_t seed_;
  uint64_t count_ = 0;
  Contents contents_;
};

// What `store` holds.
absl::StatusOr<Contents> ReadContents(Store& store);

// How many transactions led to `contents`, by their own record.
uint64_t WorkloadCount(const Contents& contents);

}  // namespace weft

#endif  // WEFT_SERVER_STORE_STORE_WORKLOAD_H_
