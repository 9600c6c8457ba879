#include "server/core/moves.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/core/backlog.h"
#include "server/core/copies.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/grants.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/paging.h"
#include "server/core/places.h"
#include "server/core/recovery.h"

namespace weft {
namespace {

// Of one device in one command.
constexpr size_t kMaxLooks = 1024;
constexpr size_t kMaxFailures = 8;
// Segments that are taken back to be moved.
constexpr size_t kMaxTaking = 16;
constexpr size_t kMaxHoldersShown = 64;

enum class Outcome { kStarted, kSkipped, kNowhere, kBusy };

bool IsDraining(const DeviceState& device) {
  return device.record.device().state() == v1::DEVICE_DRAINING;
}

// Why the segment does not move off the device, whoever holds it; empty: it can.
std::string WhyStuck(const State& state, const DeviceState& device, const v1::Segment& segment) {
  const DeviceId id = DeviceIdOf(device);
  if (segment.state() != v1::SEGMENT_ACTIVE) {
    return segment.state() == v1::SEGMENT_LOST ? "its contents are lost: delete it"
                                               : "it is being deleted";
  }
  if (const absl::Status s = CheckNotRecovering(state, segment); !s.ok()) {
    return std::string(s.message());
  }
  for (const Extent& extent : ExtentsOf(segment)) {
    if (extent.device == id && IsBad(state, extent)) {
      return "memory of it failed: rewrite it and `weft device clear-poison`, or delete it";
    }
  }
  const auto failed = device.drain.failed.find(SegmentId(segment.id()));
  return failed == device.drain.failed.end() ? "" : failed->second;
}

// Asks those who hold it to let go. What does not fit in the transaction is for the next look.
void TakeBack(State& state, const Context& context, const DeviceId& device, SegmentId segment,
              Changes& changes) {
  state.taking.try_emplace(segment, device);
  for (const std::string& host : HoldersOf(state, segment)) {
    if (IsFull(changes)) return;
    RevokeGrant(state, context, segment, host, changes);
  }
}

// Whether all who hold it can be asked to let go. Who is silent would have others wait for nothing.
bool HoldersListen(const State& state, SegmentId id) {
  const std::vector<std::string> holders = HoldersOf(state, id);
  return std::all_of(holders.begin(), holders.end(),
                     [&](const std::string& host) { return IsAlive(state, host); });
}

// Whether it is worth to look for a place for a segment that somebody holds.
bool MayTakeBack(const State& state, const DeviceState& device, SegmentId id) {
  return device.record.device().drain_revokes() && state.taking.size() < kMaxTaking &&
         HoldersListen(state, id);
}

void Stall(State& state, const Context& context, DeviceState& device, const std::string& segment,
           const std::string& why, Changes& changes) {
  const bool news = device.drain.stalled.empty();
  device.drain.stalled = why;
  if (!news) return;
  Emit(state, context, v1::DEVICE_DRAIN_STALLED, device.record.device().name(), segment, why,
       changes);
}

Outcome Try(State& state, const Context& context, const DeviceId& device_id, SegmentId id,
            Changes& changes) {
  DeviceState& device = state.devices.at(device_id);
  const v1::Segment& segment = SegmentById(state, id).segment();
  if (state.copies.contains(id)) return Outcome::kSkipped;
  const bool held = HasGrants(state, id);
  if (held && state.taking.contains(id) && HoldersListen(state, id)) {
    TakeBack(state, context, device_id, id, changes);
    return Outcome::kSkipped;
  }
  const bool may_move =
      (!held || MayTakeBack(state, device, id)) && WhyStuck(state, device, segment).empty();
  if (!may_move) {
    state.taking.erase(id);
    return Outcome::kSkipped;
  }
  absl::StatusOr<Place> place = ReservePlace(state, segment, device_id);
  // What was taken back goes as soon as somebody can copy.
  if (absl::IsUnavailable(place.status())) return Outcome::kBusy;
  state.taking.erase(id);
  if (!place.ok()) {
    Stall(state, context, device, segment.name(), std::string(place.status().message()), changes);
    return Outcome::kNowhere;
  }
  device.drain.stalled.clear();
  if (held) {
    for (const Extent& extent : place->to) PoolOfDevice(state, device).allocator.Free(extent);
    TakeBack(state, context, device_id, id, changes);
    return Outcome::kSkipped;
  }
  if (device.record.device().drain_revokes()) state.taking[id] = device_id;
  StartCopy(state, context, id, place->from, place->to, place->host, changes);
  return Outcome::kStarted;
}

v1::Move Describe(const State& state, const DeviceState& device, SegmentId id) {
  const v1::Segment& segment = SegmentById(state, id).segment();
  v1::Move move;
  move.set_segment(segment.name());
  move.set_segment_id(id.value());
  uint64_t left = 0;
  for (const Extent& extent : ExtentsOf(segment)) {
    if (extent.device == DeviceIdOf(device)) left += extent.length.value();
  }
  move.set_left_bytes(left);
  for (const std::string& host : HoldersOf(state, id)) {
    if (static_cast<size_t>(move.holders_size()) == kMaxHoldersShown) break;
    *move.add_holders() = state.grants.at({id, host}).grant();
  }
  const auto copy = state.copies.find(id);
  const std::string stuck = WhyStuck(state, device, segment);
  if (copy != state.copies.end()) {
    const store::v1::ScrubRecord& record = state.scrubs.at(copy->second);
    move.set_state(v1::MOVE_COPYING);
    move.set_host(FormatHostName(record.host()));
    move.set_to(record.extents(0).device());
    move.set_part_bytes(record.copy().from().length_bytes());
    move.set_copied_bytes(record.copy().copied_bytes());
  } else if (!stuck.empty()) {
    move.set_state(v1::MOVE_STUCK);
    move.set_detail(stuck);
  } else if (move.holders_size() > 0) {
    move.set_state(v1::MOVE_HELD);
  } else {
    move.set_state(v1::MOVE_WAITING);
    move.set_detail(device.drain.stalled);
  }
  return move;
}

}  // namespace

void IndexDrain(State& state, const DeviceId& id) {
  DrainState& drain = state.devices.at(id).drain;
  drain = DrainState();
  state.draining.insert(id);
  for (const auto& [key, record] : state.segments) {
    const SegmentId segment(record.segment().id());
    if (!DevicesOf(record.segment()).contains(id)) continue;
    drain.left.insert(segment);
    const bool goes_first = state.devices.at(id).record.device().drain_revokes();
    if (goes_first && state.copies.contains(segment)) state.taking[segment] = id;
  }
}

void EndDrain(State& state, const DeviceId& id) {
  state.devices.at(id).drain = DrainState();
  state.draining.erase(id);
  for (auto it = state.taking.begin(); it != state.taking.end();) {
    it = it->second == id ? state.taking.erase(it) : std::next(it);
  }
}

void ForgetMoves(State& state, SegmentId id) {
  state.taking.erase(id);
  for (const DeviceId& device : state.draining) {
    DrainState& drain = state.devices.at(device).drain;
    drain.left.erase(id);
    drain.failed.erase(id);
  }
}

void ReplaceInDrains(State& state, SegmentId before, const v1::Segment& after) {
  ForgetMoves(state, before);
  for (const DeviceId& device : DevicesOf(after)) {
    if (!state.draining.contains(device)) continue;
    state.devices.at(device).drain.left.insert(SegmentId(after.id()));
  }
}

void FailMove(State& state, const DeviceId& device, SegmentId segment, const std::string& why) {
  DrainState& drain = state.devices.at(device).drain;
  if (drain.left.contains(segment)) drain.failed[segment] = why;
}

bool StartMoves(State& state, const Context& context, Changes& changes) {
  bool full = false;
  for (const DeviceId& id : state.draining) {
    if (StartMovesOff(state, context, id, changes)) full = true;
  }
  return full;
}

bool StartMovesOff(State& state, const Context& context, const DeviceId& id, Changes& changes) {
  DrainState& drain = state.devices.at(id).drain;
  size_t failures = 0;
  for (size_t looks = std::min(kMaxLooks, drain.left.size()); looks > 0; --looks) {
    if (IsFull(changes)) return true;
    auto it = drain.left.lower_bound(drain.next);
    if (it == drain.left.end()) it = drain.left.begin();
    const SegmentId segment = *it;
    const Outcome outcome = Try(state, context, id, segment, changes);
    if (outcome == Outcome::kBusy) return false;
    drain.next = SegmentId(segment.value() + 1);
    if (outcome == Outcome::kNowhere && ++failures == kMaxFailures) return false;
  }
  return false;
}

void TryToMove(State& state, const Context& context, SegmentId segment, Changes& changes) {
  for (const DeviceId& device : state.draining) {
    if (!state.devices.at(device).drain.left.contains(segment)) continue;
    if (IsFull(changes)) return;
    if (Try(state, context, device, segment, changes) == Outcome::kStarted) return;
  }
}

absl::Status CheckNotTaken(const State& state, const v1::Segment& segment) {
  const auto taken = state.taking.find(SegmentId(segment.id()));
  if (taken == state.taking.end()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnavailable, v1::MOVING,
                   absl::StrCat(segment.name(), " is being moved off device ",
                                taken->second.ToString(), ", which is being drained: try again"));
}

bool IsDrained(const DeviceState& device) {
  return IsDraining(device) && device.used_bytes == 0 && device.scrubbing_bytes == 0;
}

void TellIfDrained(State& state, const Context& context, const DeviceId& id, Changes& changes) {
  const DeviceState& device = state.devices.at(id);
  if (!IsDrained(device)) return;
  Emit(state, context, v1::DEVICE_DRAINED, device.record.device().name(),
       device.record.device().pool(), "", changes);
}

absl::StatusOr<v1::ListMovesResponse> ListMoves(const State& state,
                                                const v1::ListMovesRequest& request) {
  const absl::StatusOr<DeviceId> id = FindDevice(state, request.parent());
  if (!id.ok()) return id.status();
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  uint64_t after = 0;
  if (!last.empty() && !absl::SimpleAtoi(last, &after)) return BadPageToken();
  const DeviceState& device = state.devices.at(*id);
  v1::ListMovesResponse response;
  const int32_t page_size = PageSize(request.page_size());
  const auto& left = device.drain.left;
  for (auto it = left.upper_bound(SegmentId(after)); it != left.end(); ++it) {
    if (response.moves_size() == page_size) {
      response.set_next_page_token(
          EncodePageToken(absl::StrCat(response.moves(page_size - 1).segment_id())));
      break;
    }
    *response.add_moves() = Describe(state, device, *it);
  }
  return response;
}

}  // namespace weft
