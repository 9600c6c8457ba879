// The workloads, one by one: see workload.h.

#ifndef WEFT_TESTS_SIM_WORKLOADS_WORKLOADS_H_
#define WEFT_TESTS_SIM_WORKLOADS_WORKLOADS_H_

#include "tests/sim/cluster.h"

namespace weft::sim {

// The network loses, delays and doubles messages, and breaks connections.
void StartLossyNetwork(Cluster& cluster);
// The way between a host and a coordinator is cut, in one direction or both.
void StartPartitions(Cluster& cluster);
// A coordinator is killed and started again.
void StartCoordinatorCrashes(Cluster& cluster);
// A coordinator stands still for a while.
void StartCoordinatorStalls(Cluster& cluster);
// Another coordinator takes the store while the first believes that it leads.
void StartFailovers(Cluster& cluster);
// Commits fail: the disk is full, a sync fails, an answer is lost; or they are slow.
void StartStoreFaults(Cluster& cluster);
// The coordinator loses its store for a while, and another may find it.
void StartStoreCuts(Cluster& cluster);
// weftd is killed; systemd starts it again.
void StartDaemonCrashes(Cluster& cluster);
// weftd stands still, for up to more than its lease. The kernel does not.
void StartDaemonStalls(Cluster& cluster);
// The disk with weftd's state directory is full, or has errors.
void StartDaemonDiskFaults(Cluster& cluster);
// A machine loses its power and boots again.
void StartHostCrashes(Cluster& cluster);
// A machine stands still as a whole.
void StartHostFreezes(Cluster& cluster);
// Machines stand still past their leases, and go on before their timers do; the pool relies on
// fence agents, which fail, hang and are slow.
void StartFenceAgents(Cluster& cluster);
// Hosts whose backend cannot take anything back come and go: by themselves, by their power, and
// by an administrator's word.
void StartRawHosts(Cluster& cluster);
// Clocks run at wrong rates, within the bound; wall clocks jump.
void StartClockDrift(Cluster& cluster);
// Clients die at any step, and others take over; children live on with what they mapped.
void StartClientDeaths(Cluster& cluster);
// A device goes and comes back, under the same or another name.
void StartDeviceMoves(Cluster& cluster);
// A host gets a copy of a device in its place.
void StartDeviceClones(Cluster& cluster);
// A device loses its contents, and its label says so.
void StartDeviceLosses(Cluster& cluster);
// A device is drained for a while: what it has is copied to the other.
void StartDeviceDrains(Cluster& cluster);
// Lines of memory turn bad, and an administrator has them zeroed and used again.
void StartPoison(Cluster& cluster);

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_WORKLOADS_WORKLOADS_H_
