// Whether and when a failed call is tried again. Pure: no clock, no randomness but what
// it is given.

#ifndef WEFT_CLIENT_SDK_INTERNAL_RETRY_H_
#define WEFT_CLIENT_SDK_INTERNAL_RETRY_H_

#include <functional>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace weft::sdk {

// Uniform in [0, 1).
using RandomFractionFn = std::function<double()>;

struct BackoffOptions {
  absl::Duration initial = absl::Milliseconds(20);
  absl::Duration max = absl::Seconds(2);
  double multiplier = 2;
};

// Exponentially longer pauses, each shortened by a random part of up to a half, so that
// clients that failed together do not come back together.
class Backoff {
 public:
  Backoff(const BackoffOptions& options, RandomFractionFn random)
      : options_(options), random_(std::move(random)), next_(options.initial) {}

  absl::Duration Next();
  void Reset() { next_ = options_.initial; }

 private:
  const BackoffOptions options_;
  const RandomFractionFn random_;
  absl::Duration next_;
};

// The fate of one call. Use one for each; the request (and its id) stays the same.
class RetryPolicy {
 public:
  RetryPolicy(const BackoffOptions& options, RandomFractionFn random)
      : backoff_(options, std::move(random)) {}

  // Retried are UNAVAILABLE, and RESOURCE_EXHAUSTED if the server says that it passes
  // (RetryInfo, OVERLOADED); never sooner than the server asks.
  //
  // After an attempt ended with `error`, `left` before the call's deadline: for how long
  // to pause before the next one. Nullopt: give up, `error` is the call's outcome, since
  // another attempt would not help or would come after the deadline.
  std::optional<absl::Duration> NextPause(const absl::Status& error, absl::Duration left);

 private:
  Backoff backoff_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_RETRY_H_
