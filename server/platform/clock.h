// Time, and waiting for it. Everything that reads a clock or waits takes a Clock, so
// that a test can move time by hand. Which clock is for what:
//
//   BootTime       leases on a host: CLOCK_BOOTTIME goes on while the host is suspended
//   MonotonicTime  leases on a coordinator: CLOCK_MONOTONIC
//   Unix time      time stamps in records that people read, never a decision
//
// Times of the first two are types of their own: none can be compared with another, or
// with one of another host.

#ifndef WEFT_SERVER_PLATFORM_CLOCK_H_
#define WEFT_SERVER_PLATFORM_CLOCK_H_

#include <compare>
#include <ostream>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace weft {

// A moment on the clock named by `Tag`, which only goes forward. The default is the
// clock's start.
template <typename Tag>
class TimePoint {
 public:
  constexpr TimePoint() = default;
  constexpr explicit TimePoint(absl::Duration since_start) : since_start_(since_start) {}

  static constexpr TimePoint InfiniteFuture() { return TimePoint(absl::InfiniteDuration()); }
  static constexpr TimePoint InfinitePast() { return TimePoint(-absl::InfiniteDuration()); }

  constexpr absl::Duration since_start() const { return since_start_; }

  friend TimePoint operator+(TimePoint t, absl::Duration d) {
    return TimePoint(t.since_start_ + d);
  }
  friend TimePoint operator-(TimePoint t, absl::Duration d) {
    return TimePoint(t.since_start_ - d);
  }
  friend absl::Duration operator-(TimePoint a, TimePoint b) {
    return a.since_start_ - b.since_start_;
  }
  friend constexpr bool operator==(TimePoint a, TimePoint b) {
    return a.since_start_ == b.since_start_;
  }
  friend constexpr std::strong_ordering operator<=>(TimePoint a, TimePoint b) {
    if (a.since_start_ == b.since_start_) return std::strong_ordering::equal;
    return a.since_start_ < b.since_start_ ? std::strong_ordering::less
                                           : std::strong_ordering::greater;
  }
  friend std::ostream& operator<<(std::ostream& out, TimePoint t) { return out << t.since_start_; }

 private:
  absl::Duration since_start_;
};

using BootTime = TimePoint<struct BootTimeTag>;
using MonotonicTime = TimePoint<struct MonotonicTimeTag>;

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  virtual BootTime BootNow() const = 0;
  virtual MonotonicTime MonotonicNow() const = 0;
  // The wall clock: may jump either way.
  virtual absl::Time UnixNow() const = 0;

  // Waits until `condition` holds, or BootNow() reaches `deadline`; returns whether
  // `condition` holds. Releases `mu` while it waits, as absl::Mutex::Await does, and
  // unlike it heeds no jump of the wall clock. `mu` is held on return. A caller with a
  // deadline on another clock passes the time left, and looks at that clock again.
  virtual bool WaitUntil(absl::Mutex& mu, const absl::Condition& condition, BootTime deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_CLOCK_H_
