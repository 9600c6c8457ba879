#include "client/cli/sigbus.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "client/cli/exit_codes.h"
#include "server/core/check.h"

namespace weft::cli {
namespace {

// Written before the handler is there, and only read by it: all that a handler may do.
std::string poisoned_line;
std::string revoked_line;
bool installed = false;

void OnSigbus(int, siginfo_t* info, void*) {
  const bool poisoned = info->si_code == BUS_MCEERR_AR || info->si_code == BUS_MCEERR_AO;
  const std::string& line = poisoned ? poisoned_line : revoked_line;
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
  _exit(kExitFailed);
}

}  // namespace

SigbusGuard::SigbusGuard(const std::string& what) {
  WEFT_CHECK(!installed);
  installed = true;
  poisoned_line = absl::StrCat("weft: ", what, ": POISONED: a page of its memory is bad\n");
  revoked_line = absl::StrCat("weft: ", what,
                              ": STALE_TOKEN: the segment was taken back, or its device is gone\n");
  struct sigaction action{};
  action.sa_sigaction = OnSigbus;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, &before_);
}

SigbusGuard::~SigbusGuard() {
  sigaction(SIGBUS, &before_, nullptr);
  installed = false;
}

}  // namespace weft::cli
