#include "server/node/kmod_inventory.h"

#include <algorithm>

#include "server/core/token_proto.h"

namespace weft {
namespace {

v1::KernelSegmentState ToProto(KmodState state) {
  switch (state) {
    case KmodState::kLive:
      return v1::KERNEL_LIVE;
    case KmodState::kRevoking:
      return v1::KERNEL_REVOKING;
    case KmodState::kRevoked:
      return v1::KERNEL_REVOKED;
    case KmodState::kDead:
      return v1::KERNEL_DEAD;
  }
  return v1::KERNEL_SEGMENT_STATE_UNSPECIFIED;
}

}  // namespace

absl::StatusOr<std::vector<v1::KernelSegment>> ListKernelSegments(Kmod& kmod, SegmentId after,
                                                                  size_t most) {
  absl::StatusOr<std::vector<KmodSegmentInfo>> segments = kmod.ListSegments();
  if (!segments.ok()) return segments.status();
  std::erase_if(*segments, [&](const KmodSegmentInfo& segment) {
    return segment.id <= after || segment.id.value() >= kFirstScrubSegment;
  });
  std::sort(segments->begin(), segments->end(),
            [](const auto& a, const auto& b) { return a.id < b.id; });
  if (segments->size() > most) segments->resize(most);
  std::vector<v1::KernelSegment> listed;
  for (const KmodSegmentInfo& segment : *segments) {
    const absl::StatusOr<std::vector<KmodHandleInfo>> handles = kmod.ListHandles(segment.id);
    if (absl::IsNotFound(handles.status())) continue;  // gone meanwhile
    if (!handles.ok()) return handles.status();
    v1::KernelSegment& kernel = listed.emplace_back();
    kernel.set_segment_id(segment.id.value());
    *kernel.mutable_token() = ToProto(segment.token);
    *kernel.mutable_last_token() = ToProto(segment.last_token);
    kernel.set_state(ToProto(segment.state));
    kernel.set_size_bytes(segment.size.value());
    kernel.set_pages_pinned(segment.pages_pinned);
    kernel.set_handles(static_cast<uint32_t>(handles->size()));
  }
  return listed;
}

}  // namespace weft
