#include "client/sdk/internal/convert.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/core/names.h"

namespace weft::sdk {
namespace {

SharingMode FromProto(v1::SharingMode mode) {
  switch (mode) {
    case v1::EXCLUSIVE:
      return SharingMode::kExclusive;
    case v1::SHARED:
      return SharingMode::kShared;
    default:
      return SharingMode::kSingleWriter;
  }
}

Placement FromProto(v1::Placement placement) {
  switch (placement) {
    case v1::PACK:
      return Placement::kPack;
    case v1::SPREAD:
      return Placement::kSpread;
    case v1::STRIPED:
      return Placement::kStriped;
    case v1::LOCAL:
      return Placement::kLocal;
    default:
      return Placement::kPoolDefault;
  }
}

SegmentState FromProto(v1::SegmentState state) {
  switch (state) {
    case v1::SEGMENT_DELETING:
      return SegmentState::kDeleting;
    case v1::SEGMENT_LOST:
      return SegmentState::kLost;
    default:
      return SegmentState::kActive;
  }
}

Run FromProto(const v1::Run& run) {
  Run result;
  result.chunk_bytes = run.chunk_bytes();
  for (const v1::Extent& extent : run.extents()) {
    result.extents.push_back({extent.device(), extent.offset_bytes(), extent.length_bytes()});
  }
  return result;
}

}  // namespace

v1::AccessMode ToProto(AccessMode mode) {
  return mode == AccessMode::kReadWrite ? v1::READ_WRITE : v1::READ_ONLY;
}

v1::SharingMode ToProto(SharingMode mode) {
  switch (mode) {
    case SharingMode::kSingleWriter:
      return v1::SINGLE_WRITER;
    case SharingMode::kExclusive:
      return v1::EXCLUSIVE;
    case SharingMode::kShared:
      return v1::SHARED;
  }
  return v1::SHARING_MODE_UNSPECIFIED;
}

v1::Placement ToProto(Placement placement) {
  switch (placement) {
    case Placement::kPoolDefault:
      return v1::PLACEMENT_UNSPECIFIED;
    case Placement::kPack:
      return v1::PACK;
    case Placement::kSpread:
      return v1::SPREAD;
    case Placement::kStriped:
      return v1::STRIPED;
    case Placement::kLocal:
      return v1::LOCAL;
  }
  return v1::PLACEMENT_UNSPECIFIED;
}

v1::Incarnation ToProto(const Incarnation& incarnation) {
  v1::Incarnation result;
  result.set_segment_id(incarnation.segment_id);
  result.set_generation(incarnation.generation);
  for (const DeviceIncarnation& device : incarnation.devices) {
    v1::DeviceIncarnation* const added = result.add_devices();
    added->set_device(device.device);
    added->set_power_epoch(device.power_epoch);
  }
  return result;
}

AccessMode FromProto(v1::AccessMode mode) {
  return mode == v1::READ_WRITE ? AccessMode::kReadWrite : AccessMode::kReadOnly;
}

Token FromProto(const v1::Token& token) { return {token.epoch(), token.counter()}; }

Incarnation FromProto(const v1::Incarnation& incarnation) {
  Incarnation result = {incarnation.segment_id(), incarnation.generation(), {}};
  for (const v1::DeviceIncarnation& device : incarnation.devices()) {
    result.devices.push_back({device.device(), device.power_epoch()});
  }
  return result;
}

std::vector<ByteRange> FromProto(const google::protobuf::RepeatedPtrField<v1::ByteRange>& ranges) {
  std::vector<ByteRange> result;
  for (const v1::ByteRange& range : ranges) {
    result.push_back({range.offset_bytes(), range.length_bytes()});
  }
  return result;
}

Segment FromProto(const v1::Segment& segment) {
  Segment result;
  result.name = ShortName(segment.name());
  result.id = segment.id();
  result.size_bytes = segment.size_bytes();
  result.sharing = FromProto(segment.sharing());
  result.placement = FromProto(segment.placement());
  result.stripe_devices = segment.stripe_devices();
  result.chunk_bytes = segment.chunk_bytes();
  result.state = FromProto(segment.state());
  result.generation = segment.generation();
  for (const v1::Run& run : segment.runs()) result.runs.push_back(FromProto(run));
  result.coherence =
      segment.coherence() == v1::HARDWARE ? Coherence::kHardware : Coherence::kSoftware;
  result.owner = segment.owner();
  result.bad_ranges = FromProto(segment.bad_ranges());
  return result;
}

absl::StatusOr<Backend> FromProto(v1::Backend backend) {
  switch (backend) {
    case v1::KMOD:
      return Backend::kKmod;
    case v1::DEVDAX:
      return Backend::kDevdax;
    case v1::EMULATED:
      return Backend::kEmulated;
    default:
      return absl::InternalError(absl::StrCat("weftd gives out handles by backend ",
                                              static_cast<int>(backend),
                                              ", which this version of the SDK does not know"));
  }
}

absl::StatusOr<std::string> ResourceName(std::string_view name) {
  const absl::StatusOr<SegmentName> parsed = ParseShortSegmentName(name);
  if (!parsed.ok()) return parsed.status();
  return FormatSegmentName(*parsed);
}

std::string ShortName(const std::string& resource_name) {
  const absl::StatusOr<SegmentName> parsed = ParseSegmentName(resource_name);
  return parsed.ok() ? absl::StrCat(parsed->pool, "/", parsed->segment) : resource_name;
}

}  // namespace weft::sdk
