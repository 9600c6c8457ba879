#include "server/node/label.h"
#include "tests/sim/workloads/workloads.h"

namespace weft::sim {
namespace {

constexpr uint64_t kLinesPerUnit = kExtentUnit.value() / kLineBytes;

// As whoever looks after the memory does when its power was cut: the label says so.
void WriteLabel(const PoolDevice& device, uint64_t power_epoch) {
  const Writer writer{Writer::Kind::kDaemon, "the fabric's manager", SegmentId(), Token()};
  Label label;
  label.device = device.id;
  label.capacity = device.memory->size();
  label.power_epoch = power_epoch;
  label.sequence = 1'000'000;
  for (const LabelCopy copy : {LabelCopy::kFirst, LabelCopy::kLast}) {
    const auto bytes = EncodeLabel(label, copy);
    device.memory->WriteBytes(writer, LabelOffset(copy, label.capacity), bytes).IgnoreError();
  }
}

}  // namespace

void StartDeviceLosses(Cluster& cluster) {
  const absl::Duration when = cluster.rng().Between(absl::Seconds(5), absl::Seconds(40));
  cluster.world().loop.After(when, [&cluster] {
    if (cluster.faults_over()) return;
    PoolDevice& device = cluster.devices()[cluster.rng().Below(cluster.devices().size())];
    cluster.world().Log("memory ", device.memory->number(), " loses its contents");
    cluster.world().Probe("device lost its contents");
    device.lost = true;
    device.memory->Forget();
    if (cluster.rng().OneIn(2)) WriteLabel(device, 2);
    // The machines see it go and come.
    for (const auto& host : cluster.hosts()) {
      for (const auto& [name, piece] : std::map(host->hardware())) {
        if (piece.memory != device.memory) continue;
        host->Unplug(name);
        host->Plug(name, piece.memory, piece.software_coherent);
      }
    }
  });
}

void StartPoison(Cluster& cluster) {
  cluster.NowAndThen(absl::Seconds(5), [&cluster] {
    PoolDevice& device = cluster.devices()[cluster.rng().Below(cluster.devices().size())];
    if (cluster.rng().OneIn(2)) {
      cluster.PoisonWhatIsFilled(device, cluster.rng().OneIn(2), absl::Seconds(2));
      return;
    }
    const uint64_t units = device.memory->size().value() / kExtentUnit.value();
    // Not where labels are.
    const uint64_t unit = 1 + cluster.rng().Below(units - 2);
    cluster.Poison(device, unit * kLinesPerUnit + cluster.rng().Below(4) * 8191);
  });
  cluster.NowAndThen(absl::Seconds(8), [&cluster] {
    cluster.ClearPoison(cluster.devices()[cluster.rng().Below(cluster.devices().size())]);
  });
}

}  // namespace weft::sim
