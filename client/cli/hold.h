// Waiting for a reason to let go of a mapping.

#ifndef WEFT_CLIENT_CLI_HOLD_H_
#define WEFT_CLIENT_CLI_HOLD_H_

#include <signal.h>

#include <deque>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/options.h"

namespace weft::cli {

class Hold {
 public:
  // Blocks SIGINT and SIGTERM in this thread and those that it makes later.
  // REQUIRES: the SDK's threads are not there yet.
  Hold();
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  // Ends a Wait. From any thread.
  void Notify(const sdk::RevokeNotice& notice);

  // Blocks until SIGINT or SIGTERM, or Enter if the standard input is a terminal: nullopt;
  // or until Notify.
  std::optional<sdk::RevokeNotice> Wait();

 private:
  sigset_t mask_before_;
  int signals_;        // A signalfd.
  int notices_ready_;  // An eventfd that counts them.
  absl::Mutex mu_;
  std::deque<sdk::RevokeNotice> notices_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_HOLD_H_
