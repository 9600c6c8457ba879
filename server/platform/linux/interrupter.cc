#include "server/platform/linux/interrupter.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>

#include "server/core/check.h"

namespace weft {

Interrupter::Interrupter(absl::Duration patience) {
  struct sigaction action = {};
  action.sa_handler = [](int) {};  // without SA_RESTART
  WEFT_CHECK(sigaction(SIGALRM, &action, &before_) == 0, errno);
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGALRM;
  event._sigev_un._tid = gettid();
  WEFT_CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0, errno);
  itimerspec when = {};
  when.it_value = absl::ToTimespec(std::max(patience, absl::Milliseconds(1)));
  // Again and again: the first may come just before the call.
  when.it_interval = absl::ToTimespec(absl::Milliseconds(100));
  WEFT_CHECK(timer_settime(timer_, 0, &when, nullptr) == 0, errno);
}

Interrupter::~Interrupter() {
  timer_delete(timer_);
  sigaction(SIGALRM, &before_, nullptr);
}

}  // namespace weft
