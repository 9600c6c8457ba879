// What becomes of the memory of a cluster: it turns bad, and others are copies of it.

#include <algorithm>
#include <utility>

#include "tests/sim/cluster.h"

namespace weft::sim {
namespace {

constexpr uint64_t kLinesPerUnit = kExtentUnit.value() / kLineBytes;

}  // namespace

void Cluster::Poison(const PoolDevice& device, uint64_t line) {
  world_.Log("line ", line, " of memory ", device.memory->number(), " turns bad");
  world_.Probe("memory turned bad");
  device.memory->Poison(line);
  for (const auto& host : hosts_) {
    if (rng_.OneIn(2)) host->OnMemoryFailure(*device.memory, line);
  }
}

void Cluster::PoisonWhatIsFilled(const PoolDevice& device, bool copy, absl::Duration at_most) {
  constexpr absl::Duration kPause = absl::Milliseconds(1);
  if (faults_over_ || at_most < kPause) return;
  const std::optional<uint64_t> unit = truth_.NextScrubbed(device.id, 0, copy);
  if (unit) return Poison(device, *unit * kLinesPerUnit);
  world_.loop.After(kPause, [this, &device, copy, at_most] {
    PoisonWhatIsFilled(device, copy, at_most - kPause);
  });
}

std::shared_ptr<Memory> Cluster::Copy(const Memory& memory, const HostSim& host) {
  const auto device = std::find_if(devices_.begin(), devices_.end(), [&](const PoolDevice& one) {
    return one.memory->number() == memory.number();
  });
  if (rng_.OneIn(3) || !HasHolder(device->id, &host))
    return device->snapshot->Clone(++last_memory_);
  world_.Probe("device is a copy of this moment");
  fresh_copies_.emplace_back(&*device, memory.Clone(++last_memory_));
  return fresh_copies_.back().second;
}

bool Cluster::HasCopy(const HostSim& host) const {
  const auto& plugged = host.hardware();
  return std::any_of(plugged.begin(), plugged.end(),
                     [this](const auto& piece) { return !IsOfPool(*piece.second.memory); });
}

bool Cluster::HasHolder(const DeviceId& device, const HostSim* except) {
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
    const auto it = truth_.attachments().find({device, host->name()});
    return host.get() != except && !HasCopy(*host) && it != truth_.attachments().end() &&
           it->second.attachment().state() == v1::ATTACHMENT_ATTACHED;
  });
}

void Cluster::AgeCopies() {
  std::erase_if(fresh_copies_, [this](const auto& entry) {
    const auto& [device, memory] = entry;
    if (HasHolder(device->id, nullptr)) return false;
    world_.Log("memory ", memory->number(), " becomes an old copy: nobody could tell it");
    world_.Probe("copy of this moment loses who could tell it");
    memory->Become(*device->snapshot);
    return true;
  });
}

}  // namespace weft::sim
