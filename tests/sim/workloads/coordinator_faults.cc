#include "tests/sim/workloads/workloads.h"

namespace weft::sim {
namespace {

// Each host sees one of the two coordinators only, for a while.
void SplitHosts(Cluster& cluster) {
  cluster.world().Probe("hosts see different coordinators");
  for (const auto& host : cluster.hosts()) {
    const std::string& name =
        cluster.coordinators()[cluster.rng().Below(cluster.coordinators().size())]->name();
    cluster.network().Cut(host->name(), name);
    cluster.network().Cut(name, host->name());
    cluster.UndoAfter(cluster.rng().Between(cluster.session_ttl(), cluster.session_ttl() * 3),
                      [&cluster, &host, &name] {
                        cluster.network().Heal(host->name(), name);
                        cluster.network().Heal(name, host->name());
                      });
  }
}

}  // namespace

void StartCoordinatorCrashes(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(6), [&cluster] {
    CoordinatorSim* const leader = cluster.Leader();
    if (leader == nullptr) return;
    leader->Kill();
    const absl::Duration down =
        cluster.rng().OneIn(4) ? cluster.rng().Between(absl::Seconds(1), absl::Seconds(12))
                               : cluster.rng().Between(absl::Milliseconds(1), absl::Seconds(1));
    cluster.UndoAfter(down, [&cluster, leader] {
      if (cluster.Leader() == nullptr) leader->Start();
    });
  });
}

void StartCoordinatorStalls(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(10), [&cluster] {
    CoordinatorSim* const leader = cluster.Leader();
    if (leader == nullptr) return;
    cluster.world().Log(leader->name(), ": stands still");
    leader->Stop();
    const absl::Duration time =
        cluster.rng().Between(absl::Milliseconds(10), cluster.session_ttl() * 1.5);
    cluster.world().Probe(time < cluster.session_ttl() ? "coordinator stands still"
                                                       : "coordinator stands still past leases");
    cluster.UndoAfter(time, [leader] { leader->Continue(); });
  });
}

void StartFailovers(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(10), [&cluster] {
    for (const auto& coordinator : cluster.coordinators()) {
      if (coordinator->running()) continue;
      coordinator->Start();
      cluster.world().Probe("another coordinator takes over");
      if (cluster.rng().OneIn(2)) SplitHosts(cluster);
      return;
    }
  });
}

}  // namespace weft::sim
