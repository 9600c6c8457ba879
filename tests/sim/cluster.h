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
  // Another piece of memory with the contents that the device had at first. (A copy of the
  // last moment is nothing that the challenge can tell when no holder is alive.)
  std::shared_ptr<Memory> Copy(const Memory& memory);
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
  std::vector<std::unique_ptr<CoordinatorSim>> coordinators_;
  std::vector<std::unique_ptr<HostSim>> hosts_;
  std::vector<std::unique_ptr<ClientSim>> clients_;
  uint64_t last_client_ = 0;
  uint64_t last_fence_request_ = 0;
  uint64_t last_drain_request_ = 0;
  bool pool_created_ = false;
  bool faults_over_ = false;
  std::vector<std::shared_ptr<std::function<void()>>> undos_;
  const std::shared_ptr<void> alive_ = std::make_shared<int>();
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_CLUSTER_H_
