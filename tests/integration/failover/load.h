// The clients of a failover test: they go on whatever happens to the servers.

#ifndef WEFT_TESTS_INTEGRATION_FAILOVER_LOAD_H_
#define WEFT_TESTS_INTEGRATION_FAILOVER_LOAD_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/sdk/admin/rpc_client.h"
#include "tests/integration/failover/ledger.h"
#include "tests/soak/kill/progress.h"
#include "tests/soak/kill/worker.h"

namespace weft {

struct LoadOptions {
  std::string coordinators;          // with commas between them
  std::vector<std::string> sockets;  // of two hosts' weftd
  std::string pool = "p";            // for segments
  int ledgers = 8;
  int workers = 2;
  uint64_t seed = 1;
};

// Not thread-safe.
class Load {
 public:
  static absl::StatusOr<std::unique_ptr<Load>> Make(const LoadOptions& options);
  ~Load() { Pause(); }

  // Starts the clients, or lets them go on.
  void Resume();
  // Stops them between two operations: each has its answer.
  void Pause();
  // Returns once so many more operations are acknowledged, or anything is wrong.
  void Await(uint64_t operations);

  // The time from `since` to the first acknowledgement of an operation that began later.
  // Blocks until there is one, or anything is wrong.
  absl::Duration AwaitServiceSince(absl::Time since) ABSL_LOCKS_EXCLUDED(mu_);

  // Compares what clients were promised with what there is. REQUIRES: paused.
  void Check();
  // Also waits until nothing is left to scrub, and looks at the bytes of all devices.
  void CheckDevices();

  const soak::Progress& progress() const { return progress_; }

 private:
  explicit Load(const LoadOptions& options) : options_(options) {}

  absl::Status Connect();
  absl::StatusOr<std::unique_ptr<soak::Worker>> MakeWorker(int number);
  void NoteAcknowledged(absl::Time began, absl::Time ended) ABSL_LOCKS_EXCLUDED(mu_);
  bool Expect(const absl::Status& status, const std::string& what);
  void Add(const soak::Violations& violations);

  const LoadOptions options_;
  soak::Progress progress_;
  std::unique_ptr<sdk::RpcClient> admin_;
  std::vector<std::unique_ptr<Ledger>> ledgers_;
  std::vector<std::unique_ptr<soak::Worker>> workers_;
  std::atomic<bool> stop_ = true;
  std::vector<std::thread> threads_;
  uint64_t revision_ = 0;

  absl::Mutex mu_;
  absl::Time since_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  absl::Duration gap_ ABSL_GUARDED_BY(mu_);
  bool served_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_FAILOVER_LOAD_H_
