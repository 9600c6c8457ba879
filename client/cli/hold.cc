#include "client/cli/hold.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdint>
#include <iterator>
#include <utility>

#include "server/core/check.h"

namespace weft::cli {

Hold::Hold() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, &mask_before_);
  signals_ = signalfd(-1, &signals, SFD_CLOEXEC);
  notices_ready_ = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
  WEFT_CHECK(signals_ >= 0 && notices_ready_ >= 0, "out of file descriptors");
}

Hold::~Hold() {
  close(notices_ready_);
  close(signals_);
  pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
}

void Hold::Notify(const sdk::RevokeNotice& notice) {
  {
    absl::MutexLock lock(&mu_);
    notices_.push_back(notice);
  }
  eventfd_write(notices_ready_, 1);
}

std::optional<sdk::RevokeNotice> Hold::Wait() {
  pollfd watched[] = {
      {notices_ready_, POLLIN, 0},
      {signals_, POLLIN, 0},
      // poll(2) skips a negative one.
      {isatty(STDIN_FILENO) ? STDIN_FILENO : -1, POLLIN, 0},
  };
  while (poll(watched, std::size(watched), -1) < 0) {
    // Interrupted.
  }
  if (watched[0].revents == 0) {
    // Taken, so that it does not end the program once it is unblocked.
    signalfd_siginfo signal;
    WEFT_CHECK(watched[1].revents == 0 || read(signals_, &signal, sizeof signal) > 0);
    return std::nullopt;
  }
  uint64_t count = 0;
  eventfd_read(notices_ready_, &count);
  absl::MutexLock lock(&mu_);
  sdk::RevokeNotice notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

}  // namespace weft::cli
