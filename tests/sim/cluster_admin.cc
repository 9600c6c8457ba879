// What administrators, and the power switches that fence agents reach, do to a cluster.

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "tests/sim/cluster.h"
#include "tests/sim/sim_transport.h"

namespace weft::sim {
namespace {

constexpr char kAdmin[] = "admin";
// Longer than a message can be on its way.
constexpr absl::Duration kHeldOff = absl::Seconds(4);

}  // namespace

void Cluster::CyclePower(HostSim& host) {
  if (host.frozen()) world_.Probe("fence agent stops a machine that stands still");
  host.PowerOff();
  world_.loop.After(rng_.Between(absl::Milliseconds(200), absl::Seconds(5)),
                    [&host] { host.PowerOn(); });
}

void Cluster::PowerOffAndConfirm(HostSim& host) {
  if (host.held_off()) return;
  host.SetHeldOff(true);
  host.PowerOff();
  ConfirmPowerOff(host, 10);
}

void Cluster::CallFenceHost(v1::FenceHostRequest request, const HostSim& host,
                            std::function<void(bool ok)> done) {
  request.set_name(absl::StrCat("hosts/", host.name()));
  request.set_request_id(absl::StrCat("fence-", ++last_fence_request_));
  CoordinatorSim& any = *coordinators_[rng_.Below(coordinators_.size())];
  CallCoordinator(network_, kAdmin, any, {}, Method::kFenceHost, request.SerializeAsString(),
                  absl::Seconds(2), alive_,
                  [done](const absl::StatusOr<std::string>& result) { done(result.ok()); });
}

void Cluster::FenceByHand(const HostSim& host) {
  v1::FenceHostRequest request;
  request.set_force(true);
  CallFenceHost(request, host, [this](bool ok) {
    if (ok) world_.Probe("host fenced by hand");
  });
}

void Cluster::ConfirmPowerOff(HostSim& host, int attempts) {
  v1::FenceHostRequest request;
  request.set_confirm_powered_off(true);
  CallFenceHost(request, host, [this, &host, attempts](bool ok) {
    if (ok) world_.Probe("power-off confirmed by hand");
    world_.loop.After(kHeldOff, [this, &host, attempts, ok] {
      if (!ok && attempts > 1) return ConfirmPowerOff(host, attempts - 1);
      host.SetHeldOff(false);
      host.PowerOn();
    });
  });
}

void Cluster::DrainForAWhile(const PoolDevice& device) {
  v1::DrainDeviceRequest request;
  request.set_name(FormatDeviceName(device.id));
  request.set_revoke(rng_.OneIn(2));
  request.set_request_id(absl::StrCat("drain-", ++last_drain_request_));
  CoordinatorSim& any = *coordinators_[rng_.Below(coordinators_.size())];
  CallCoordinator(network_, kAdmin, any, {}, Method::kDrainDevice, request.SerializeAsString(),
                  absl::Seconds(2), alive_, [](const absl::StatusOr<std::string>&) {});
  UndoAfter(rng_.Between(absl::Seconds(1), absl::Seconds(15)),
            [this, &device] { UndrainUntilDone(device); });
}

void Cluster::UndrainUntilDone(const PoolDevice& device) {
  v1::UndrainDeviceRequest request;
  request.set_name(FormatDeviceName(device.id));
  request.set_request_id(absl::StrCat("drain-", ++last_drain_request_));
  CallUntilDone(Method::kUndrainDevice, request.SerializeAsString(),
                [](const absl::StatusOr<std::string>& result) {
                  return result.ok() || absl::IsFailedPrecondition(result.status());
                });
}

void Cluster::ClearPoison(const PoolDevice& device) {
  v1::ClearPoisonRequest request;
  request.set_name(FormatDeviceName(device.id));
  request.set_request_id(absl::StrCat("clear-", ++last_clear_request_));
  CoordinatorSim& any = *coordinators_[rng_.Below(coordinators_.size())];
  CallCoordinator(network_, kAdmin, any, {}, Method::kClearPoison, request.SerializeAsString(),
                  absl::Seconds(2), alive_, [this](const absl::StatusOr<std::string>& result) {
                    if (ReasonOf(result.status()) == v1::POISONED) {
                      world_.Probe("bad memory of a segment is not cleared");
                    }
                  });
}

void Cluster::ClearAllPoison() {
  for (const PoolDevice& device : devices_) {
    if (!device.lost && truth_.HasBad(device.id)) ClearPoison(device);
  }
  world_.loop.After(absl::Seconds(2), [this] { ClearAllPoison(); });
}

void Cluster::CallUntilDone(Method method, const std::string& request,
                            std::function<bool(const absl::StatusOr<std::string>&)> done) {
  const auto again = [this, method, request, done] {
    world_.loop.After(absl::Milliseconds(500),
                      [this, method, request, done] { CallUntilDone(method, request, done); });
  };
  // One that was deposed may not know it.
  CoordinatorSim& any = *coordinators_[rng_.Below(coordinators_.size())];
  CallCoordinator(network_, kAdmin, any, {}, method, request, absl::Seconds(2), alive_,
                  [again, done](const absl::StatusOr<std::string>& result) {
                    if (!done(result)) again();
                  });
}

void Cluster::CreatePoolWhenKnown() {
  v1::CreatePoolRequest request;
  request.set_pool_id("p");
  request.set_request_id("create-pool");
  for (const PoolDevice& device : devices_) request.add_devices(FormatDeviceName(device.id));
  if (rng_.OneIn(2)) request.mutable_pool()->set_revoke_grace_ms(200);
  if (config_.fence_agents) request.mutable_pool()->set_fencing(v1::AGENT);
  CallUntilDone(
      Method::kCreatePool, request.SerializeAsString(),
      [this](const absl::StatusOr<std::string>& result) { return pool_created_ = result.ok(); });
}

void Cluster::DeleteAll() {
  for (const auto& [id, record] : truth_.segments()) {
    v1::DeleteSegmentRequest request;
    request.set_name(record.segment().name());
    request.set_request_id(absl::StrCat("delete-", id.value()));
    CallUntilDone(Method::kDeleteSegment, request.SerializeAsString(),
                  [](const absl::StatusOr<std::string>& result) {
                    return result.ok() || absl::IsNotFound(result.status());
                  });
  }
}

}  // namespace weft::sim
