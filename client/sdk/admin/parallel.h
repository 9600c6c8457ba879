// Calls that do not wait for one another.

#ifndef WEFT_CLIENT_SDK_ADMIN_PARALLEL_H_
#define WEFT_CLIENT_SDK_ADMIN_PARALLEL_H_

#include <cstddef>

#include "absl/functional/function_ref.h"

namespace weft::sdk {

// Calls `body(i)` for every i below `count`, in that order, `at_a_time` of them at most at a
// time and each on some thread of its own; returns when all have returned.
void InParallel(size_t count, size_t at_a_time, absl::FunctionRef<void(size_t)> body);

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_ADMIN_PARALLEL_H_
