#include "server/node/device_catalog.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/errors.h"
#include "server/core/ranges.h"
#include "server/node/exchange.h"
#include "server/node/label_io.h"

namespace weft {
namespace {

v1::Coherence CoherenceOf(const DaxInfo& info) {
  return info.software_coherent ? v1::SOFTWARE : v1::HARDWARE;
}

// As many as one LocalDevice may have.
constexpr size_t kMaxBadRanges = 1024;

v1::LocalDevice ToInventory(const KnownDevice& known) {
  v1::LocalDevice local;
  const DataRange data = DataRangeOf(known.label.capacity);
  local.set_uuid(known.label.device.ToString());
  local.set_pool_uuid(known.label.pool.ToString());
  local.set_dax_name(known.info.name);
  local.set_path(known.info.path);
  local.set_capacity_bytes(known.label.capacity.value());
  local.set_data_offset_bytes(data.offset.value());
  local.set_data_bytes(data.length.value());
  local.set_alignment_bytes(known.info.alignment.value());
  local.set_power_epoch(known.label.power_epoch);
  local.set_coherence(CoherenceOf(known.info));
  local.set_numa_node(known.info.numa_node);
  local.set_numa_distance(known.info.numa_distance);
  local.set_exchange_slots(kExchangeSlots);
  for (const ByteRange& range : Coarsened(known.bad, kMaxBadRanges)) {
    v1::ByteRange& bad = *local.add_bad_ranges();
    bad.set_offset_bytes(range.offset.value());
    bad.set_length_bytes(range.length.value());
  }
  return local;
}

v1::LocalDeviceInfo ToInfo(const KnownDevice& known) {
  v1::LocalDeviceInfo info;
  info.set_dax_name(known.info.name);
  info.set_path(known.info.path);
  info.set_capacity_bytes(known.info.size.value());
  info.set_alignment_bytes(known.info.alignment.value());
  info.set_numa_node(known.info.numa_node);
  info.set_skipped(std::string(known.skipped.message()));
  if (known.skipped.ok()) {
    info.set_uuid(known.label.device.ToString());
    if (!known.label.pool.is_nil()) info.set_pool_uuid(known.label.pool.ToString());
  }
  return info;
}

void LogChange(const KnownDevice& known) {
  if (known.skipped.ok()) {
    spdlog::info("device_found name={} path={} uuid={} bytes={}", known.info.name, known.info.path,
                 known.label.device.ToString(), known.info.size.value());
  } else {
    spdlog::warn("device_skipped name={} reason={} why=\"{}\"", known.info.name,
                 v1::Reason_Name(ReasonOf(known.skipped)), std::string(known.skipped.message()));
  }
}

bool SameForUse(const KnownDevice& a, const KnownDevice& b) {
  return a.info == b.info && a.skipped == b.skipped && a.label == b.label && a.bad == b.bad;
}

}  // namespace

absl::StatusOr<bool> DeviceCatalog::Rescan() {
  const absl::StatusOr<DaxListing> listing = dax_.List();
  if (!listing.ok()) return listing.status();
  const Devices before = devices();
  Devices now;
  std::map<DeviceId, std::string> names;
  for (const DaxInfo& info : listing->usable) {
    KnownDevice known = Look(info, before);
    if (known.skipped.ok()) {
      const auto [other, is_new] = names.emplace(known.label.device, info.name);
      if (!is_new) {
        known.skipped = MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISMATCH,
                                  absl::StrCat(info.name, " has the UUID of ", other->second,
                                               ": one is a copy of the other"));
      }
    }
    now[info.name] = std::move(known);
  }
  for (const SkippedDax& skipped : listing->skipped) {
    KnownDevice known;
    known.info.name = skipped.name;
    known.skipped = skipped.why;
    now[skipped.name] = std::move(known);
  }
  bool changed = now.size() != before.size();
  for (const auto& [name, known] : now) {
    const auto old = before.find(name);
    if (old != before.end() && SameForUse(old->second, known)) continue;
    changed = true;
    LogChange(known);
  }
  absl::MutexLock lock(&mu_);
  devices_ = std::move(now);
  if (!std::exchange(scanned_, true)) announced_ = openings_;
  return changed;
}

KnownDevice DeviceCatalog::Look(const DaxInfo& info, const Devices& before) {
  const auto old = before.find(info.name);
  const bool is_same = old != before.end() && old->second.info == info;
  KnownDevice known;
  known.info = info;
  if (is_same) known.device = old->second.device;
  if (is_same) known.opening = old->second.opening;
  const bool had_label = known.device != nullptr && old->second.skipped.ok();
  known.skipped = Read(known);
  if (had_label && absl::IsUnavailable(known.skipped)) return old->second;  // as it was
  return known;
}

absl::Status DeviceCatalog::Read(KnownDevice& known) {
  for (;;) {
    if (known.device == nullptr) {
      absl::StatusOr<std::unique_ptr<Device>> opened = dax_.Open(known.info);
      if (!opened.ok()) return opened.status();
      known.device = *std::move(opened);
      known.opening = ++openings_;
    }
    const absl::StatusOr<Label> label = ReadGoodLabel(*known.device);
    if (!label.ok()) return label.status();
    known.label = *label;
    const absl::StatusOr<bool> is_other = dax_.SetId(known.info, known.label.device);
    if (!is_other.ok()) return is_other.status();
    if (!*is_other) break;
    known.device = nullptr;
  }
  absl::StatusOr<std::vector<ByteRange>> bad = known.device->BadRanges();
  if (!bad.ok()) return bad.status();
  known.bad = *std::move(bad);
  return absl::OkStatus();
}

absl::StatusOr<Label> DeviceCatalog::ReadGoodLabel(Device& device) {
  const absl::StatusOr<LabelReading> reading = ReadLabel(device);
  if (!reading.ok()) return reading.status();
  if (absl::Status s = LabelStatus(reading->verdict, device.name()); !s.ok()) return s;
  if (absl::Status s = RepairLabel(device, *reading, tools_.probe); !s.ok()) return s;
  return reading->verdict.label;
}

DeviceCatalog::Devices DeviceCatalog::devices() const {
  absl::MutexLock lock(&mu_);
  return devices_;
}

absl::StatusOr<KnownDevice> DeviceCatalog::Find(const DeviceId& id) const {
  absl::MutexLock lock(&mu_);
  for (const auto& [name, known] : devices_) {
    if (!known.skipped.ok() || known.label.device != id) continue;
    if (known.opening <= announced_) return known;
    return MakeError(absl::StatusCode::kUnavailable, v1::DEVICE_MISSING,
                     absl::StrCat(name, " came back as device ", id.ToString(),
                                  ": this host still has to prove that it is; try again"));
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                   absl::StrCat("this host does not see device ", id.ToString()));
}

absl::StatusOr<KnownDevice> DeviceCatalog::FindByName(const std::string& name) const {
  const Devices all = devices();
  for (const auto& [key, known] : all) {
    if (key == name || known.info.path == name) return known;
  }
  const auto name_of = [](std::string* out, const auto& entry) { out->append(entry.first); };
  return MakeError(absl::StatusCode::kNotFound, v1::DEVICE_NOT_FOUND,
                   absl::StrCat("this host has no device \"", name, "\"; it has: ",
                                all.empty() ? "none" : absl::StrJoin(all, ", ", name_of)));
}

uint64_t DeviceCatalog::newest_opening() const {
  uint64_t newest = 0;
  for (const auto& [name, known] : devices()) {
    if (known.skipped.ok()) newest = std::max(newest, known.opening);
  }
  return newest;
}

void DeviceCatalog::SetAnnounced(uint64_t opening) {
  absl::MutexLock lock(&mu_);
  announced_ = std::max(announced_, opening);
}

uint64_t DeviceCatalog::announced() const {
  absl::MutexLock lock(&mu_);
  return announced_;
}

v1::DeviceInventory DeviceCatalog::Inventory() const {
  v1::DeviceInventory inventory;
  for (const auto& [name, known] : devices()) {
    if (known.skipped.ok()) *inventory.add_devices() = ToInventory(known);
  }
  return inventory;
}

v1::ListLocalDevicesResponse DeviceCatalog::List() const {
  v1::ListLocalDevicesResponse response;
  for (const auto& [name, known] : devices()) *response.add_devices() = ToInfo(known);
  return response;
}

absl::StatusOr<v1::LocalDeviceInfo> DeviceCatalog::Format(const std::string& name, bool force) {
  absl::StatusOr<KnownDevice> known = FindByName(name);
  if (!known.ok()) return known.status();
  if (known->device == nullptr) return known->skipped;
  FormatOptions options;
  options.force = force;
  absl::StatusOr<Label> label = FormatDevice(*known->device, options, tools_);
  if (!label.ok()) return label.status();
  spdlog::info("device_formatted name={} uuid={} forced={}", known->info.name,
               label->device.ToString(), force);
  SetLabel(known->info.name, *label);
  known->label = *std::move(label);
  known->skipped = absl::OkStatus();
  return ToInfo(*known);
}

absl::StatusOr<v1::LocalDeviceInfo> DeviceCatalog::SetReleased(const std::string& name,
                                                               bool released) {
  const absl::StatusOr<KnownDevice> known = FindByName(name);
  if (!known.ok()) return known.status();
  const std::string dax_name = known->info.name;
  if (absl::Status s = dax_.SetReleased(dax_name, released); !s.ok()) return s;
  if (absl::StatusOr<bool> changed = Rescan(); !changed.ok()) return changed.status();
  const absl::StatusOr<KnownDevice> now = FindByName(dax_name);
  if (!now.ok()) return now.status();
  return ToInfo(*now);
}

absl::Status DeviceCatalog::SetPool(const DeviceId& id, const Uuid& pool) {
  const absl::StatusOr<KnownDevice> known = Find(id);
  if (!known.ok()) return known.status();
  const absl::StatusOr<LabelReading> reading = ReadLabel(*known->device);
  if (!reading.ok()) return reading.status();
  if (absl::Status s = LabelStatus(reading->verdict, known->info.name); !s.ok()) return s;
  Label label = reading->verdict.label;
  if (label.device != id) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISMATCH,
                     absl::StrCat(known->info.name, " is not the device that it was"));
  }
  if (label.pool == pool && reading->stale.empty()) return absl::OkStatus();
  label.pool = pool;
  absl::StatusOr<Label> written = UpdateLabel(*known->device, *reading, std::move(label));
  if (!written.ok()) return written.status();
  SetLabel(known->info.name, *written);
  return absl::OkStatus();
}

void DeviceCatalog::SetLabel(const std::string& name, const Label& label) {
  absl::MutexLock lock(&mu_);
  const auto it = devices_.find(name);
  if (it == devices_.end()) return;
  it->second.label = label;
  it->second.skipped = absl::OkStatus();
}

}  // namespace weft
