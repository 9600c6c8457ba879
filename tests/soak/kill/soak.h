// Rounds of load, kill -9, restart and checks.

#ifndef WEFT_TESTS_SOAK_KILL_SOAK_H_
#define WEFT_TESTS_SOAK_KILL_SOAK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/weft.h"
#include "tests/integration/harness.h"
#include "tests/soak/kill/progress.h"
#include "tests/soak/kill/worker.h"

namespace weft::soak {

struct SoakOptions {
  uint64_t seed = 1;
  int workers = 4;
  // Of each worker in each round.
  int operations = 12;
};

// Which processes a kill hits. Every combination of them is a kind.
struct Victims {
  bool coordinator = false;
  bool host_a = false;
  bool host_b = false;

  std::string name() const;
};

// Not thread-safe.
class Soak {
 public:
  // `cluster` has a pool "p" and outlives the soak.
  Soak(const SoakOptions& options, Cluster& cluster);

  // Connects the workers. UNAVAILABLE and other errors of the SDK.
  absl::Status Start();
  // One round. What is wrong afterwards is in violations(); after the first there is no
  // point in another round.
  void RunRound();

  const Progress& progress() const { return progress_; }
  Violations violations() const { return progress_.violations(); }
  const std::map<std::string, int>& kills() const { return kills_; }

 private:
  absl::StatusOr<std::unique_ptr<Worker>> MakeWorker(int number);
  Victims ChooseVictims();
  void KillAndRestart(const Victims& victims);
  void Kill(const Victims& victims);
  void Launch(const Victims& victims);
  void AwaitReady(const Victims& victims);
  void CheckAll();
  void CheckStore();
  void CheckApi();
  // No grant outlives the handles.
  void Settle();
  // A violation unless OK.
  bool Expect(const absl::Status& status, const std::string& what);
  void Add(const Violations& violations);
  uint64_t Random(uint64_t below) { return random_() % below; }

  const SoakOptions options_;
  Cluster& cluster_;
  Progress progress_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<std::string, int> kills_;
  int rounds_ = 0;
  uint64_t revision_ = 0;
};

}  // namespace weft::soak

#endif  // WEFT_TESTS_SOAK_KILL_SOAK_H_
