// A whole installation: coordinators, hosts, memory, network, clients.

#ifndef WEFT_TESTS_SIM_CLUSTER_H_
#define WEFT_TESTS_SIM_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/client_sim.h"
#include "tests/sim/coordinator_sim.h"
#include "tests/sim/history.h"
#include "tests/sim/host_sim.h"
#include "tests/sim/network.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/truth.h"
#include "tests/sim/world.h"

namespace weft::sim {

// One device of the pool, and what has become of it.
struct PoolDevice {
  DeviceId id;
  std::shared_ptr<Memory> memory;
  // What it held once it was formatted.
  std::shared_ptr<Memory> snapshot;
  bool software_coherent = false;
  // Its contents are gone: nothing that waits for it can be expected to end.
  bool lost = false;
};

struct ClusterConfig {
  // The pool's policy is AGENT, and hosts have fence agents; some have none.
  bool fence_agents = false;
  // Some hosts have the devdax backend. Devices are coherent by hardware then: what is in a cache
  // nobody could take back.
  bool raw_hosts = false;
  // Two devices, so that what one has can move to the other.
  bool two_devices = false;
};

class Cluster {
 public:
  Cluster(World& world, const ClusterConfig& config);

  // ---- For workloads

  World& world() { return world_; }
  Rng& rng() { return rng_; }
  Network& network() { return network_; }
  Disk& disk() { return disk_; }
  SimAgents& agents() { return agents_; }
  std::vector<std::unique_ptr<CoordinatorSim>>& coordinators() { return coordinators_; }
  std::vector<std::unique_ptr<HostSim>>& hosts() { return hosts_; }
  std::vector<PoolDevice>& devices() { return devices_; }
  std::vector<std::unique_ptr<ClientSim>>& clients() { return clients_; }
  HostSim& AnyHost() { return *hosts_[rng_.Below(hosts_.size())]; }
  absl::Duration session_ttl() const { return session_ttl_; }
  bool all_hardware_coherent() const;
  // Another piece of memory with what the device had at first, for `host`; or, at times, with what
  // it has at this moment, which only the challenge can tell, and only while another host that has
  // the device itself is attached. No longer than that it stays so: then it is as at first.
  std::shared_ptr<Memory> Copy(const Memory& memory, const HostSim& host);
  bool IsOfPool(const Memory& memory) const;
  // Unless the host has it already.
  void PlugIfMissing(HostSim& host, const std::string& name, const std::shared_ptr<Memory>& memory,
                     bool software_coherent);
  // The coordinator that has the store; null: none runs.
  CoordinatorSim* Leader();
  void StartClient(HostSim& host);
  // Takes the host's power away and keeps it so until an administrator has said that the host is
  // off and was told that this is taken to be so, or gave that up. No-op if that is under way.
  void PowerOffAndConfirm(HostSim& host);
  // As `weft host fence --force`, once: of a host that has an agent.
  void FenceByHand(const HostSim& host);
  // An administrator drains the device and, some time later, does not want that any more.
  void DrainForAWhile(const PoolDevice& device);

  // The line of the device turns bad: some machines hear of it, the others when they touch it.
  void Poison(const PoolDevice& device, uint64_t line);
  // So does one that is being zeroed, or copied to, as soon as there is one, if that is soon.
  void PoisonWhatIsFilled(const PoolDevice& device, bool copy, absl::Duration at_most);
  // As `weft device clear-poison`, once: a segment may have the memory, or a host not answer.
  void ClearPoison(const PoolDevice& device);

  // Does `fault` every now and then until the faults are over.
  void NowAndThen(absl::Duration pause_max, std::function<void()> fault);
  // Undoes something, at the latest when the faults are over.
  void UndoAfter(absl::Duration pause, std::function<void()> undo);
  bool faults_over() const { return faults_over_; }

  // ---- The course of a run. Each stops at a violation.

  void SetUp();
  void StartLoad();
  void RunFor(absl::Duration time);
  void EndFaults();
  // Everything that was asked for is done in bounded time, and nothing is left over.
  void Converge();
  void JudgeHistory();

 private:
  bool any_lost() const;
  void Format(PoolDevice& device);
  void AddDevices();
  // Those that would pass for the device once nobody is left who can tell.
  void AgeCopies();
  // Whether a host other than `except`, without a copy, is attached to the device.
  bool HasHolder(const DeviceId& device, const HostSim* except);
  bool HasCopy(const HostSim& host) const;
  HostSim& HostOf(const std::string& name);
  // What a fence agent has the power switch do.
  void CyclePower(HostSim& host);
  void ConfirmPowerOff(HostSim& host, int attempts);
  void UndrainUntilDone(const PoolDevice& device);
  void CallFenceHost(v1::FenceHostRequest request, const HostSim& host,
                     std::function<void(bool ok)> done);
  // Every host has the pool's devices, and no copies. One that cannot tell whether it has a lost
  // device mapped still, since it does not find it, is booted anew.
  void RestoreDevices();
  // As systemd does: one that was deposed only learns that it was.
  void KeepLeader();
  // Admin calls, repeated until they succeed.
  void CallUntilDone(Method method, const std::string& request,
                     std::function<bool(const absl::StatusOr<std::string>&)> done);
  void CreatePoolWhenKnown();
  void AwaitOrFail(absl::Duration at_most, const std::function<std::string()>& what_is_missing);
  std::string WhatIsLeft() const;
  std::string NotAttached() const;
  // What clients of a host hold and was not given back to them; empty: nothing.
  std::string NotResumed() const;
  // What a host knows to be bad and the coordinator does not; empty: nothing.
  std::string NotReported() const;
  bool AnyBad() const;
  // Whenever there is bad memory, from now on: a host may hear of some that another has cleared.
  void ClearAllPoison();
  void DeleteAll();

  World& world_;
  const ClusterConfig config_;
  Rng rng_;
  absl::Duration session_ttl_;
  absl::Duration client_pause_max_;
  SimAgents agents_;
  Network network_;
  Truth truth_;
  Disk disk_;
  History history_;
  std::vector<PoolDevice> devices_;
  int last_memory_ = 0;
  // That have what their devices had a moment ago, by the device.
  std::vector<std::pair<const PoolDevice*, std::shared_ptr<Memory>>> fresh_copies_;
  std::vector<std::unique_ptr<CoordinatorSim>> coordinators_;
  std::vector<std::unique_ptr<HostSim>> hosts_;
  std::vector<std::unique_ptr<ClientSim>> clients_;
  uint64_t last_client_ = 0;
  uint64_t last_fence_request_ = 0;
  uint64_t last_drain_request_ = 0;
  uint64_t last_clear_request_ = 0;
  bool pool_created_ = false;
  bool faults_over_ = false;
  std::vector<std::shared_ptr<std::function<void()>>> undos_;
  const std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_CLUSTER_H_
