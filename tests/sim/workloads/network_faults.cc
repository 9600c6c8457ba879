#include "tests/sim/workloads/workloads.h"

namespace weft::sim {

void StartLossyNetwork(Cluster& cluster) {
  LinkFaults& faults = cluster.network().faults;
  faults.drop_one_in = 100 + cluster.rng().Below(400);
  faults.duplicate_one_in = 20 + cluster.rng().Below(100);
  faults.delay_one_in = 20 + cluster.rng().Below(200);
  faults.delay_max = cluster.rng().Between(absl::Milliseconds(1), absl::Milliseconds(50));
}

void StartPartitions(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(8), [&cluster] {
    const std::string host = cluster.AnyHost().name();
    Network& network = cluster.network();
    const uint64_t ways = 1 + cluster.rng().Below(3);
    const absl::Duration time =
        cluster.rng().Between(absl::Milliseconds(100), cluster.session_ttl() * 2);
    for (const auto& coordinator : cluster.coordinators()) {
      const std::string& name = coordinator->name();
      if (ways & 1) network.Cut(host, name);
      if (ways & 2) network.Cut(name, host);
    }
    cluster.world().Log("cut: ", host, " ways ", ways, " for ", absl::FormatDuration(time));
    cluster.world().Probe(ways == 3 ? "two-way partition" : "one-way partition");
    cluster.UndoAfter(time, [&cluster, host] {
      for (const auto& coordinator : cluster.coordinators()) {
        cluster.network().Heal(host, coordinator->name());
        cluster.network().Heal(coordinator->name(), host);
      }
    });
  });
}

}  // namespace weft::sim
