#include "server/core/fsck.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/core/devices.h"
#include "server/core/differences.h"
#include "server/core/errors.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/paging.h"
#include "server/core/recovery.h"
#include "server/core/strays.h"

namespace weft {
namespace {

constexpr int kMaxChecked = 256;  // of one page
// Of what a host says of itself in one page.
constexpr int kMaxDevices = 1024;
constexpr int kMaxSegments = 256;
constexpr int kMaxScrubs = 1024;

absl::Status CheckAlive(const State& state, const std::string& host) {
  if (IsAlive(state, host)) return absl::OkStatus();
  const v1::HostState now = state.hosts.at(host).record.host().state();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::SESSION_EXPIRED,
                   absl::StrCat(host, " is ", v1::HostState_Name(now),
                                " and cannot be asked: start its weftd again"));
}

// ---- The records alone

bool IsAttachedSomewhere(const State& state, const DeviceState& device) {
  return std::any_of(device.attachments.begin(), device.attachments.end(), [&](const auto& entry) {
    return entry.second.attachment().state() == v1::ATTACHMENT_ATTACHED &&
           IsAlive(state, entry.first);
  });
}

// Bytes of the data area by who has them, but for those of nobody.
uint64_t OwnedBytes(const DeviceState& device) {
  return device.used_bytes + device.scrubbing_bytes + TotalOf(device.quarantined).value() +
         TotalOf(device.strayed).value();
}

void CheckDevice(const State& state, const DeviceId& id, const DeviceState& device,
                 v1::CheckResponse& response) {
  const v1::Device& record = device.record.device();
  if (record.pool().empty()) return;
  Finding finding;
  finding.resource = record.name();
  finding.repair = v1::REPAIR_BY_HAND;
  const uint64_t free = state.pools.at(PoolIdOf(device))->allocator.device_stats(id).free.value();
  if (OwnedBytes(device) + free != record.data_bytes()) {
    finding.kind = v1::BYTES_DO_NOT_ADD_UP;
    finding.recorded = absl::StrCat(record.data_bytes(), " bytes of data");
    finding.found =
        absl::StrCat(device.used_bytes, " used, ", device.scrubbing_bytes, " being scrubbed, ",
                     TotalOf(device.quarantined).value(), " quarantined, ",
                     TotalOf(device.strayed).value(), " of strays and ", free, " free");
    finding.remedy = "restart the coordinator, which finds out who has the same bytes";
    Add(finding, response);
  }
  if (record.recovering()) {
    finding.kind = v1::DEVICE_RECOVERING;
    finding.recorded = "nothing of it is given out after a restore from a backup";
    finding.found = absl::StrCat("it waits for ", absl::StrJoin(AwaitedHosts(state, id), ", "));
    finding.remedy = "start weftd on these hosts, or `weft host fence` them";
    Add(finding, response);
  }
  if (!IsAttachedSomewhere(state, device)) {
    finding.kind = v1::DEVICE_NOT_ATTACHED;
    finding.recorded = absl::StrCat("a device of ", record.pool());
    finding.found = "no live host has proved that it sees it";
    finding.remedy = "see `weft device list` on the hosts that should have it";
    Add(finding, response);
  }
}

void CheckStrayRecord(const store::v1::StrayRecord& stray, v1::CheckResponse& response) {
  Finding finding;
  finding.kind = v1::STRAY_SEGMENT;
  finding.resource = stray.grant().segment();
  finding.host = *ParseHostName(stray.grant().host());
  finding.segment = SegmentId(stray.grant().segment_id());
  finding.recorded = "no such segment; its bytes are kept from everybody";
  finding.found =
      absl::StrCat("the host holds segment ", stray.grant().segment_id(), ", ", stray.size_bytes(),
                   " bytes: ", ExtentsText(stray.runs()),
                   stray.grant().state() == v1::GRANT_REVOKING ? "; it was told to let go" : "");
  finding.repair = v1::REVOKE_STRAY;
  Add(finding, response);
}

constexpr char kDevices = 'd';
constexpr char kStrays = 's';

absl::Status CheckDevicesAfter(const State& state, const std::string& last,
                               v1::CheckResponse& response) {
  const absl::StatusOr<Uuid> after = last.empty() ? Uuid() : Uuid::Parse(last);
  if (!after.ok()) return BadPageToken();
  int checked = 0;
  for (auto it = state.devices.upper_bound(*after); it != state.devices.end(); ++it) {
    if (++checked > kMaxChecked) {
      response.set_next_page_token(
          EncodePageToken(absl::StrCat(std::string(1, kDevices), std::prev(it)->first.ToString())));
      break;
    }
    CheckDevice(state, it->first, it->second, response);
  }
  return absl::OkStatus();
}

absl::Status CheckStraysAfter(const State& state, const std::string& last,
                              v1::CheckResponse& response) {
  GrantKey after(SegmentId(), "");
  if (!last.empty()) {
    const std::vector<std::string> parts = absl::StrSplit(last, absl::MaxSplits('/', 1));
    uint64_t id = 0;
    if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &id)) return BadPageToken();
    after = {SegmentId(id), parts[1]};
  }
  int checked = 0;
  for (auto it = state.strays.upper_bound(after); it != state.strays.end(); ++it) {
    if (++checked > kMaxChecked) {
      const GrantKey& given = std::prev(it)->first;
      response.set_next_page_token(EncodePageToken(
          absl::StrCat(std::string(1, kStrays), given.first.value(), "/", given.second)));
      break;
    }
    CheckStrayRecord(it->second, response);
  }
  return absl::OkStatus();
}

// ---- A host's devices

std::string Text(const v1::LocalDevice& local) {
  return absl::StrCat(local.capacity_bytes(), " bytes, data ", local.data_offset_bytes(), "+",
                      local.data_bytes());
}

std::string Text(const v1::Device& device) {
  return absl::StrCat(device.capacity_bytes(), " bytes, data ", device.data_offset_bytes(), "+",
                      device.data_bytes());
}

// What `host` says of a device that the coordinator knows, and its label.
struct LabelCheck {
  const State& state;
  const std::string& host;
  const DeviceState& device;
  const v1::LocalDevice& local;

  const v1::Device& record() const { return device.record.device(); }
};

Finding About(const LabelCheck& check) {
  Finding finding;
  finding.resource = check.record().name();
  finding.host = check.host;
  return finding;
}

void ComparePool(const LabelCheck& check, v1::CheckResponse& response) {
  const std::string pool = PoolUuidOf(check.local);
  const std::string wanted = WantedPoolUuid(check.state, check.device);
  if (pool == wanted || !check.record().foreign_pool_uuid().empty()) return;
  Finding finding = About(check);
  finding.kind = v1::LABEL_POOL;
  finding.recorded = absl::StrCat("pool ", wanted);
  finding.found = absl::StrCat("the label of ", check.local.dax_name(), " says pool ", pool);
  finding.remedy = "have the host write the label anew";
  Add(finding, response);
}

// Whether it is the device of the record, with what it held.
bool CompareMemory(const LabelCheck& check, v1::CheckResponse& response) {
  const auto& [state, host, device, local] = check;
  const v1::Device& record = check.record();
  Finding finding = About(check);
  finding.repair = v1::REPAIR_BY_HAND;
  const bool same_size = local.capacity_bytes() == record.capacity_bytes() &&
                         local.data_offset_bytes() == record.data_offset_bytes() &&
                         local.data_bytes() == record.data_bytes();
  if (!same_size) {
    finding.kind = v1::LABEL_SIZE;
    finding.recorded = Text(record);
    finding.found = absl::StrCat(local.dax_name(), " has ", Text(local));
    finding.remedy = "it is another device with a copied label: format it on that host";
    Add(finding, response);
    return false;
  }
  if (local.power_epoch() != record.power_epoch()) {
    finding.kind = v1::LABEL_POWER_EPOCH;
    finding.recorded = absl::StrCat("power epoch ", record.power_epoch());
    finding.found =
        absl::StrCat("the label of ", local.dax_name(), " has power epoch ", local.power_epoch());
    finding.remedy =
        "its contents are lost: delete its segments, remove it from its pool and format it";
    Add(finding, response);
    return false;
  }
  return true;
}

void CompareAttachment(const LabelCheck& check, v1::CheckResponse& response) {
  const auto& [state, host, device, local] = check;
  Finding finding = About(check);
  const auto attachment = device.attachments.find(host);
  if (attachment == device.attachments.end()) {
    finding.kind = v1::DEVICE_UNKNOWN;
    finding.recorded = "the host is not known to have it";
    finding.found = absl::StrCat("it is ", local.dax_name());
    Add(finding, response);
  } else if (attachment->second.attachment().state() == v1::ATTACHMENT_MISMATCH) {
    finding.kind = v1::DEVICE_OTHER_MEMORY;
    finding.repair = v1::REPAIR_BY_HAND;
    finding.recorded = "one memory on all hosts";
    finding.found = absl::StrCat(local.dax_name(), ": ", attachment->second.attachment().detail());
    finding.remedy = "see how the host is connected; if it is a copy, format it";
    Add(finding, response);
  }
}

std::string WhySkipped(const v1::HostInventory& found, const std::string& dax_name) {
  for (const v1::SkippedDevice& skipped : found.skipped()) {
    if (skipped.dax_name() == dax_name) return absl::StrCat(dax_name, ": ", skipped.reason());
  }
  return "the host does not see it";
}

void CompareDevices(const State& state, const std::string& host, const v1::HostInventory& found,
                    v1::CheckResponse& response) {
  std::set<DeviceId> there;
  for (const v1::LocalDevice& local : found.devices()) {
    const DeviceId id = *Uuid::Parse(local.uuid());
    there.insert(id);
    const auto device = state.devices.find(id);
    if (device != state.devices.end()) {
      const LabelCheck check{state, host, device->second, local};
      ComparePool(check, response);
      if (CompareMemory(check, response)) CompareAttachment(check, response);
      continue;
    }
    Finding finding;
    finding.kind = v1::DEVICE_UNKNOWN;
    finding.resource = FormatDeviceName(id);
    finding.host = host;
    finding.recorded = "no such device";
    finding.found = absl::StrCat("it is ", local.dax_name());
    Add(finding, response);
  }
  for (const auto& [id, device] : state.devices) {
    const auto attachment = device.attachments.find(host);
    if (attachment == device.attachments.end() || there.contains(id)) continue;
    Finding finding;
    finding.kind = v1::DEVICE_NOT_THERE;
    finding.resource = device.record.device().name();
    finding.host = host;
    finding.recorded = absl::StrCat("it is ", attachment->second.attachment().dax_name());
    finding.found = WhySkipped(found, attachment->second.attachment().dax_name());
    Add(finding, response);
  }
}

absl::Status CheckSane(const std::string& host, const v1::InventoryRequest& asked,
                       const v1::HostInventory& found) {
  if (!found.error().empty()) {
    return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                     absl::StrCat(host, " could not look: ", found.error()));
  }
  const uint64_t after = asked.after_segment_id();
  const uint64_t through = found.through_segment_id();
  const bool goes_on = through == 0 || through > after;
  const bool is_short =
      found.devices_size() <= kMaxDevices && found.skipped_size() <= kMaxDevices &&
      found.segments_size() <= kMaxSegments && found.scrub_ids_size() <= kMaxScrubs;
  const bool has_devices =
      std::all_of(found.devices().begin(), found.devices().end(), [](const v1::LocalDevice& local) {
        return Uuid::Parse(local.uuid()).ok() &&
               (local.pool_uuid().empty() || Uuid::Parse(local.pool_uuid()).ok());
      });
  const bool in_page = std::all_of(found.segments().begin(), found.segments().end(),
                                   [&](const v1::HostSegment& segment) {
                                     const uint64_t id = segment.segment_id();
                                     return id > after && (through == 0 || id <= through);
                                   });
  if (goes_on && is_short && has_devices && in_page) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                   absl::StrCat("what ", host, " says it has makes no sense"));
}

}  // namespace

absl::StatusOr<v1::CheckResponse> CheckRecords(const State& state,
                                               const v1::CheckRecordsRequest& request) {
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  const char part = last.empty() ? kDevices : last[0];
  const std::string after = last.empty() ? "" : last.substr(1);
  if (part != kDevices && part != kStrays) return BadPageToken();
  v1::CheckResponse response;
  if (part == kDevices) {
    if (absl::Status s = CheckDevicesAfter(state, after, response); !s.ok()) return s;
    if (!response.next_page_token().empty()) return response;
  }
  if (absl::Status s = CheckStraysAfter(state, part == kStrays ? after : "", response); !s.ok()) {
    return s;
  }
  return response;
}

absl::StatusOr<v1::InventoryRequest> InventoryFor(const State& state,
                                                  const v1::CheckHostRequest& request) {
  const absl::StatusOr<std::string> host = FindHost(state, request.name());
  if (!host.ok()) return host.status();
  if (absl::Status s = CheckAlive(state, *host); !s.ok()) return s;
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  uint64_t after = 0;
  if (!last.empty() && !absl::SimpleAtoi(last, &after)) return BadPageToken();
  v1::InventoryRequest inventory;
  inventory.set_after_segment_id(after);
  return inventory;
}

absl::StatusOr<v1::CheckResponse> CompareHost(const State& state, const std::string& host,
                                              const v1::InventoryRequest& asked,
                                              const v1::HostInventory& found) {
  if (absl::Status s = CheckAlive(state, host); !s.ok()) return s;
  if (absl::Status s = CheckSane(host, asked, found); !s.ok()) return s;
  v1::CheckResponse response;
  if (asked.after_segment_id() == 0) CompareDevices(state, host, found, response);
  CompareSegments(state, host, asked, found, response);
  if (found.through_segment_id() != 0) {
    response.set_next_page_token(EncodePageToken(absl::StrCat(found.through_segment_id())));
  }
  return response;
}

absl::Status Repair(State& state, const Context& context, const v1::RepairRequest& request,
                    Changes& changes) {
  const absl::StatusOr<std::string> host = FindHost(state, request.host());
  if (!host.ok()) return host.status();
  switch (request.action()) {
    case v1::RESYNC_HOST:
      return CheckAlive(state, *host);
    case v1::REVOKE_STRAY:
      return RevokeStray(state, context, SegmentId(request.segment_id()), *host, changes);
    default:
      return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                       "action is none that the coordinator can take");
  }
}

}  // namespace weft
