#include "client/cli/wait.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/arguments.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/core/errors.h"

namespace weft::cli {
namespace {

// Whether something that is waited for may have come true with this event.
bool Matters(v1::EventType type) {
  switch (type) {
    case v1::POOL_DELETED:
    case v1::DEVICE_DISCOVERED:
    case v1::DEVICE_JOINED:
    case v1::DEVICE_ATTACHED:
    case v1::DEVICE_CONTENTS_LOST:
    case v1::GRANT_RELEASED:
    case v1::HOST_FENCED:
    case v1::SEGMENT_DELETED:
    case v1::SEGMENT_MOVED:
    case v1::DEVICE_DRAIN_ENDED:
    case v1::HOST_DRAIN_ENDED:
    case v1::DEVICE_DRAINED:
    case v1::SCRUB_FINISHED:
      return true;
    default:
      return false;
  }
}

absl::StatusOr<uint64_t> CurrentRevision(Context& context) {
  const absl::StatusOr<v1::ClusterStatus> status =
      context.Call(&v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest());
  if (!status.ok()) return status.status();
  return status->revision();
}

absl::StatusOr<bool> PoolIsReady(Context& context, const std::string& name) {
  v1::GetPoolRequest request;
  request.set_name(name);
  const absl::StatusOr<v1::Pool> pool = context.Call(&v1::PoolService::Stub::GetPool, request);
  if (!pool.ok()) return pool.status();
  if (pool->usage().scrubbing_bytes() > 0) return false;

  const auto devices = context.List(&v1::DeviceService::Stub::ListDevices, v1::ListDevicesRequest(),
                                    [](auto& page) { return page.mutable_devices(); });
  if (!devices.ok()) return devices.status();
  return std::none_of(devices->begin(), devices->end(), [&](const v1::Device& device) {
    return device.pool() == name && device.state() == v1::DEVICE_JOINING;
  });
}

absl::StatusOr<bool> DeviceIsAttached(Context& context, const std::string& name) {
  v1::GetDeviceRequest request;
  request.set_name(name);
  const absl::StatusOr<v1::Device> device =
      context.Call(&v1::DeviceService::Stub::GetDevice, request);
  if (ReasonOf(device.status()) == v1::DEVICE_NOT_FOUND) return false;
  if (!device.ok()) return device.status();
  return std::any_of(device->attachments().begin(), device->attachments().end(),
                     [](const v1::Attachment& attachment) {
                       return attachment.state() == v1::ATTACHMENT_ATTACHED;
                     });
}

absl::StatusOr<bool> SegmentIsGone(Context& context, const std::string& name) {
  v1::GetSegmentRequest request;
  request.set_name(name);
  const absl::StatusOr<v1::Segment> segment =
      context.Call(&v1::SegmentService::Stub::GetSegment, request);
  if (ReasonOf(segment.status()) == v1::SEGMENT_NOT_FOUND) return true;
  if (!segment.ok()) return segment.status();
  // Not the one that was deleted, but another of its name.
  return segment->state() != v1::SEGMENT_DELETING;
}

}  // namespace

absl::Status WaitUntil(Context& context, const std::string& what,
                       absl::FunctionRef<absl::StatusOr<bool>()> done) {
  const absl::StatusOr<sdk::RpcClient*> coordinator = context.Coordinator();
  if (!coordinator.ok()) return coordinator.status();
  for (bool noted = false;; noted = true) {
    const absl::StatusOr<uint64_t> revision = CurrentRevision(context);
    if (!revision.ok()) return revision.status();
    absl::StatusOr<bool> is_done = done();
    if (!is_done.ok()) return is_done.status();
    if (*is_done) return absl::OkStatus();
    if (!noted) context.Note(absl::StrCat("waiting until ", what));
    const absl::Status watched =
        (*coordinator)->WatchEvents(*revision, [&](const v1::Event& event) {
          if (Matters(event.type())) is_done = done();
          return is_done.ok() && !*is_done;
        });
    if (!is_done.ok()) return is_done.status();
    // After EVENTS_COMPACTED: look and watch again.
    if (ReasonOf(watched) != v1::EVENTS_COMPACTED) return watched;
  }
}

absl::Status WaitForPool(Context& context, const std::string& pool) {
  return WaitUntil(context, absl::StrCat("all bytes of pool ", ShortName(pool), " are zeroed"),
                   [&] { return PoolIsReady(context, pool); });
}

absl::Status WaitForDevice(Context& context, const std::string& device) {
  return WaitUntil(context, absl::StrCat("the coordinator knows device ", ShortName(device)),
                   [&] { return DeviceIsAttached(context, device); });
}

absl::Status WaitForDeletion(Context& context, const std::string& segment) {
  return WaitUntil(context, absl::StrCat("the holders of ", ShortName(segment), " let go"),
                   [&] { return SegmentIsGone(context, segment); });
}

}  // namespace weft::cli
