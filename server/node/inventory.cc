#include "server/node/inventory.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

namespace weft {
namespace {

constexpr int kMaxSkipped = 256;
constexpr size_t kMaxReason = 256;

int ExtentsOf(const v1::HostSegment& segment) {
  int extents = 0;
  for (const v1::Run& run : segment.grant().runs()) extents += run.extents_size();
  return extents;
}

}  // namespace

v1::HostInventory MergeSegments(std::vector<v1::HostSegment> granted,
                                const std::vector<v1::KernelSegment>& in_kernel) {
  std::map<uint64_t, v1::HostSegment> by_id;
  for (v1::HostSegment& segment : granted) {
    const uint64_t id = segment.segment_id();
    by_id[id] = std::move(segment);
  }
  for (const v1::KernelSegment& kernel : in_kernel) {
    v1::HostSegment& segment = by_id[kernel.segment_id()];
    segment.set_segment_id(kernel.segment_id());
    *segment.mutable_kernel() = kernel;
  }
  v1::HostInventory inventory;
  int extents = 0;
  for (auto& [id, segment] : by_id) {
    extents += ExtentsOf(segment);
    const auto segments = static_cast<size_t>(inventory.segments_size());
    if (segments > 0 && (segments == kMaxInventorySegments || extents > kMaxInventoryExtents)) {
      inventory.set_through_segment_id(inventory.segments().rbegin()->segment_id());
      break;
    }
    *inventory.add_segments() = std::move(segment);
  }
  return inventory;
}

bool ToldInventory::Tell(const v1::DeviceInventory& devices) {
  has_bad_ =
      std::any_of(devices.devices().begin(), devices.devices().end(),
                  [](const v1::LocalDevice& device) { return device.bad_ranges_size() > 0; });
  std::string bytes = devices.SerializeAsString();
  return std::exchange(told_, bytes) != bytes;
}

void InventoryReporter::Answer(const v1::InventoryRequest& request) {
  deps_.blocking.Post([this, request] {
    if (request.after_segment_id() == 0) rescan_();
    auto in_kernel = deps_.backend.KernelSegments(SegmentId(request.after_segment_id()),
                                                  kMaxInventorySegments + 1);
    deps_.executor.Post([this, request, in_kernel = std::move(in_kernel)]() mutable {
      Send(request, std::move(in_kernel));
    });
  });
}

void InventoryReporter::Send(const v1::InventoryRequest& request,
                             absl::StatusOr<std::vector<v1::KernelSegment>> in_kernel) {
  v1::NodeMessage message;
  v1::HostInventory& inventory = *message.mutable_inventory();
  if (in_kernel.ok()) {
    inventory = MergeSegments(
        deps_.keeper.Describe(SegmentId(request.after_segment_id()), kMaxInventorySegments + 1),
        *in_kernel);
    inventory.set_has_kernel(deps_.backend.kind() == v1::KMOD);
    if (request.after_segment_id() == 0) AddDevices(inventory);
  } else {
    inventory.set_error(std::string(in_kernel.status().message()));
  }
  inventory.set_request_id(request.request_id());
  send_(std::move(message));
}

void InventoryReporter::AddDevices(v1::HostInventory& inventory) const {
  *inventory.mutable_devices() = std::move(*deps_.catalog.Inventory().mutable_devices());
  for (v1::LocalDevice& device : *inventory.mutable_devices()) device.clear_bad_ranges();
  const v1::ListLocalDevicesResponse all = deps_.catalog.List();
  for (const v1::LocalDeviceInfo& info : all.devices()) {
    if (info.skipped().empty() || inventory.skipped_size() == kMaxSkipped) continue;
    inventory.add_skipped()->set_dax_name(info.dax_name());
    inventory.mutable_skipped()->rbegin()->set_reason(info.skipped().substr(0, kMaxReason));
  }
  for (const uint64_t scrub : deps_.worker.scrubs()) inventory.add_scrub_ids(scrub);
}

void InventoryReporter::Resync(std::function<void()> done) {
  deps_.blocking.Post([this, done = std::move(done)]() mutable {
    rescan_();
    const auto in_kernel =
        deps_.backend.KernelSegments(SegmentId(), std::numeric_limits<size_t>::max());
    deps_.executor.Post([this, in_kernel, done = std::move(done)] {
      if (in_kernel.ok()) {
        ForgetUnknown(*in_kernel);
      } else {
        spdlog::error("kernel_not_listed error=\"{}\"", std::string(in_kernel.status().message()));
      }
      done();
    });
  });
}

// Whoever is granted one of these meanwhile gets a later token, and the segment stays.
void InventoryReporter::ForgetUnknown(const std::vector<v1::KernelSegment>& in_kernel) {
  for (const v1::KernelSegment& segment : in_kernel) {
    if (deps_.keeper.HasGrant(SegmentId(segment.segment_id()))) continue;
    v1::GrantAssignment grant;
    grant.mutable_grant()->set_segment_id(segment.segment_id());
    *grant.mutable_grant()->mutable_token() = segment.token();
    spdlog::warn("segment_without_grant segment_id={} handles={}", segment.segment_id(),
                 segment.handles());
    deps_.keeper.Forget(grant);
  }
}

}  // namespace weft
