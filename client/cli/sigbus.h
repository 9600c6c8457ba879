// What to do when an access to a mapping fails.

#ifndef WEFT_CLIENT_CLI_SIGBUS_H_
#define WEFT_CLIENT_CLI_SIGBUS_H_

#include <signal.h>

#include <string>

namespace weft::cli {

// While it lives, SIGBUS (a segment taken back by force, or poisoned memory) ends the
// program with an error line and kExitFailed instead of a core dump. At most one at a time.
class SigbusGuard {
 public:
  // `what` begins the line: `segment fill: fam/hello`.
  explicit SigbusGuard(const std::string& what);
  ~SigbusGuard();
  SigbusGuard(const SigbusGuard&) = delete;
  SigbusGuard& operator=(const SigbusGuard&) = delete;

 private:
  struct sigaction before_;
};

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_SIGBUS_H_
