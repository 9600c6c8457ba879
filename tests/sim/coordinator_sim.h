// The coordinator as a process on the simulated network: everything of it but gRPC and main.

#ifndef WEFT_TESTS_SIM_COORDINATOR_SIM_H_
#define WEFT_TESTS_SIM_COORDINATOR_SIM_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/state.h"
#include "tests/sim/network.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_agents.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/world.h"

namespace weft::sim {

class Truth;

// Whom a call is made for: the metadata of a daemon's calls. All empty: an administrator.
struct CallerClaims {
  std::string host;
  std::string session;
  std::string principal;
};

enum class Method {
  kCreatePool,
  kCreateSegment,
  kGetSegment,
  kGrowSegment,
  kDeleteSegment,
  kAcquireGrant,
  kReleaseGrant,
  kFenceHost,
  kGetDevice,
  kListDevices,
  kDrainDevice,
  kUndrainDevice,
  kClearPoison,
};

// One of the machines that can be the coordinator. It is one while it runs.
class CoordinatorSim {
 public:
  using Answer = std::function<void(absl::StatusOr<std::string>)>;

  CoordinatorSim(World& world, Network& network, Disk& disk, Truth& truth, SimAgents& agents,
                 std::string name, CoreOptions options);
  ~CoordinatorSim();

  const std::string& name() const { return name_; }
  bool running() const { return running_ != nullptr; }

  // Starts the process, which takes the store from another that has it.
  void Start();
  // kill -9.
  void Kill();
  void Stop();
  void Continue();
  SimClock& clock() { return clock_; }

  // A connection for a session has come in. False: nobody listens.
  bool Accept(const std::shared_ptr<Wire>& wire);
  // A unary call has come in, and `answer` takes its outcome back to the network.
  void Handle(const CallerClaims& claims, Method method, const std::string& request, Answer answer);

 private:
  struct Running;
  class Conversation;
  class UnaryCall;

  // What the proof under way for the device would have read; empty: none.
  std::string NonceOf(const std::string& device) const;

  World& world_;
  Network& network_;
  Disk& disk_;
  Truth& truth_;
  SimAgents& agents_;
  const std::string name_;
  const CoreOptions options_;
  SimClock clock_;
  std::unique_ptr<Running> running_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_COORDINATOR_SIM_H_
