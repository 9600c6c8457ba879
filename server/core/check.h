// Assertions on programmer error, kept in production.

#ifndef WEFT_SERVER_CORE_CHECK_H_
#define WEFT_SERVER_CORE_CHECK_H_

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/base/optimization.h"
#include "absl/strings/str_cat.h"

namespace weft::internal {

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* condition,
                                     const std::string& detail) {
  std::fprintf(stderr, "%s:%d: check failed: %s %s\n", file, line, condition, detail.c_str());
  std::abort();
}

}  // namespace weft::internal

// Aborts with the place, the condition and the details (any that absl::StrCat takes;
// evaluated only then) unless `condition` holds. Never for what a peer, a user or a
// device can cause: those are absl::Status.
#define WEFT_CHECK(condition, ...)                                                \
  do {                                                                            \
    if (ABSL_PREDICT_FALSE(!(condition))) {                                       \
      ::weft::internal::CheckFailed(__FILE__, __LINE__, #condition,               \
                                    absl::StrCat("" __VA_OPT__(, ) __VA_ARGS__)); \
    }                                                                             \
  } while (false)

#endif  // WEFT_SERVER_CORE_CHECK_H_
