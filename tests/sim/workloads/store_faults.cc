#include "tests/sim/workloads/workloads.h"

namespace weft::sim {

void StartStoreFaults(Cluster& cluster) {
  Disk::Faults& faults = cluster.disk().faults;
  faults.sync_fails_one_in = 50 + cluster.rng().Below(200);
  faults.unreachable_one_in = 50 + cluster.rng().Below(200);
  faults.sync_time_max = cluster.rng().Between(absl::Microseconds(100), absl::Milliseconds(80));
  cluster.NowAndThen(absl::Seconds(8), [&cluster] {
    // One in four times longer than any lease.
    const bool long_full = cluster.rng().OneIn(4);
    cluster.disk().faults.full_one_in = long_full ? 1 : 1 + cluster.rng().Below(4);
    cluster.UndoAfter(long_full ? cluster.session_ttl() * 3
                                : cluster.rng().Between(absl::Milliseconds(10), absl::Seconds(5)),
                      [&cluster] { cluster.disk().faults.full_one_in = 0; });
  });
}

void StartStoreCuts(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(10), [&cluster] {
    cluster.disk().cut_off = true;
    cluster.world().Probe("store out of reach");
    cluster.UndoAfter(cluster.rng().Between(absl::Milliseconds(10), cluster.session_ttl() * 1.5),
                      [&cluster] { cluster.disk().cut_off = false; });
  });
}

}  // namespace weft::sim
