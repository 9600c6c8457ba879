#include "server/core/backlog.h"

#include <algorithm>
#include <vector>

#include "server/core/copies.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/proofs.h"
#include "server/core/scrubs.h"
#include "server/core/strays.h"

namespace weft {
namespace {

constexpr size_t kEnoughMutations = 48;

void ReleaseSome(State& state, const Context& context, const std::string& host, Changes& changes) {
  absl::btree_set<SegmentId>& releasing = state.hosts.at(host).releasing;
  while (!releasing.empty() && !IsFull(changes)) {
    const SegmentId segment = *releasing.begin();
    releasing.erase(segment);
    DropGrant(state, context, segment, host, changes);
  }
  PutReleasing(state, host, changes);
}

// Tells a host that is being drained to let go of what it has. Returns whether that is done.
bool RevokeSome(State& state, const Context& context, const std::string& host, Changes& changes) {
  for (const SegmentId segment : state.hosts.at(host).grants) {
    if (IsFull(changes)) return false;
    RevokeGrant(state, context, segment, host, changes);
  }
  return true;
}

// Has each device's scrubs assigned, and the next proof begun. Returns whether all are.
bool LookAtDevices(State& state, const Context& context, Changes& changes) {
  state.assigning_scrubs = false;
  for (auto& [id, device] : state.devices) {
    if (IsFull(changes)) return false;
    AdvanceProofs(state, context, device, changes);
    AssignScrubs(state, context, id, changes);
  }
  return !state.assigning_scrubs;
}

// A segment being deleted goes on to be deleted; the new generation is for its holders.
void LoseSegment(State& state, const Context& context, SegmentId id, Changes& changes) {
  if (!state.segment_by_id.contains(id)) return;
  StopCopy(state, context, id, "its contents are lost", changes);
  const SegmentKey key = state.segment_by_id.at(id);
  store::v1::SegmentRecord& record = state.segments.at(key);
  v1::Segment& segment = *record.mutable_segment();
  segment.set_generation(segment.generation() + 1);
  if (segment.state() == v1::SEGMENT_ACTIVE) segment.set_state(v1::SEGMENT_LOST);
  changes.Put(keys::Segment(key.first, key.second), record);
  StartRevoke(state, context, id, changes);
  RefreshHolders(state, id, changes);
}

}  // namespace

bool IsFull(const Changes& changes) { return changes.mutations.size() >= kEnoughMutations; }

void StartReleasing(State& state, const std::string& id, const absl::btree_set<SegmentId>& segments,
                    Changes& changes) {
  if (segments.empty()) return;
  for (const SegmentId segment : segments) {
    state.hosts.at(id).releasing.insert(segment);
    UnassignGrant(id, segment, changes);
  }
  PutReleasing(state, id, changes);
  state.releasing_hosts.insert(id);
}

void StartLosing(State& state, const DeviceId& device) {
  for (const auto& [key, record] : state.segments) {
    if (record.segment().state() == v1::SEGMENT_LOST) continue;
    const std::vector<Extent> extents = ExtentsOf(record.segment());
    const bool affected = std::any_of(extents.begin(), extents.end(), [&](const Extent& extent) {
      return extent.device == device;
    });
    if (affected) state.losing_segments.insert(SegmentId(record.segment().id()));
  }
}

bool WorkOffBacklog(State& state, const Context& context, Changes& changes) {
  while (!state.releasing_hosts.empty() && !IsFull(changes)) {
    const std::string host = *state.releasing_hosts.begin();
    ReleaseSome(state, context, host, changes);
    if (state.hosts.at(host).releasing.empty()) state.releasing_hosts.erase(host);
  }
  while (!state.losing_segments.empty() && !IsFull(changes)) {
    const SegmentId segment = *state.losing_segments.begin();
    state.losing_segments.erase(segment);
    LoseSegment(state, context, segment, changes);
  }
  while (!state.revoking_hosts.empty() && !IsFull(changes)) {
    const std::string host = *state.revoking_hosts.begin();
    if (RevokeSome(state, context, host, changes)) state.revoking_hosts.erase(host);
  }
  if (state.assigning_scrubs && !IsFull(changes)) {
    state.assigning_scrubs = !LookAtDevices(state, context, changes);
  }
  const bool more_strays = WorkOffStrays(state, context, changes);
  const bool moving = StartMoves(state, context, changes);
  return more_strays || moving || !state.releasing_hosts.empty() ||
         !state.losing_segments.empty() || !state.revoking_hosts.empty() || state.assigning_scrubs;
}

}  // namespace weft
