// A client of the coordinators that remembers every answer.

#ifndef WEFT_TESTS_INTEGRATION_FAILOVER_LEDGER_H_
#define WEFT_TESTS_INTEGRATION_FAILOVER_LEDGER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/sdk/admin/rpc_client.h"
#include "tests/soak/kill/checker.h"
#include "tests/soak/kill/progress.h"

namespace weft {

// Creates, deletes and reads pools without devices: the lightest of operations. It alone
// uses its names, so there is one right answer to each: any other is a violation. Not
// thread-safe.
class Ledger {
 public:
  // Called with when an operation began and when it was acknowledged.
  using OnAcknowledged = std::function<void(absl::Time began, absl::Time ended)>;

  // `name` begins the names of its pools. `progress` outlives it.
  Ledger(std::string name, uint64_t seed, std::unique_ptr<sdk::RpcClient> coordinators,
         soak::Progress& progress, OnAcknowledged on_acknowledged);

  // Carries out operations chosen by chance, at a steady pace, until `stop`, or until anything is
  // wrong.
  void Run(const std::atomic<bool>& stop);

  // The resource names of the pools that are there.
  const std::set<std::string>& pools() const { return pools_; }
  // The mutations acknowledged since the last call, by resource name.
  std::map<std::string, soak::Acknowledged> TakeAcknowledged();

 private:
  absl::Status Create(const std::string& id);
  absl::Status Delete(const std::string& id);
  absl::Status Get(const std::string& id, bool there);
  void Step();

  const std::string name_;
  std::mt19937_64 random_;
  const std::unique_ptr<sdk::RpcClient> coordinators_;
  soak::Progress& progress_;
  const OnAcknowledged on_acknowledged_;
  std::set<std::string> pools_;
  std::map<std::string, soak::Acknowledged> acknowledged_;
};

// Exactly the promised pools are there, `other` apart.
soak::Violations CheckPools(const std::set<std::string>& promised, const std::string& other,
                            const std::set<std::string>& found);

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_FAILOVER_LEDGER_H_
