#include "server/core/copies.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/names.h"
#include "server/core/runs.h"
#include "server/core/scrubs.h"

namespace weft {
namespace {

// Why the segment cannot have what was copied; empty: it can.
std::string WhyNotSwitched(const State& state, const store::v1::ScrubRecord& record) {
  const SegmentId id(record.copy().segment_id());
  const Extent from = FromProto(record.copy().from());
  const v1::DeviceState source = state.devices.at(from.device).record.device().state();
  if (source == v1::DEVICE_LOST || state.losing_segments.contains(id) ||
      SegmentById(state, id).segment().state() != v1::SEGMENT_ACTIVE) {
    return "its contents are lost";
  }
  const std::vector<Extent> to = RemainingOf(record);
  const bool bad_place =
      std::any_of(to.begin(), to.end(), [&](const Extent& extent) { return IsBad(state, extent); });
  if (bad_place) return "the memory it was copied to failed";
  if (IsBad(state, from)) return "memory of it failed";
  return "";
}

v1::Coherence CoherenceOf(const State& state, const v1::Segment& segment) {
  const std::vector<Extent> extents = ExtentsOf(segment);
  const bool hardware = std::all_of(extents.begin(), extents.end(), [&](const Extent& extent) {
    return state.devices.at(extent.device).record.device().coherence() == v1::HARDWARE;
  });
  return hardware ? v1::HARDWARE : v1::SOFTWARE;
}

// The segment has `to` instead of `from` from now on. Returns its new id.
SegmentId Replace(State& state, SegmentId old_id, const Extent& from, const std::vector<Extent>& to,
                  Changes& changes) {
  const SegmentKey key = state.segment_by_id.at(old_id);
  store::v1::SegmentRecord& record = state.segments.at(key);
  v1::Segment& segment = *record.mutable_segment();
  const SegmentId id(state.cluster.last_segment_id() + 1);
  state.cluster.set_last_segment_id(id.value());
  PutCluster(state, changes);
  ReplaceExtent(segment, from, to);
  segment.set_id(id.value());
  segment.set_coherence(CoherenceOf(state, segment));
  changes.Put(keys::Segment(key.first, key.second), record);
  state.segment_by_id.erase(old_id);
  state.segment_by_id[id] = key;
  state.devices.at(from.device).used_bytes -= from.length.value();
  for (const Extent& extent : to) {
    state.devices.at(extent.device).used_bytes += extent.length.value();
  }
  ReplaceInDrains(state, old_id, segment);
  return id;
}

// What the host was to copy is copied: the switch.
SegmentId Switch(State& state, const Context& context, uint64_t scrub_id, Changes& changes) {
  const store::v1::ScrubRecord record = state.scrubs.at(scrub_id);
  const SegmentId old_id(record.copy().segment_id());
  WEFT_CHECK(!HasGrants(state, old_id), old_id.value(), " has grants and was copied");
  const Extent from = FromProto(record.copy().from());
  const std::vector<Extent> to = RemainingOf(record);
  const bool taken = state.taking.contains(old_id);
  DropScrub(state, scrub_id, changes);
  const SegmentId id = Replace(state, old_id, from, to, changes);
  const bool goes_on = state.devices.at(from.device).drain.left.contains(id);
  if (taken && goes_on) state.taking[id] = from.device;
  Emit(state, context, v1::SEGMENT_MOVED, SegmentById(state, id).segment().name(),
       FormatDeviceName(from.device),
       absl::StrCat(from.length.value(), " bytes to ", FormatDeviceName(to.front().device)),
       changes);
  StartScrub(state, context, from.device, {from}, changes);
  return id;
}

}  // namespace

void StartCopy(State& state, const Context& context, SegmentId segment, const Extent& from,
               const std::vector<Extent>& to, const std::string& host, Changes& changes) {
  store::v1::CopyRecord copy;
  copy.set_segment_id(segment.value());
  *copy.mutable_from() = ToProto(from);
  StartCopyScrub(state, to.front().device, to, host, copy, changes);
  Emit(state, context, v1::SEGMENT_MOVE_STARTED, SegmentById(state, segment).segment().name(),
       FormatDeviceName(from.device),
       absl::StrCat(from.length.value(), " bytes to ", FormatDeviceName(to.front().device), " by ",
                    FormatHostName(host)),
       changes);
}

void StopCopy(State& state, const Context& context, SegmentId segment, const std::string& why,
              Changes& changes) {
  const auto it = state.copies.find(segment);
  if (it == state.copies.end()) return;
  const uint64_t scrub_id = it->second;
  const std::string from = state.scrubs.at(scrub_id).copy().from().device();
  ZeroInstead(state, scrub_id, changes);
  Emit(state, context, v1::SEGMENT_MOVE_STOPPED, SegmentById(state, segment).segment().name(), from,
       why, changes);
}

void StopCopiesOf(State& state, const Context& context, const std::string& host, Changes& changes) {
  for (const uint64_t scrub_id : state.hosts.at(host).scrubs) {
    const store::v1::ScrubRecord& record = state.scrubs.at(scrub_id);
    if (!record.has_copy()) continue;
    StopCopy(state, context, SegmentId(record.copy().segment_id()),
             absl::StrCat(FormatHostName(host), " is silent"), changes);
  }
}

void TakeCopyProgress(State& state, const Context& context, const std::string& host,
                      const v1::CopyProgress& progress, Changes& changes) {
  const auto it = state.scrubs.find(progress.id());
  if (it == state.scrubs.end() || !it->second.has_copy()) return;
  store::v1::ScrubRecord& record = it->second;
  if (record.host() != host || FromProto(record.token()) != FromProto(progress.token())) return;
  const SegmentId segment(record.copy().segment_id());
  const Extent from = FromProto(record.copy().from());
  std::string failure = Clip(progress.error());
  if (failure.empty()) {
    const bool forward = progress.done_bytes() > record.copy().copied_bytes() &&
                         progress.done_bytes() <= from.length.value() &&
                         IsMultipleOf(progress.done_bytes(), kExtentUnit);
    if (!forward) return;
    record.mutable_copy()->set_copied_bytes(progress.done_bytes());
    if (progress.done_bytes() < from.length.value()) {
      changes.Put(keys::Scrub(record.id()), record);
      return;
    }
    failure = WhyNotSwitched(state, record);
  }
  if (failure.empty()) {
    TryToMove(state, context, Switch(state, context, record.id(), changes), changes);
  } else {
    StopCopy(state, context, segment, failure, changes);
    FailMove(state, from.device, segment, failure);
  }
  StartMovesOff(state, context, from.device, changes);
}

}  // namespace weft
