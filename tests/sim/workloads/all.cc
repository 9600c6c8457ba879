#include "tests/sim/workload.h"
#include "tests/sim/workloads/workloads.h"

namespace weft::sim {

const std::vector<Workload>& AllWorkloads() {
  static const std::vector<Workload> all = {
      {"lossy-network",
       StartLossyNetwork,
       {"message lost", "message duplicated", "message much delayed", "connection broken",
        "call retried"}},
      {"partitions",
       StartPartitions,
       {"one-way partition", "two-way partition", "stalled packet comes late", "dead-man fired",
        "segment resumed"}},
      {"coordinator-crashes",
       StartCoordinatorCrashes,
       {"unsynced transaction lost", "unsynced transaction kept"}},
      {"coordinator-stalls", StartCoordinatorStalls, {}},
      {"failovers", StartFailovers, {"another coordinator takes over", "coordinator deposed"}},
      {"store-faults",
       StartStoreFaults,
       {"store full", "unknown outcome: committed", "unknown outcome: lost",
        "recovery fails at first"}},
      {"store-cuts", StartStoreCuts, {"store out of reach"}},
      {"daemon-crashes",
       StartDaemonCrashes,
       {"handle adopted by the daemon's next run", "handle stale after the daemon's restart",
        "descriptor dropped before it reached a client"}},
      {"daemon-stalls", StartDaemonStalls, {"daemon starts while the dead-man takes back"}},
      {"host-crashes", StartHostCrashes, {}},
      {"host-freezes", StartHostFreezes, {"machine stands still"}},
      {"fence-agents",
       StartFenceAgents,
       {"fence agent succeeds", "fence agent fails", "fence agent hangs",
        "fence agent fails after it acted", "fence agent outlives its coordinator",
        "coordinator dies while a fence agent runs",
        "fence agent stops a machine that stands still", "machine goes on past its lease",
        "host is fenced", "fencing goes on after a failover"},
       [](ClusterConfig& config) { config.fence_agents = true; }},
      {"raw-hosts",
       StartRawHosts,
       {"uncertain host comes back", "uncertain host comes back after a reboot",
        "uncertain host is fenced", "power-off confirmed by hand",
        "host that cannot revoke expires"},
       [](ClusterConfig& config) { config.raw_hosts = true; }},
      {"clock-drift", StartClockDrift, {}},
      {"client-deaths",
       StartClientDeaths,
       {"client dies", "client dies, a child has its mappings", "revoke notice",
        "dirty lines written back"}},
      {"device-moves",
       StartDeviceMoves,
       {"device returns under another name", "device unplugged under the module"}},
      {"device-clones", StartDeviceClones, {"device is a copy"}},
      {"device-losses", StartDeviceLosses, {"device lost its contents"}},
      {"poison", StartPoison, {"memory turned bad"}},
  };
  return all;
}

}  // namespace weft::sim
