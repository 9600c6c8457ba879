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
#include "proto/weft/v1/event.pb.h"
#include "tests/integration/failover/ledger.h"
#include "tests/integration/failover/rivals.h"
#include "tests/soak/kill/progress.h"
#include "tests/soak/kill/worker.h"

namespace weft {

struct LoadOptions {
  std::string coordinators;  // with commas between them
  // Their weftds' sockets are FOLDER/HOST/weftd.sock. The workers use the first two, which must
  // keep their leases; the third is the one that can be cut off for longer.
  std::vector<std::string> hosts;
  std::string folder;
  std::string pool = "p";  // for segments
  int ledgers = 16;
  int workers = 2;
  uint64_t seed = 1;
};

// What was acknowledged: mutations, which could be lost, apart from the rest.
uint64_t MutationsOf(const soak::Counts& acknowledged);
uint64_t ReadsOf(const soak::Counts& acknowledged);

// Not thread-safe.
class Load {
 public:
  static absl::StatusOr<std::unique_ptr<Load>> Make(const LoadOptions& options);
  ~Load() { Pause(); }

  // Starts the clients, or lets them go on.
  void Resume();
  // Stops them between two operations: each has its answer.
  void Pause();
  // Return once so many more are acknowledged, or anything is wrong.
  void AwaitMutations(uint64_t count);
  void AwaitReads(uint64_t count);
  // From now on operations may be refused for this reason; empty: for none but their own.
  // REQUIRES: paused.
  void Tolerate(const std::string& reason) { progress_.Tolerate(reason); }

  // The time from `since` to the first acknowledgement of an operation that began later.
  // Blocks until there is one, or anything is wrong.
  absl::Duration AwaitServiceSince(absl::Time since) ABSL_LOCKS_EXCLUDED(mu_);

  // Compares what clients were promised with what there is. REQUIRES: paused.
  void Check();
  // Also waits until nothing is left to scrub, and looks at the bytes of all devices.
  void CheckDevices();

  // As the Rivals' own.
  void Hold() ABSL_LOCKS_EXCLUDED(mu_);
  Rivals& rivals() { return *rivals_; }

  const soak::Progress& progress() const { return progress_; }

 private:
  explicit Load(const LoadOptions& options) : options_(options) {}

  absl::Status Connect();
  std::string SocketOf(size_t host) const;
  absl::Status ConnectRivals();
  absl::StatusOr<std::unique_ptr<soak::Worker>> MakeWorker(int number);
  // Takes the events of which the coordinator keeps the last only. False: it cannot be asked.
  bool CollectEvents() ABSL_LOCKS_EXCLUDED(mu_);
  void KeepCollecting();
  // Only the host that was cut off for longer than its lease expired, and it did.
  void CheckExpiries(const std::vector<v1::Event>& events);
  void NoteAcknowledged(absl::Time began, absl::Time ended) ABSL_LOCKS_EXCLUDED(mu_);
  bool Expect(const absl::Status& status, const std::string& what);
  void Add(const soak::Violations& violations);

  const LoadOptions options_;
  soak::Progress progress_;
  std::unique_ptr<sdk::RpcClient> admin_;
  std::vector<std::unique_ptr<Ledger>> ledgers_;
  std::vector<std::unique_ptr<soak::Worker>> workers_;
  std::unique_ptr<Rivals> rivals_;
  std::atomic<bool> stop_ = true;
  std::vector<std::thread> threads_;

  absl::Mutex mu_;
  // Events since the last Check, and the revision of the last one.
  std::vector<v1::Event> events_ ABSL_GUARDED_BY(mu_);
  uint64_t revision_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time since_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  absl::Duration gap_ ABSL_GUARDED_BY(mu_);
  bool served_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_FAILOVER_LOAD_H_
