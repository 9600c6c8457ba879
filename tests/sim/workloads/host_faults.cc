#include "tests/sim/workloads/workloads.h"

namespace weft::sim {
namespace {

// So far apart that a lease just outlives the host's: the coordinator's clock gains less than
// 1000 ppm on the slowest host's.
constexpr int64_t kSlowestPpm = -500;
constexpr int64_t kFastestPpm = 499;

int64_t AnyRatePpm(Rng& rng) {
  switch (rng.Below(4)) {
    case 0:
      return kSlowestPpm;
    case 1:
      return kFastestPpm;
    default:
      return kSlowestPpm + static_cast<int64_t>(rng.Below(kFastestPpm - kSlowestPpm + 1));
  }
}

}  // namespace

void StartDaemonCrashes(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(5), [&cluster] { cluster.AnyHost().KillDaemon(); });
}

void StartDaemonStalls(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(8), [&cluster] {
    HostSim& host = cluster.AnyHost();
    host.StopDaemon();
    cluster.UndoAfter(cluster.rng().Between(absl::Milliseconds(10), cluster.session_ttl() * 2),
                      [&host] { host.ContinueDaemon(); });
  });
}

void StartDaemonDiskFaults(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(5), [&cluster] {
    HostSim& host = cluster.AnyHost();
    host.state_dir_faults.full = cluster.rng().OneIn(2);
    if (!host.state_dir_faults.full)
      host.state_dir_faults.fails_one_in = 1 + cluster.rng().Below(3);
    cluster.UndoAfter(cluster.rng().Between(absl::Milliseconds(10), absl::Seconds(8)),
                      [&host] { host.state_dir_faults = HostSim::StateDirFaults(); });
  });
}

void StartHostCrashes(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(12), [&cluster] {
    HostSim& host = cluster.AnyHost();
    cluster.world().Probe(host.grants_held() > 0 ? "host with segments loses its power"
                                                 : "host without segments loses its power");
    host.PowerOff();
    cluster.UndoAfter(cluster.rng().Between(absl::Milliseconds(500), cluster.session_ttl() * 2),
                      [&host] { host.PowerOn(); });
  });
}

// Past its lease a machine that stands still can neither stop its stores in time nor keep
// its caches from writing back: that is what fence agents are for (docs/ARCHITECTURE.md).
// Its timers are played as the first thing that runs when it goes on; dirty lines must be
// written back in time then, for which a tenth of the lease is left.
void StartHostFreezes(Cluster& cluster) {
  const absl::Duration longest =
      cluster.all_hardware_coherent() ? cluster.session_ttl() * 2 : cluster.session_ttl() / 10;
  cluster.NowAndThen(absl::Seconds(8), [&cluster, longest] {
    HostSim& host = cluster.AnyHost();
    host.Freeze();
    cluster.world().Probe("machine stands still");
    cluster.UndoAfter(cluster.rng().Between(absl::Milliseconds(10), longest),
                      [&host] { host.Thaw(/*timers_first=*/true); });
  });
}

void StartClockDrift(Cluster& cluster) {
  for (const auto& host : cluster.hosts()) host->SetClockRate(AnyRatePpm(cluster.rng()));
  for (const auto& coordinator : cluster.coordinators()) {
    coordinator->clock().SetRate(AnyRatePpm(cluster.rng()));
  }
  cluster.NowAndThen(absl::Seconds(10), [&cluster] {
    HostSim& host = cluster.AnyHost();
    const int64_t rate = AnyRatePpm(cluster.rng());
    cluster.world().Probe(rate < 0 ? "clock is slow" : "clock is fast");
    host.SetClockRate(rate);
    cluster.coordinators()[cluster.rng().Below(cluster.coordinators().size())]->clock().SetRate(
        AnyRatePpm(cluster.rng()));
    if (cluster.rng().OneIn(2)) {
      cluster.world().Probe("wall clock of a host is set");
      host.clock().StepWall(cluster.rng().Between(-absl::Hours(30), absl::Hours(30)));
    } else {
      cluster.world().Probe("wall clock of a coordinator is set");
      // Together less than the day for which request ids are kept.
      cluster.coordinators()[0]->clock().StepWall(
          cluster.rng().Between(-absl::Hours(2), absl::Hours(2)));
    }
  });
}

void StartClientDeaths(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(2), [&cluster] {
    if (cluster.clients().empty()) return;
    ClientSim& client = *cluster.clients()[cluster.rng().Below(cluster.clients().size())];
    client.Die(cluster.rng().OneIn(3));
  });
}

}  // namespace weft::sim
