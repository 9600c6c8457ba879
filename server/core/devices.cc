#include "server/core/devices.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/backlog.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/names.h"
#include "server/core/paging.h"
#include "server/core/proofs.h"
#include "server/core/quarantine.h"
#include "server/core/recovery.h"
#include "server/core/scrubs.h"
#include "server/core/strays.h"

namespace weft {
namespace {

v1::Device View(const State& state, const DeviceState& device) {
  v1::Device view = device.record.device();
  for (const auto& [host, record] : device.attachments) {
    *view.add_attachments() = record.attachment();
  }
  view.set_used_bytes(device.used_bytes);
  view.set_scrubbing_bytes(device.scrubbing_bytes);
  view.set_drained(IsDrained(device));
  view.set_quarantined_bytes(TotalOf(device.quarantined).value() + TotalOf(device.strayed).value());
  for (const ByteRange& range : device.bad) {
    view.add_bad_ranges()->set_offset_bytes(range.offset.value());
    view.mutable_bad_ranges()->rbegin()->set_length_bytes(range.length.value());
  }
  if (!view.pool().empty()) {
    const PoolState& pool = *state.pools.at(PoolIdOf(device));
    const uint64_t not_taken = pool.allocator.device_stats(DeviceIdOf(device)).free.value();
    if (view.state() == v1::DEVICE_LOST) {
      view.set_quarantined_bytes(view.quarantined_bytes() + not_taken);
    } else if (view.recovering()) {
      view.set_scrubbing_bytes(view.scrubbing_bytes() + not_taken);
    } else {
      view.set_free_bytes(not_taken);
    }
  }
  return view;
}

std::string LabelKey(const DeviceId& device) { return absl::StrCat("label/", device.ToString()); }

// Who has to write the label, if anyone has to and can.
std::optional<LabelWork> WantedLabelWork(const State& state, const DeviceState& device) {
  if (!device.record.label_pending()) return std::nullopt;
  for (const auto& [host, record] : device.attachments) {
    if (record.attachment().state() == v1::ATTACHMENT_ATTACHED && IsAlive(state, host)) {
      return LabelWork{host, WantedPoolUuid(state, device)};
    }
  }
  return std::nullopt;
}

v1::Assignment LabelAssignment(const DeviceState& device) {
  v1::Assignment assignment;
  assignment.set_key(LabelKey(DeviceIdOf(device)));
  assignment.mutable_label()->set_device(device.record.device().name());
  assignment.mutable_label()->set_pool_uuid(device.label_work->pool_uuid);
  return assignment;
}

// The host saw its device proved, or lost it: others may have work because of that.
void AfterAttachmentsChanged(State& state, const Context& context, DeviceState& device,
                             Changes& changes) {
  AdvanceProofs(state, context, device, changes);
  TakeBadMemory(state, context, device, changes);
  UpdateLabelWork(state, device, changes);
  AssignScrubs(state, context, DeviceIdOf(device), changes);
}

DeviceState& Discover(State& state, const Context& context, const std::string& host,
                      const DeviceId& id, const v1::LocalDevice& local, Changes& changes) {
  DeviceState& device = state.devices[id];
  v1::Device& record = *device.record.mutable_device();
  record.set_name(FormatDeviceName(id));
  record.set_state(v1::DEVICE_UNASSIGNED);
  record.set_capacity_bytes(local.capacity_bytes());
  record.set_data_offset_bytes(local.data_offset_bytes());
  record.set_data_bytes(local.data_bytes());
  record.set_alignment_bytes(local.alignment_bytes());
  record.set_coherence(local.coherence());
  record.set_power_epoch(local.power_epoch());
  device.record.set_exchange_slots(local.exchange_slots());
  const std::string pool_uuid = PoolUuidOf(local);
  if (pool_uuid != Uuid().ToString() && !state.pool_by_uuid.contains(pool_uuid)) {
    record.set_foreign_pool_uuid(pool_uuid);
  }
  changes.Put(keys::Device(id), device.record);
  Emit(state, context, v1::DEVICE_DISCOVERED, record.name(), FormatHostName(host), local.path(),
       changes);
  return device;
}

// Why the host's device cannot be the one of the record; empty: it can.
std::string Contradiction(const v1::Device& record, const v1::LocalDevice& local) {
  if (record.capacity_bytes() != local.capacity_bytes() ||
      record.data_offset_bytes() != local.data_offset_bytes() ||
      record.data_bytes() != local.data_bytes()) {
    return absl::StrCat("it has ", local.capacity_bytes(), " bytes (data ",
                        local.data_offset_bytes(), "+", local.data_bytes(),
                        ") where the device of this UUID has ", record.capacity_bytes(), " (data ",
                        record.data_offset_bytes(), "+", record.data_bytes(), ")");
  }
  return "";
}

// Whether a live host has the device's contents, or may still prove that it has.
bool MayHaveContents(const State& state, const DeviceState& device) {
  for (const auto& [host, record] : device.attachments) {
    if (record.attachment().state() != v1::ATTACHMENT_MISMATCH && IsAlive(state, host)) return true;
  }
  return false;
}

// The device's power epoch says that it is not what it was: its segments are gone.
void LoseContents(State& state, const Context& context, DeviceState& device, Changes& changes) {
  if (device.record.device().state() == v1::DEVICE_LOST) return;
  const DeviceId id = DeviceIdOf(device);
  device.record.mutable_device()->set_state(v1::DEVICE_LOST);
  device.record.mutable_device()->clear_drain_revokes();
  device.record.mutable_device()->set_recovering(false);
  changes.Put(keys::Device(id), device.record);
  if (!device.record.device().pool().empty()) {
    UpdateAllocatable(state, id);
  }
  EndDrain(state, id);
  ForgetScrubs(state, context, id, changes);
  EndQuarantine(state, device);
  Emit(state, context, v1::DEVICE_CONTENTS_LOST, device.record.device().name(), "", "", changes);
  StartLosing(state, id);
}

// Brings the host's attachment up to date with what it reports.
void Attach(State& state, const Context& context, const std::string& host, DeviceState& device,
            const v1::LocalDevice& local, bool prove_again, Changes& changes) {
  const DeviceId id = DeviceIdOf(device);
  store::v1::AttachmentRecord& record = device.attachments[host];
  v1::Attachment& attachment = *record.mutable_attachment();
  const bool same_place = attachment.path() == local.path();
  attachment.set_host(FormatHostName(host));
  attachment.set_dax_name(local.dax_name());
  attachment.set_path(local.path());
  attachment.set_numa_node(local.numa_node());
  attachment.set_numa_distance(local.numa_distance());

  const std::string contradiction = Contradiction(device.record.device(), local);
  const bool other_epoch = local.power_epoch() != device.record.device().power_epoch();
  const bool proved = attachment.state() == v1::ATTACHMENT_ATTACHED && same_place && !prove_again;
  if (!contradiction.empty() || other_epoch) {
    CancelProof(device, host, changes);
    const std::string detail =
        !contradiction.empty() ? contradiction
                               : absl::StrCat("its label has power epoch ", local.power_epoch(),
                                              ", not ", device.record.device().power_epoch(),
                                              ": its contents are not the ones "
                                              "that were stored there; format it to use it again");
    Mismatch(state, context, device, host, detail, changes);
    AbandonScrubsOn(state, host, id, changes);
    if (contradiction.empty() && !MayHaveContents(state, device)) {
      LoseContents(state, context, device, changes);
    }
    return;
  }
  if (!proved) {
    CancelProof(device, host, changes);
    attachment.set_state(v1::ATTACHMENT_CHALLENGING);
    attachment.clear_detail();
  }
  // The daemon that zeroed is gone, or says that it now has other memory.
  if (prove_again || !same_place) AbandonScrubsOn(state, host, id, changes);
  changes.Put(keys::Attachment(id, host), record);
}

// Level-triggered: whatever the medium says, the label is to say what the record says.
void CompareLabel(State& state, DeviceState& device, const v1::LocalDevice& local,
                  Changes& changes) {
  if (!device.record.device().foreign_pool_uuid().empty()) return;
  const bool pending = PoolUuidOf(local) != WantedPoolUuid(state, device);
  if (pending && !device.record.label_pending()) {
    device.record.set_label_pending(true);
    changes.Put(keys::Device(DeviceIdOf(device)), device.record);
  }
}

void Detach(State& state, const Context& context, const std::string& host, DeviceState& device,
            const std::string& detail, Changes& changes) {
  const DeviceId id = DeviceIdOf(device);
  CancelProof(device, host, changes);
  AbandonScrubsOn(state, host, id, changes);
  device.attachments.erase(host);
  device.bad_on.erase(host);
  changes.Delete(keys::Attachment(id, host));
  Emit(state, context, v1::DEVICE_DETACHED, device.record.device().name(), FormatHostName(host),
       detail, changes);
  AfterAttachmentsChanged(state, context, device, changes);
  AssignScrubsTo(state, context, host, changes);
}

}  // namespace

std::string WantedPoolUuid(const State& state, const DeviceState& device) {
  if (device.record.device().pool().empty()) return Uuid().ToString();
  return state.pools.at(PoolIdOf(device))->record.pool().uuid();
}

std::string PoolUuidOf(const v1::LocalDevice& local) {
  return local.pool_uuid().empty() ? Uuid().ToString() : Uuid::Parse(local.pool_uuid())->ToString();
}

void TakeInventory(State& state, const Context& context, const std::string& host,
                   const v1::DeviceInventory& inventory, bool prove_again, Changes& changes) {
  std::set<DeviceId> seen;
  for (const v1::LocalDevice& local : inventory.devices()) {
    const DeviceId id = *Uuid::Parse(local.uuid());
    seen.insert(id);
    auto it = state.devices.find(id);
    DeviceState& device =
        it != state.devices.end() ? it->second : Discover(state, context, host, id, local, changes);
    SetReportedBad(device, host, local.bad_ranges());
    Attach(state, context, host, device, local, prove_again, changes);
    CompareLabel(state, device, local, changes);
  }
  for (auto& [id, device] : state.devices) {
    if (!device.attachments.contains(host)) continue;
    if (seen.contains(id)) {
      AfterAttachmentsChanged(state, context, device, changes);
    } else {
      Detach(state, context, host, device, "the host does not see it any more", changes);
    }
  }
}

void TakeExchangeResult(State& state, const Context& context, const std::string& host,
                        const v1::ExchangeResult& result, Changes& changes) {
  absl::StatusOr<DeviceId> id = FindDevice(state, result.device());
  if (!id.ok()) return;
  DeviceState& device = state.devices.at(*id);
  ContinueProof(state, context, device, host, result, changes);
  AfterAttachmentsChanged(state, context, device, changes);
  AssignScrubsTo(state, context, host, changes);
}

void TakeLabelWritten(State& state, const Context& context, const std::string& host,
                      const v1::LabelWritten& written, Changes& changes) {
  absl::StatusOr<DeviceId> id = FindDevice(state, written.device());
  if (!id.ok()) return;
  DeviceState& device = state.devices.at(*id);
  if (device.label_work != LabelWork{host, written.pool_uuid()}) return;
  device.record.set_label_pending(false);
  UpdateLabelWork(state, device, changes);
  if (device.record.device().state() == v1::DEVICE_JOINING) {
    device.record.mutable_device()->set_state(v1::DEVICE_ACTIVE);
    UpdateAllocatable(state, *id);
    Emit(state, context, v1::DEVICE_JOINED, device.record.device().name(),
         device.record.device().pool(), "", changes);
  }
  if (device.record.device().state() == v1::DEVICE_REMOVED) {
    device.record.mutable_device()->set_state(v1::DEVICE_UNASSIGNED);
  }
  changes.Put(keys::Device(*id), device.record);
}

void TakeDeviceRefused(State& state, const Context& context, const std::string& host,
                       const v1::DeviceRefused& refused, Changes& changes) {
  absl::StatusOr<DeviceId> id = FindDevice(state, refused.device());
  if (!id.ok()) return;
  DeviceState& device = state.devices.at(*id);
  if (!device.attachments.contains(host)) return;
  Detach(state, context, host, device, refused.reason(), changes);
}

void DetachAll(State& state, const Context& context, const std::string& host, Changes& changes) {
  for (auto& [id, device] : state.devices) {
    auto it = device.attachments.find(host);
    if (it == device.attachments.end()) continue;
    CancelProof(device, host, changes);
    if (it->second.attachment().state() == v1::ATTACHMENT_ATTACHED) {
      it->second.mutable_attachment()->set_state(v1::ATTACHMENT_CHALLENGING);
      changes.Put(keys::Attachment(id, host), it->second);
    }
    AfterAttachmentsChanged(state, context, device, changes);
  }
}

absl::Status CheckAttached(const State& state, const std::string& host, const DeviceId& device) {
  const DeviceState& found = state.devices.at(device);
  auto it = found.attachments.find(host);
  if (it == found.attachments.end()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                     absl::StrCat(host, " does not see device ", device.ToString(),
                                  ": see what its weftd logged about the devices it skipped"));
  }
  switch (it->second.attachment().state()) {
    case v1::ATTACHMENT_ATTACHED:
      return absl::OkStatus();
    case v1::ATTACHMENT_MISMATCH:
      return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISMATCH,
                       absl::StrCat("device ", device.ToString(), " of ", host, ": ",
                                    it->second.attachment().detail()));
    default:
      return MakeError(absl::StatusCode::kUnavailable, v1::DEVICE_MISSING,
                       absl::StrCat(host, " still has to prove that it sees device ",
                                    device.ToString(), ": try again"));
  }
}

absl::Status CheckAssignable(const State& state, const DeviceId& device) {
  const v1::Device& record = state.devices.at(device).record.device();
  if (!record.foreign_pool_uuid().empty()) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::FOREIGN_DATA,
        absl::StrCat(record.name(), "'s label names the pool ", record.foreign_pool_uuid(),
                     ", which this cluster does not have: if no other cluster uses "
                     "it, `weft device format --force` it"));
  }
  if (record.state() != v1::DEVICE_UNASSIGNED) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                     absl::StrCat(record.name(), " is ", v1::DeviceState_Name(record.state()),
                                  record.pool().empty() ? "" : " in ", record.pool()));
  }
  return CheckNoStrays(state, device);
}

void AssignToPool(State& state, const Context& context, const DeviceId& id,
                  const std::string& pool_id, Changes& changes) {
  DeviceState& device = state.devices.at(id);
  PoolState& pool = *state.pools.at(pool_id);
  v1::Device& record = *device.record.mutable_device();
  record.set_pool(FormatPoolName(pool_id));
  record.set_state(v1::DEVICE_JOINING);
  device.record.set_label_pending(true);
  changes.Put(keys::Device(id), device.record);

  const ByteCount capacity(record.capacity_bytes());
  pool.devices.insert(id);
  pool.allocator.AddDevice(id, capacity);
  const absl::Status reserved = pool.allocator.Reserve({id, ByteOffset(0), capacity});
  WEFT_CHECK(reserved.ok(), reserved.ToString());
  pool.allocator.SetAllocatable(id, false);
  UpdateLabelWork(state, device, changes);
  StartScrub(state, context, id,
             {{id, ByteOffset(record.data_offset_bytes()), ByteCount(record.data_bytes())}},
             changes);
}

void UnassignFromPool(State& state, const DeviceId& id, Changes& changes) {
  DeviceState& device = state.devices.at(id);
  WEFT_CHECK(device.used_bytes == 0 && device.scrubbing_bytes == 0);
  PoolState& pool = PoolOfDevice(state, device);
  EndQuarantine(state, device);
  pool.allocator.RemoveDevice(id);
  pool.devices.erase(id);
  device.record.mutable_device()->clear_pool();
  device.record.mutable_device()->clear_drain_revokes();
  EndDrain(state, id);
  if (device.record.device().state() != v1::DEVICE_LOST) {
    device.record.mutable_device()->set_state(v1::DEVICE_UNASSIGNED);
    device.record.set_label_pending(true);
  }
  changes.Put(keys::Device(id), device.record);
  UpdateLabelWork(state, device, changes);
}

absl::Duration EndOverdueProofs(State& state, const Context& context, absl::Duration latest,
                                Changes& changes) {
  for (auto& [id, device] : state.devices) {
    if (EndOverdueProof(state, context, device, changes)) {
      AfterAttachmentsChanged(state, context, device, changes);
    }
    if (device.exchange.has_value()) latest = std::min(latest, device.exchange->deadline);
  }
  return latest;
}

void UpdateLabelWork(const State& state, DeviceState& device, Changes& changes) {
  std::optional<LabelWork> wanted = WantedLabelWork(state, device);
  if (wanted == device.label_work) return;
  if (device.label_work.has_value()) {
    changes.Unassign(device.label_work->host, LabelKey(DeviceIdOf(device)));
  }
  device.label_work = std::move(wanted);
  if (device.label_work.has_value()) {
    changes.Assign(device.label_work->host, LabelAssignment(device));
  }
}

void AppendDeviceAssignments(const State& state, const std::string& host,
                             v1::Assignments& assignments) {
  for (const auto& [id, device] : state.devices) {
    if (device.exchange.has_value() && ActorOf(*device.exchange) == host) {
      *assignments.add_upserts() = ExchangeAssignment(device);
    }
    if (device.label_work.has_value() && device.label_work->host == host) {
      *assignments.add_upserts() = LabelAssignment(device);
    }
  }
}

absl::StatusOr<v1::Device> GetDevice(const State& state, const v1::GetDeviceRequest& request) {
  absl::StatusOr<DeviceId> id = FindDevice(state, request.name());
  if (!id.ok()) return id.status();
  return View(state, state.devices.at(*id));
}

absl::StatusOr<v1::ListDevicesResponse> ListDevices(const State& state,
                                                    const v1::ListDevicesRequest& request) {
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  DeviceId after;
  if (!last.empty()) {
    absl::StatusOr<DeviceId> parsed = Uuid::Parse(last);
    if (!parsed.ok()) return BadPageToken();
    after = *parsed;
  }
  v1::ListDevicesResponse response;
  const int32_t page_size = PageSize(request.page_size());
  for (auto it = state.devices.upper_bound(after); it != state.devices.end(); ++it) {
    if (response.devices_size() == page_size) {
      response.set_next_page_token(EncodePageToken(std::prev(it)->first.ToString()));
      break;
    }
    *response.add_devices() = View(state, it->second);
  }
  return response;
}

}  // namespace weft
