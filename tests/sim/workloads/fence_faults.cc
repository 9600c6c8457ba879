#include "tests/sim/workloads/workloads.h"

namespace weft::sim {

void StartFenceAgents(Cluster& cluster) {
  cluster.agents().faulty = true;
  cluster.NowAndThen(absl::Seconds(30), [&cluster] { cluster.FenceByHand(cluster.AnyHost()); });
  cluster.NowAndThen(absl::Seconds(8), [&cluster] {
    HostSim& host = cluster.AnyHost();
    if (host.frozen()) return;
    host.Freeze();
    const absl::Duration time =
        cluster.rng().Between(absl::Milliseconds(10), cluster.session_ttl() * 3);
    cluster.UndoAfter(time, [&cluster, &host, time] {
      const bool past_lease = time > cluster.session_ttl();
      if (past_lease && host.frozen()) cluster.world().Probe("machine goes on past its lease");
      host.Thaw(/*timers_first=*/cluster.rng().OneIn(4));
    });
  });
}

void StartRawHosts(Cluster& cluster) {
  // Long enough for the host to be UNCERTAIN.
  cluster.NowAndThen(absl::Seconds(15), [&cluster] {
    HostSim& host = cluster.AnyHost();
    if (cluster.rng().OneIn(2)) {
      cluster.PowerOffAndConfirm(host);
      return;
    }
    host.StopDaemon();
    cluster.UndoAfter(cluster.rng().Between(absl::ZeroDuration(), cluster.session_ttl() * 3),
                      [&host] { host.ContinueDaemon(); });
  });
}

}  // namespace weft::sim
