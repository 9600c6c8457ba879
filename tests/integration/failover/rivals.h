// Two clients on two hosts that want the same exclusive segment, and a host that is cut off.

#ifndef WEFT_TESTS_INTEGRATION_FAILOVER_RIVALS_H_
#define WEFT_TESTS_INTEGRATION_FAILOVER_RIVALS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/sdk/admin/rpc_client.h"
#include "client/sdk/weft.h"
#include "proto/weft/v1/event.pb.h"
#include "tests/soak/kill/checker.h"
#include "tests/soak/kill/progress.h"

namespace weft {

struct RivalsOptions {
  std::string segment;  // `<pool>/<segment>`
  std::string holder_host;
  std::string holder_socket;  // of that host's weftd
  std::string heir_host;
  std::string heir_socket;
  absl::Duration call_timeout;
};

// Says what "Time and fencing" of docs/ARCHITECTURE.md does: the holder's host lets go before
// its session expires, only then has the heir the segment, and nothing that the holder stored
// comes after. Call Hold, Inherit, Return, in this order, any number of times; whatever is not
// as it should be is a violation. Not thread-safe.
class Rivals {
 public:
  // Creates the segment. `admin` and `progress` outlive it.
  static absl::StatusOr<std::unique_ptr<Rivals>> Make(const RivalsOptions& options,
                                                      sdk::RpcClient& admin,
                                                      soak::Progress& progress);
  Rivals(const Rivals&) = delete;
  Rivals& operator=(const Rivals&) = delete;
  ~Rivals();

  // The holder opens the segment; it maps it and stores to it on and on, until it is told to
  // let go. What is waited for from now on happens after `revision`.
  void Hold(uint64_t revision);
  // Blocks until the holder's host, cut off meanwhile, has expired; the heir takes the segment.
  void Inherit();
  // The holder's host is back: the holder is refused, and has the segment when the heir gives
  // it back. REQUIRES: it is attached to the segment's devices again.
  void Return();

  soak::Promises promises() const { return {{resource_, promise_}}; }
  const std::string& holder_host() const { return options_.holder_host; }
  // How often the holder's host expired since the last call.
  int TakeExpiries();

 private:
  Rivals(const RivalsOptions& options, sdk::RpcClient& admin, soak::Progress& progress);

  absl::Status Connect();
  // Opens, and notes the token, which must be greater than any before.
  std::optional<sdk::Handle> Open(sdk::Client& client);
  void Store(const sdk::Handle& handle) ABSL_LOCKS_EXCLUDED(mu_);
  bool AwaitNotice(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mu_);
  // The next event of which `wanted` says so.
  std::optional<v1::Event> AwaitEvent(absl::FunctionRef<bool(const v1::Event&)> wanted);
  void FillWith(const sdk::Handle& handle, uint64_t version);
  void VerifyHas(const sdk::Handle& handle, uint64_t version);
  bool Expect(const absl::Status& status, std::string_view what);
  void Violate(std::string_view what);

  const RivalsOptions options_;
  const std::string resource_;
  sdk::RpcClient& admin_;
  soak::Progress& progress_;
  // Before the clients, whose callbacks use it.
  absl::Mutex mu_;
  bool told_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<absl::Time> let_go_at_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<sdk::Client> holder_;
  std::unique_ptr<sdk::Client> heir_;
  std::thread writer_;
  std::optional<sdk::Handle> inherited_;
  uint64_t revision_ = 0;
  soak::Promise promise_;
  uint64_t generation_ = 0;
  uint64_t version_ = 0;
  sdk::Token token_;
  int expiries_ = 0;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_FAILOVER_RIVALS_H_
