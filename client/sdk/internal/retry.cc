#include "client/sdk/internal/retry.h"

#include <algorithm>

#include "server/core/errors.h"

namespace weft::sdk {

absl::Duration Backoff::Next() {
  const absl::Duration full = next_;
  next_ = std::min(next_ * options_.multiplier, options_.max);
  return full * (1 - random_() / 2);
}

std::optional<absl::Duration> RetryPolicy::NextPause(const absl::Status& error,
                                                     absl::Duration left) {
  const std::optional<absl::Duration> asked = RetryDelayOf(error);
  // What came over the fd socket carries no RetryInfo.
  const bool passes = asked.has_value() || ReasonOf(error) == v1::OVERLOADED;
  const bool retriable = absl::IsUnavailable(error) || (absl::IsResourceExhausted(error) && passes);
  if (!retriable) return std::nullopt;
  const absl::Duration pause = std::max(backoff_.Next(), asked.value_or(absl::ZeroDuration()));
  if (pause >= left) return std::nullopt;
  return pause;
}

}  // namespace weft::sdk
