// System calls that the kernel would never end by itself.

#ifndef WEFT_SERVER_PLATFORM_LINUX_INTERRUPTER_H_
#define WEFT_SERVER_PLATFORM_LINUX_INTERRUPTER_H_

#include <signal.h>
#include <time.h>

#include "absl/time/time.h"

namespace weft {

// While it lives, system calls of the thread that made it end with EINTR once `patience` has
// passed. It has SIGALRM to itself: no two at a time in a process.
class Interrupter {
 public:
  explicit Interrupter(absl::Duration patience);
  Interrupter(const Interrupter&) = delete;
  Interrupter& operator=(const Interrupter&) = delete;
  ~Interrupter();

 private:
  timer_t timer_;
  struct sigaction before_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_INTERRUPTER_H_
