// Deadlines as gRPC takes them, and pauses between attempts.

#ifndef WEFT_CLIENT_SDK_ADMIN_TIMING_H_
#define WEFT_CLIENT_SDK_ADMIN_TIMING_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/sdk/internal/deadline.h"
#include "grpc/support/time.h"

namespace weft::sdk {

// gRPC wants a moment, on a clock of its own.
inline gpr_timespec ToGrpc(Deadline deadline) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(deadline.left_ms(), GPR_TIMESPAN));
}

// Lets `length` pass: there is nothing that could end it early.
inline void Pause(absl::Duration length) {
  absl::Mutex mu;
  const bool ended = false;
  absl::MutexLock lock(&mu);
  AwaitUntil(mu, absl::Condition(&ended), Deadline::After(length));
}

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_ADMIN_TIMING_H_
