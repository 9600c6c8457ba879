#include "server/platform/linux/bus_guard.h"

#include <setjmp.h>
#include <signal.h>

#include <cstdint>

#include "server/core/check.h"

namespace weft {
namespace {

// What one thread is doing in RunGuarded; on that thread's stack.
struct Guard {
  sigjmp_buf leave;
  uintptr_t begin;
  uintptr_t end;
  BusFault fault;
};

thread_local Guard* current_guard = nullptr;
struct sigaction previous_action;

void OnSigbus(int signal, siginfo_t* info, void*) {
  if (info->si_code == BUS_MCEERR_AO) return;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  Guard* const guard = current_guard;
  const bool is_fault = info->si_code > 0;
  if (is_fault && guard != nullptr && address >= guard->begin && address < guard->end) {
    guard->fault = {address - guard->begin, info->si_code == BUS_MCEERR_AR};
    siglongjmp(guard->leave, 1);
  }
  // Not ours. A fault comes again once this returns, and then goes to the previous
  // action; a signal that was sent does not, so it is sent again.
  sigaction(signal, &previous_action, nullptr);
  if (!is_fault) raise(signal);
}

bool InstallHandler() {
  struct sigaction action = {};
  action.sa_sigaction = OnSigbus;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  WEFT_CHECK(sigaction(SIGBUS, &action, &previous_action) == 0);
  return true;
}

}  // namespace

std::optional<BusFault> RunGuarded(const void* base, size_t size, absl::FunctionRef<void()> body) {
  [[maybe_unused]] static const bool installed = InstallHandler();
  Guard guard;
  guard.begin = reinterpret_cast<uintptr_t>(base);
  guard.end = guard.begin + size;
  WEFT_CHECK(current_guard == nullptr);
  // With SA_NODEFER the signal is not masked in the handler, so no mask needs saving.
  if (sigsetjmp(guard.leave, /*savemask=*/0) == 0) {
    current_guard = &guard;
    body();
    current_guard = nullptr;
    return std::nullopt;
  }
  current_guard = nullptr;
  return guard.fault;
}

}  // namespace weft
