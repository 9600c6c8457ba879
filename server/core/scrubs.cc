#include "server/core/scrubs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/backlog.h"
#include "server/core/check.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/names.h"
#include "server/core/quarantine.h"

namespace weft {
namespace {

std::string AssignmentKey(uint64_t scrub_id) { return absl::StrCat("scrub/", scrub_id); }

v1::CopyTask ToCopyTask(const store::v1::ScrubRecord& record) {
  v1::CopyTask task;
  task.set_id(record.id());
  *task.mutable_token() = record.token();
  task.set_segment_id(record.copy().segment_id());
  *task.mutable_from() = record.copy().from();
  *task.mutable_to() = record.extents();
  task.set_done_bytes(record.copy().copied_bytes());
  return task;
}

v1::Assignment ToAssignment(const store::v1::ScrubRecord& record) {
  v1::Assignment assignment;
  assignment.set_key(AssignmentKey(record.id()));
  if (record.has_copy()) {
    *assignment.mutable_copy() = ToCopyTask(record);
    return assignment;
  }
  v1::ScrubTask& task = *assignment.mutable_scrub();
  task.set_scrub_id(record.id());
  *task.mutable_token() = record.token();
  *task.mutable_extents() = record.extents();
  task.set_done_bytes(record.done_bytes());
  return assignment;
}

DeviceState& DeviceOf(State& state, const store::v1::ScrubRecord& record) {
  return state.devices.at(FromProto(record.extents(0)).device);
}

uint64_t TotalBytes(const store::v1::ScrubRecord& record) {
  uint64_t total = 0;
  for (const v1::Extent& extent : record.extents()) total += extent.length_bytes();
  return total;
}

// The attached, live host with the fewest scrubs that may have one more; empty: none. One that is
// being drained may not. What some hosts find bad only they can clear.
std::string LeastBusyHost(const State& state, const DeviceState& device,
                          const store::v1::ScrubRecord& scrub) {
  const bool has_reporter =
      std::any_of(device.attachments.begin(), device.attachments.end(), [&](const auto& entry) {
        return CanScrub(state, entry.first, entry.second) && IsReporter(device, entry.first, scrub);
      });
  std::string best;
  size_t best_scrubs = state.options.max_scrubs_per_host;
  for (const auto& [host, record] : device.attachments) {
    if (!CanScrub(state, host, record)) continue;
    if (has_reporter && !IsReporter(device, host, scrub)) continue;
    const size_t scrubs = state.hosts.at(host).scrubs.size();
    if (scrubs < best_scrubs) {
      best = host;
      best_scrubs = scrubs;
    }
  }
  return best;
}

// Nobody has to do anything for the scrub any more.
void Erase(State& state, uint64_t scrub_id, Changes& changes) {
  const std::string host = state.scrubs.at(scrub_id).host();
  state.scrubs.erase(scrub_id);
  state.hosts.at(host).scrubs.erase(scrub_id);
  changes.Delete(keys::Scrub(scrub_id));
  changes.Unassign(host, AssignmentKey(scrub_id));
}

void FinishScrub(State& state, const Context& context, const std::string& host, uint64_t scrub_id,
                 Changes& changes) {
  const store::v1::ScrubRecord record = state.scrubs.at(scrub_id);
  const DeviceId device = FromProto(record.extents(0)).device;
  Erase(state, scrub_id, changes);
  Emit(state, context, v1::SCRUB_FINISHED, FormatDeviceName(device), FormatHostName(host),
       absl::StrCat(TotalBytes(record), " bytes"), changes);
  GoOnClearing(state, context, record, changes);
  TellIfDrained(state, context, device, changes);
  AssignScrubsTo(state, context, host, changes);
}

// A scrub of `extents` that is not recorded yet.
store::v1::ScrubRecord& NewScrub(State& state, const DeviceId& device,
                                 const std::vector<Extent>& extents, Changes& changes) {
  const uint64_t id = state.cluster.last_scrub_id() + 1;
  state.cluster.set_last_scrub_id(id);
  PutCluster(state, changes);
  store::v1::ScrubRecord& record = state.scrubs[id];
  record.set_id(id);
  for (const Extent& extent : extents) {
    WEFT_CHECK(extent.device == device);
    *record.add_extents() = ToProto(extent);
  }
  state.devices.at(device).scrubbing_bytes += TotalBytes(record);
  return record;
}

// Adds scrubs of `extents`, as many as it takes.
void AddScrubs(State& state, const Context& context, const DeviceId& device,
               const std::vector<Extent>& extents, bool clears_poison, Changes& changes) {
  for (size_t first = 0; first < extents.size(); first += kMaxScrubExtents) {
    const auto begin = extents.begin() + static_cast<ptrdiff_t>(first);
    const size_t count = std::min(kMaxScrubExtents, extents.size() - first);
    store::v1::ScrubRecord& record =
        NewScrub(state, device, {begin, begin + static_cast<ptrdiff_t>(count)}, changes);
    record.set_clears_poison(clears_poison);
    changes.Put(keys::Scrub(record.id()), record);
    state.devices.at(device).unassigned_scrubs.insert(record.id());
  }
  AssignScrubs(state, context, device, changes);
}

// Has `host` do the scrub, or the copy, from now on.
void AssignTo(State& state, const std::string& host, store::v1::ScrubRecord& record,
              Changes& changes) {
  record.set_host(host);
  *record.mutable_token() = ToProto(NextToken(state, changes));
  changes.Put(keys::Scrub(record.id()), record);
  changes.Assign(host, ToAssignment(record));
  state.hosts.at(host).scrubs.insert(record.id());
}

// What was copied there is to be zeroed like anything else.
void ForgetCopy(State& state, store::v1::ScrubRecord& record) {
  const auto it = state.copies.find(SegmentId(record.copy().segment_id()));
  if (it != state.copies.end() && it->second == record.id()) state.copies.erase(it);
  record.clear_copy();
}

// Takes the scrub away from its host and lets it wait.
void Abandon(State& state, uint64_t scrub_id, Changes& changes) {
  store::v1::ScrubRecord& record = state.scrubs.at(scrub_id);
  state.hosts.at(record.host()).scrubs.erase(scrub_id);
  changes.Unassign(record.host(), AssignmentKey(scrub_id));
  ForgetCopy(state, record);
  record.clear_host();
  record.clear_token();
  changes.Put(keys::Scrub(scrub_id), record);
  DeviceOf(state, record).unassigned_scrubs.insert(scrub_id);
}

}  // namespace

std::vector<Extent> RemainingOf(const store::v1::ScrubRecord& record) {
  return PartOf(record, record.done_bytes(), TotalBytes(record));
}

std::vector<Extent> PartOf(const store::v1::ScrubRecord& record, uint64_t begin, uint64_t end) {
  std::vector<Extent> part;
  uint64_t position = 0;
  for (const v1::Extent& proto : record.extents()) {
    const uint64_t next = position + proto.length_bytes();
    const uint64_t from = std::max(begin, position);
    const uint64_t to = std::min(end, next);
    if (from < to) {
      const Extent extent = FromProto(proto);
      part.push_back(
          {extent.device, extent.offset + ByteCount(from - position), ByteCount(to - from)});
    }
    position = next;
  }
  return part;
}

void StartScrub(State& state, const Context& context, const DeviceId& device,
                std::vector<Extent> extents, Changes& changes) {
  AddScrubs(state, context, device, KeepBad(state.devices.at(device), extents),
            /*clears_poison=*/false, changes);
}

void StartClearingScrub(State& state, const Context& context, const DeviceId& device,
                        const std::vector<Extent>& extents, Changes& changes) {
  AddScrubs(state, context, device, extents, /*clears_poison=*/true, changes);
}

uint64_t StartCopyScrub(State& state, const DeviceId& device, const std::vector<Extent>& extents,
                        const std::string& host, const store::v1::CopyRecord& copy,
                        Changes& changes) {
  store::v1::ScrubRecord& record = NewScrub(state, device, extents, changes);
  *record.mutable_copy() = copy;
  state.copies[SegmentId(copy.segment_id())] = record.id();
  AssignTo(state, host, record, changes);
  return record.id();
}

void ZeroInstead(State& state, uint64_t scrub_id, Changes& changes) {
  store::v1::ScrubRecord& record = state.scrubs.at(scrub_id);
  ForgetCopy(state, record);
  if (record.host().empty()) {
    changes.Put(keys::Scrub(scrub_id), record);
  } else {
    AssignTo(state, std::string(record.host()), record, changes);
  }
}

void DropScrub(State& state, uint64_t scrub_id, Changes& changes) {
  store::v1::ScrubRecord& record = state.scrubs.at(scrub_id);
  DeviceOf(state, record).scrubbing_bytes -= TotalBytes(record);
  ForgetCopy(state, record);
  Erase(state, scrub_id, changes);
}

bool CanScrub(const State& state, const std::string& host,
              const store::v1::AttachmentRecord& attachment) {
  return attachment.attachment().state() == v1::ATTACHMENT_ATTACHED && IsAlive(state, host) &&
         !state.hosts.at(host).record.host().draining();
}

void AssignScrubs(State& state, const Context& context, const DeviceId& device_id,
                  Changes& changes) {
  DeviceState& device = state.devices.at(device_id);
  if (device.record.device().recovering()) return;
  while (!device.unassigned_scrubs.empty()) {
    const uint64_t scrub_id = *device.unassigned_scrubs.begin();
    store::v1::ScrubRecord& record = state.scrubs.at(scrub_id);
    const std::string host = LeastBusyHost(state, device, record);
    if (host.empty()) return;
    if (IsFull(changes)) {
      state.assigning_scrubs = true;
      return;
    }
    device.unassigned_scrubs.erase(device.unassigned_scrubs.begin());
    AssignTo(state, host, record, changes);
    Emit(state, context, v1::SCRUB_STARTED, FormatDeviceName(device_id), FormatHostName(host),
         absl::StrCat(TotalBytes(record) - record.done_bytes(), " bytes"), changes);
  }
}

void TakeScrubProgress(State& state, const Context& context, const std::string& host,
                       const v1::ScrubProgress& progress, Changes& changes) {
  auto it = state.scrubs.find(progress.scrub_id());
  if (it == state.scrubs.end() || it->second.has_copy()) return;
  store::v1::ScrubRecord& record = it->second;
  const uint64_t total = TotalBytes(record);
  const bool current =
      record.host() == host && FromProto(record.token()) == FromProto(progress.token());
  const bool forward = progress.done_bytes() > record.done_bytes() &&
                       progress.done_bytes() <= total &&
                       IsMultipleOf(progress.done_bytes(), kExtentUnit);
  if (!current || !forward) return;

  DeviceState& device = DeviceOf(state, record);
  for (const Extent& zeroed : PartOf(record, record.done_bytes(), progress.done_bytes())) {
    FreeZeroed(state, context, record, zeroed, changes);
    device.scrubbing_bytes -= zeroed.length.value();
  }
  record.set_done_bytes(progress.done_bytes());
  if (record.done_bytes() == total) {
    FinishScrub(state, context, host, record.id(), changes);
  } else {
    changes.Put(keys::Scrub(record.id()), record);
  }
}

void AssignScrubsTo(State& state, const Context& context, const std::string& host,
                    Changes& changes) {
  for (auto& [id, device] : state.devices) {
    if (device.attachments.contains(host)) AssignScrubs(state, context, id, changes);
  }
}

void AbandonScrubs(State& state, const Context& context, absl::btree_set<uint64_t> scrubs,
                   Changes& changes) {
  for (const uint64_t scrub_id : scrubs) {
    Abandon(state, scrub_id, changes);
    AssignScrubs(state, context, FromProto(state.scrubs.at(scrub_id).extents(0)).device, changes);
  }
}

void AbandonScrubsOn(State& state, const std::string& host, const DeviceId& device,
                     Changes& changes) {
  const absl::btree_set<uint64_t> scrubs = state.hosts.at(host).scrubs;
  for (const uint64_t scrub_id : scrubs) {
    const store::v1::ScrubRecord& record = state.scrubs.at(scrub_id);
    if (FromProto(record.extents(0)).device == device) {
      Abandon(state, scrub_id, changes);
    } else if (record.has_copy() && FromProto(record.copy().from()).device == device) {
      // It may still write there what it has read.
      ZeroInstead(state, scrub_id, changes);
    }
  }
}

void ForgetScrubs(State& state, const Context& context, const DeviceId& device, Changes& changes) {
  DeviceState& device_state = state.devices.at(device);
  absl::btree_set<std::string> hosts;
  for (auto it = state.scrubs.begin(); it != state.scrubs.end();) {
    store::v1::ScrubRecord& record = it->second;
    if (FromProto(record.extents(0)).device != device) {
      ++it;
      continue;
    }
    ForgetCopy(state, record);
    if (!record.host().empty()) {
      hosts.insert(record.host());
      state.hosts.at(record.host()).scrubs.erase(record.id());
      changes.Unassign(record.host(), AssignmentKey(record.id()));
    }
    for (const Extent& rest : RemainingOf(record)) {
      PoolOfDevice(state, device_state).allocator.Free(rest);
    }
    changes.Delete(keys::Scrub(record.id()));
    it = state.scrubs.erase(it);
  }
  device_state.scrubbing_bytes = 0;
  device_state.unassigned_scrubs.clear();
  for (const std::string& host : hosts) AssignScrubsTo(state, context, host, changes);
}

void AppendScrubAssignments(const State& state, const std::string& host,
                            v1::Assignments& assignments) {
  for (const uint64_t scrub_id : state.hosts.at(host).scrubs) {
    *assignments.add_upserts() = ToAssignment(state.scrubs.at(scrub_id));
  }
}

}  // namespace weft
