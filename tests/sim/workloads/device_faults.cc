#include "absl/strings/str_cat.h"
#include "tests/sim/workloads/workloads.h"

namespace weft::sim {
namespace {

// Where the host has a device of the pool; empty: nowhere.
std::string AnySlot(Cluster& cluster, const HostSim& host) {
  std::vector<std::string> names;
  for (const auto& [name, piece] : host.hardware()) {
    if (cluster.IsOfPool(*piece.memory)) names.push_back(name);
  }
  return names.empty() ? "" : names[cluster.rng().Below(names.size())];
}

std::string NewName(Cluster& cluster) {
  return absl::StrCat("dax", 10 + cluster.rng().Below(1'000'000), ".0");
}

}  // namespace

void StartDeviceMoves(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(8), [&cluster] {
    HostSim& host = cluster.AnyHost();
    const std::string name = AnySlot(cluster, host);
    if (name.empty()) return;
    const HostSim::Hardware piece = host.hardware().at(name);
    host.Unplug(name);
    const std::string next = cluster.rng().OneIn(2) ? name : NewName(cluster);
    if (next != name) cluster.world().Probe("device returns under another name");
    cluster.UndoAfter(cluster.rng().Between(absl::Milliseconds(1), absl::Seconds(6)),
                      [&cluster, &host, piece, next] {
                        cluster.PlugIfMissing(host, next, piece.memory, piece.software_coherent);
                      });
  });
}

void StartDeviceDrains(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(8), [&cluster] {
    cluster.DrainForAWhile(cluster.devices()[cluster.rng().Below(cluster.devices().size())]);
  });
}

void StartDeviceClones(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(10), [&cluster] {
    HostSim& host = cluster.AnyHost();
    const std::string name = AnySlot(cluster, host);
    if (name.empty()) return;
    const HostSim::Hardware piece = host.hardware().at(name);
    host.Unplug(name);
    const std::string as = cluster.rng().OneIn(2) ? name : NewName(cluster);
    cluster.world().loop.After(cluster.rng().Between(absl::Milliseconds(1), absl::Seconds(4)),
                               [&cluster, &host, as, piece] {
                                 if (cluster.faults_over()) return;
                                 cluster.world().Probe("device is a copy");
                                 host.Plug(as, cluster.Copy(*piece.memory, host), false);
                               });
    cluster.UndoAfter(cluster.rng().Between(absl::Seconds(5), absl::Seconds(20)),
                      [&cluster, &host, as, piece] {
                        if (host.hardware().contains(as)) host.Unplug(as);
                        cluster.PlugIfMissing(host, as, piece.memory, piece.software_coherent);
                      });
  });
}

}  // namespace weft::sim
