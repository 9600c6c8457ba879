#include "server/core/status.h"

#include <algorithm>
#include <set>
#include <string>

#include "server/core/pools.h"
#include "server/core/recovery.h"

namespace weft {
namespace {

void Add(const v1::Usage& part, v1::Usage& sum) {
  sum.set_capacity_bytes(sum.capacity_bytes() + part.capacity_bytes());
  sum.set_free_bytes(sum.free_bytes() + part.free_bytes());
  sum.set_used_bytes(sum.used_bytes() + part.used_bytes());
  sum.set_scrubbing_bytes(sum.scrubbing_bytes() + part.scrubbing_bytes());
  sum.set_quarantined_bytes(sum.quarantined_bytes() + part.quarantined_bytes());
  sum.set_largest_free_bytes(std::max(sum.largest_free_bytes(), part.largest_free_bytes()));
  sum.set_free_extents(sum.free_extents() + part.free_extents());
  sum.set_segments(sum.segments() + part.segments());
  sum.set_devices(sum.devices() + part.devices());
}

}  // namespace

v1::ClusterStatus StatusOf(const State& state) {
  v1::ClusterStatus status;
  status.set_cluster_uuid(state.cluster.cluster_uuid());
  status.set_coordinator_version(state.options.version);
  status.set_revision(state.cluster.revision());
  status.set_epoch(state.cluster.epoch());
  for (const auto& [id, host] : state.hosts) {
    switch (host.record.host().state()) {
      case v1::HOST_ALIVE:
        status.set_hosts_alive(status.hosts_alive() + 1);
        break;
      case v1::HOST_FENCING:
        status.set_hosts_fencing(status.hosts_fencing() + 1);
        break;
      case v1::HOST_UNCERTAIN:
        status.set_hosts_uncertain(status.hosts_uncertain() + 1);
        break;
      default:
        break;
    }
  }
  std::set<std::string> awaited;
  for (const auto& [id, device] : state.devices) {
    if (!device.record.device().recovering()) continue;
    status.set_devices_recovering(status.devices_recovering() + 1);
    for (const std::string& host : AwaitedHosts(state, id)) awaited.insert(host);
  }
  for (const std::string& host : awaited) status.add_awaited_hosts(host);
  status.set_hosts_total(state.hosts.size());
  status.set_pools(state.pools.size());
  status.set_segments(state.segments.size());
  status.set_grants(state.grants.size());
  status.set_strays(state.strays.size());
  status.set_scrubs_pending(state.scrubs.size() - state.copies.size());
  status.set_copies(state.copies.size());
  for (const auto& [id, pool] : state.pools) Add(UsageOf(state, *pool), *status.mutable_usage());
  return status;
}

}  // namespace weft
