// What a benchmark cannot go on without.

#ifndef WEFT_TESTS_BENCH_MUST_H_
#define WEFT_TESTS_BENCH_MUST_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/check.h"

namespace weft {

// An error ends the program, which prints it.
inline void Must(const absl::Status& status) { WEFT_CHECK(status.ok(), status.ToString()); }

template <typename T>
T Must(absl::StatusOr<T> result) {
  Must(result.status());
  return *std::move(result);
}

}  // namespace weft

#endif  // WEFT_TESTS_BENCH_MUST_H_
