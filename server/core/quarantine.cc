#include "server/core/quarantine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/scrubs.h"

namespace weft {
namespace {

// Of one device; more are recorded by units.
constexpr size_t kMaxRecordedRanges = 8192;

using ProtoRanges = google::protobuf::RepeatedPtrField<v1::ByteRange>;

ByteRange RangeOf(const Extent& extent) { return {extent.offset, extent.length}; }

ByteRange DataArea(const v1::Device& device) {
  return {ByteOffset(device.data_offset_bytes()), ByteCount(device.data_bytes())};
}

// Whether the bytes of the device have owners at all.
bool IsAllocated(const DeviceState& device) {
  const v1::Device& record = device.record.device();
  return !record.pool().empty() && record.state() != v1::DEVICE_LOST;
}

void SetBad(DeviceState& device, ByteRanges bad, Changes& changes) {
  device.bad = Coarsened(bad, kMaxRecordedRanges);
  const std::string key = keys::Poison(DeviceIdOf(device));
  if (device.bad.empty()) {
    changes.Delete(key);
    return;
  }
  changes.Put(key, ToPoisonRecord(device.bad));
}

// Takes the free ones of the units around `bad` into quarantine.
void QuarantineFree(State& state, DeviceState& device, const ByteRanges& bad) {
  if (!IsAllocated(device)) return;
  const DeviceId id = DeviceIdOf(device);
  Allocator& allocator = PoolOfDevice(state, device).allocator;
  ByteRanges taken;
  for (const ByteRange& units : Intersection(ToUnits(bad), {DataArea(device.record.device())})) {
    for (ByteOffset at = units.offset; at < units.end(); at = at + kExtentUnit) {
      if (allocator.Reserve({id, at, kExtentUnit}).ok()) taken.push_back({at, kExtentUnit});
    }
  }
  device.quarantined = Union(device.quarantined, Joined(std::move(taken)));
}

// What hosts that see this memory find bad now, but for `except`.
ByteRanges BadOnHosts(const DeviceState& device, const std::string& except = "") {
  ByteRanges bad;
  for (const auto& [host, ranges] : device.bad_on) {
    const auto attachment = device.attachments.find(host);
    const bool counts = host != except && attachment != device.attachments.end() &&
                        attachment->second.attachment().state() == v1::ATTACHMENT_ATTACHED;
    if (counts) bad = Union(bad, ranges);
  }
  return bad;
}

// The segments that have some of `ranges` of the device.
absl::btree_map<SegmentId, ByteRanges> SegmentsWith(const State& state, const DeviceId& device,
                                                    const ByteRanges& ranges) {
  absl::btree_map<SegmentId, ByteRanges> found;
  for (const auto& [key, record] : state.segments) {
    for (const Extent& extent : ExtentsOf(record.segment())) {
      if (extent.device != device) continue;
      const ByteRanges part = Intersection(ranges, {RangeOf(extent)});
      if (part.empty()) continue;
      ByteRanges& all = found[SegmentId(record.segment().id())];
      all = Union(all, part);
    }
  }
  return found;
}

// Emits what became of `ranges`, and tells those who hold segments with them.
void Tell(State& state, const Context& context, const DeviceState& device, v1::EventType type,
          const ByteRanges& ranges, Changes& changes) {
  const auto segments = SegmentsWith(state, DeviceIdOf(device), ranges);
  std::vector<std::string> names;
  for (const auto& [id, part] : segments) {
    names.push_back(SegmentById(state, id).segment().name());
    RefreshHolders(state, id, changes);
  }
  Emit(state, context, type, device.record.device().name(), names.size() == 1 ? names[0] : "",
       Clip(absl::StrCat(TotalOf(ranges).value(), " bytes, the first at offset ",
                         ranges.front().offset.value(), names.empty() ? "" : ", of ",
                         absl::StrJoin(names, ", "))),
       changes);
}

// Starts to clear what is in quarantine of `units`.
void StartClearing(State& state, const Context& context, DeviceState& device,
                   const ByteRanges& units, Changes& changes) {
  const ByteRanges clear = Intersection(device.quarantined, units);
  if (clear.empty()) return;
  device.quarantined = Difference(device.quarantined, clear);
  const DeviceId id = DeviceIdOf(device);
  StartClearingScrub(state, context, id, ToExtents(id, clear), changes);
}

ByteRanges ExtentsOf(const store::v1::ScrubRecord& scrub) {
  ByteRanges ranges;
  for (const v1::Extent& extent : scrub.extents()) {
    ranges.push_back({ByteOffset(extent.offset_bytes()), ByteCount(extent.length_bytes())});
  }
  return Joined(std::move(ranges));
}

// The scrubs that will zero some of `ranges` of the device.
std::vector<uint64_t> ScrubsWith(const State& state, const DeviceId& device,
                                 const ByteRanges& ranges, ByteRanges* all) {
  std::vector<uint64_t> ids;
  for (const auto& [id, scrub] : state.scrubs) {
    ByteRanges rest;
    for (const Extent& extent : RemainingOf(scrub)) {
      if (extent.device == device) rest.push_back(RangeOf(extent));
    }
    rest = Joined(std::move(rest));
    if (Intersection(ToUnits(ranges), rest).empty()) continue;
    ids.push_back(id);
    *all = Union(*all, rest);
  }
  return ids;
}

// Bytes that nobody will zero can be cleared only if no host finds them bad any more.
absl::Status CheckRecovered(const State& state, const DeviceState& device,
                            const ByteRanges& ranges) {
  const ByteRanges bad = Intersection(ranges, BadOnHosts(device));
  if (bad.empty()) return absl::OkStatus();
  const auto segments = SegmentsWith(state, DeviceIdOf(device), bad);
  const std::string owner = segments.empty()
                                ? "the label, or no pool"
                                : SegmentById(state, segments.begin()->first).segment().name();
  return MakeError(absl::StatusCode::kDataLoss, v1::POISONED,
                   absl::StrCat(TotalOf(bad).value(), " bytes of ", device.record.device().name(),
                                ", the first at offset ", bad.front().offset.value(),
                                ", are still bad and belong to ", owner,
                                ": write whole pages of them with write(2), or delete the "
                                "segment"));
}

// Appends [offset, + length) of extent `index` of a run that begins at `base` of its segment.
void AppendOfRun(const v1::Run& run, int index, uint64_t base, uint64_t offset, uint64_t length,
                 ByteRanges& ranges) {
  if (run.extents_size() == 1) {
    ranges.push_back({ByteOffset(base + offset), ByteCount(length)});
    return;
  }
  const uint64_t chunk = run.chunk_bytes();
  const auto ways = static_cast<uint64_t>(run.extents_size());
  while (length > 0) {
    const uint64_t piece = std::min(length, chunk - offset % chunk);
    const uint64_t row = (offset / chunk * ways + static_cast<uint64_t>(index)) * chunk;
    ranges.push_back({ByteOffset(base + row + offset % chunk), ByteCount(piece)});
    offset += piece;
    length -= piece;
  }
}

}  // namespace

ByteRanges FromProto(const ProtoRanges& protos) {
  ByteRanges ranges;
  for (const v1::ByteRange& proto : protos) {
    ranges.push_back({ByteOffset(proto.offset_bytes()), ByteCount(proto.length_bytes())});
  }
  return Joined(std::move(ranges));
}

store::v1::PoisonRecord ToPoisonRecord(const ByteRanges& bad) {
  store::v1::PoisonRecord record;
  for (const ByteRange& range : bad) {
    record.add_ranges()->set_offset_bytes(range.offset.value());
    record.mutable_ranges()->rbegin()->set_length_bytes(range.length.value());
  }
  return record;
}

absl::Status CheckBadRanges(const ProtoRanges& ranges, uint64_t end) {
  for (const v1::ByteRange& range : ranges) {
    if (range.offset_bytes() <= end && range.length_bytes() <= end - range.offset_bytes()) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat(range.length_bytes(), " bytes at ", range.offset_bytes(),
                                  " are not within the device's ", end));
  }
  return absl::OkStatus();
}

void SetReportedBad(DeviceState& device, const std::string& host, const ProtoRanges& ranges) {
  if (ranges.empty()) {
    device.bad_on.erase(host);
  } else {
    device.bad_on[host] = FromProto(ranges);
  }
}

void TakeBadMemory(State& state, const Context& context, DeviceState& device, Changes& changes) {
  if (device.bad_on.empty()) return;
  const ByteRanges found = Difference(BadOnHosts(device), device.bad);
  if (found.empty()) return;
  SetBad(device, Union(device.bad, found), changes);
  QuarantineFree(state, device, found);
  Tell(state, context, device, v1::MEMORY_FAILED, found, changes);
}

std::vector<Extent> KeepBad(DeviceState& device, const std::vector<Extent>& extents) {
  if (device.bad.empty()) return extents;
  const ByteRanges units = ToUnits(device.bad);
  std::vector<Extent> good;
  for (const Extent& extent : extents) {
    const ByteRanges whole = {RangeOf(extent)};
    device.quarantined = Union(device.quarantined, Intersection(whole, units));
    const std::vector<Extent> rest = ToExtents(extent.device, Difference(whole, units));
    good.insert(good.end(), rest.begin(), rest.end());
  }
  return good;
}

void FreeZeroed(State& state, const Context& context, const store::v1::ScrubRecord& scrub,
                const Extent& extent, Changes& changes) {
  DeviceState& device = state.devices.at(extent.device);
  const ByteRanges zeroed = {RangeOf(extent)};
  if (scrub.clears_poison()) {
    const auto reported = device.bad_on.find(scrub.host());
    if (reported != device.bad_on.end()) reported->second = Difference(reported->second, zeroed);
    const ByteRanges cleared =
        Difference(Intersection(device.bad, zeroed), BadOnHosts(device, scrub.host()));
    if (!cleared.empty()) {
      SetBad(device, Difference(device.bad, cleared), changes);
      Tell(state, context, device, v1::POISON_CLEARED, cleared, changes);
    }
  }
  for (const Extent& good : KeepBad(device, {extent})) {
    PoolOfDevice(state, device).allocator.Free(good);
  }
}

void GoOnClearing(State& state, const Context& context, const store::v1::ScrubRecord& scrub,
                  Changes& changes) {
  if (!scrub.clears_poison()) return;
  const DeviceId id = weft::FromProto(scrub.extents(0)).device;
  StartClearing(state, context, state.devices.at(id), ExtentsOf(scrub), changes);
}

bool IsReporter(const DeviceState& device, const std::string& host,
                const store::v1::ScrubRecord& scrub) {
  const auto reported = device.bad_on.find(host);
  return scrub.clears_poison() && reported != device.bad_on.end() &&
         !Intersection(reported->second, ExtentsOf(scrub)).empty();
}

absl::StatusOr<v1::Device> ClearPoison(State& state, const Context& context,
                                       const v1::ClearPoisonRequest& request, Changes& changes) {
  const absl::StatusOr<DeviceId> id = FindDevice(state, request.name());
  if (!id.ok()) return id.status();
  DeviceState& device = state.devices.at(*id);
  const absl::Status sane =
      CheckBadRanges(request.ranges(), device.record.device().capacity_bytes());
  if (!sane.ok()) return sane;
  const ByteRanges wanted =
      request.ranges().empty() ? device.bad : Intersection(device.bad, FromProto(request.ranges()));
  ByteRanges scrubbed;
  const std::vector<uint64_t> scrubs = ScrubsWith(state, *id, wanted, &scrubbed);
  const ByteRanges rest = Difference(Difference(wanted, device.quarantined), scrubbed);
  if (absl::Status s = CheckRecovered(state, device, rest); !s.ok()) return s;
  for (const uint64_t scrub : scrubs) {
    state.scrubs.at(scrub).set_clears_poison(true);
    changes.Put(keys::Scrub(scrub), state.scrubs.at(scrub));
  }
  if (!rest.empty()) {
    SetBad(device, Difference(device.bad, rest), changes);
    Tell(state, context, device, v1::POISON_CLEARED, rest, changes);
  }
  StartClearing(state, context, device, ToUnits(wanted), changes);
  v1::GetDeviceRequest get;
  get.set_name(request.name());
  return GetDevice(state, get);
}

void IndexQuarantine(State& state) {
  for (auto& [id, device] : state.devices) QuarantineFree(state, device, device.bad);
}

void EndQuarantine(State& state, DeviceState& device) {
  for (const Extent& extent :
       ToExtents(DeviceIdOf(device), std::exchange(device.quarantined, {}))) {
    PoolOfDevice(state, device).allocator.Free(extent);
  }
}

void AddBadRanges(const State& state, v1::Segment& segment) {
  ByteRanges bad;
  uint64_t base = 0;
  for (const v1::Run& run : segment.runs()) {
    uint64_t run_bytes = 0;
    for (int i = 0; i < run.extents_size(); ++i) {
      const Extent extent = weft::FromProto(run.extents(i));
      run_bytes += extent.length.value();
      const auto device = state.devices.find(extent.device);
      if (device == state.devices.end()) continue;
      for (const ByteRange& range : Intersection(device->second.bad, {RangeOf(extent)})) {
        AppendOfRun(run, i, base, (range.offset - extent.offset).value(), range.length.value(),
                    bad);
      }
    }
    base += run_bytes;
  }
  segment.clear_bad_ranges();
  for (const ByteRange& range : Joined(std::move(bad))) {
    segment.add_bad_ranges()->set_offset_bytes(range.offset.value());
    segment.mutable_bad_ranges()->rbegin()->set_length_bytes(range.length.value());
  }
}

}  // namespace weft
