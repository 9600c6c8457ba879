// The fence agents of the cluster, as programs that coordinators start, and the power switches
// behind them.

#ifndef WEFT_TESTS_SIM_SIM_AGENTS_H_
#define WEFT_TESTS_SIM_SIM_AGENTS_H_

#include <functional>
#include <string>

#include "server/coordinator/fence_agents.h"
#include "tests/sim/process.h"
#include "tests/sim/world.h"

namespace weft::sim {

class SimAgents {
 public:
  // As TakeFenceResult's `failure`.
  using Done = std::function<void(const std::string& failure)>;

  // `cycle_power`: takes the host's power away, and gives it back some time later.
  SimAgents(World& world, std::function<void(const std::string& host)> cycle_power)
      : world_(world), rng_(world.rng.Fork()), cycle_power_(std::move(cycle_power)) {}

  // The host has an agent.
  void Add(const std::string& host) { agents_[host] = {.command = "fence_sim"}; }
  const FenceAgents& agents() const { return agents_; }
  bool Has(const std::string& host) const { return agents_.contains(host); }

  // They fail, hang, are slow, and fail after they did what they should.
  bool faulty = false;

  // Runs the agent of `host`; its end is heard by `starter` if that lives then. REQUIRES: Has.
  void Run(Process& starter, const std::string& host, const Done& done);

 private:
  enum class Course { kSucceeds, kFails, kHangs, kFailsAfterActing };

  Course AnyCourse();

  World& world_;
  Rng rng_;
  const std::function<void(const std::string& host)> cycle_power_;
  FenceAgents agents_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_AGENTS_H_
