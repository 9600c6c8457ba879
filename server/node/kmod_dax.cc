#include "server/node/kmod_dax.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/node/label_io.h"

namespace weft {
namespace {

const KmodDeviceInfo* FindByNumber(const std::vector<KmodDeviceInfo>& devices, uint64_t number) {
  const auto it = std::find_if(devices.begin(), devices.end(),
                               [&](const auto& d) { return d.device_number == number; });
  return it == devices.end() ? nullptr : &*it;
}

// A device that device_dax has, opened for each access and no longer: to take it from that
// driver while it is open would leave the kernel with a file of a driver that is gone.
class UnclaimedDevice final : public Device {
 public:
  UnclaimedDevice(Dax& raw, DaxInfo info) : raw_(raw), info_(std::move(info)) {}

  const std::string& name() const override { return info_.name; }
  DeviceKind kind() const override { return info_.kind; }
  ByteCount size() const override { return info_.size; }
  ByteCount alignment() const override { return info_.alignment; }
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) override {
    return WithOpen([&](Device& device) { return device.Read(offset, out); });
  }
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) override {
    return WithOpen([&](Device& device) { return device.Write(offset, bytes); });
  }
  absl::Status Zero(ByteOffset offset, ByteCount length) override {
    return WithOpen([&](Device& device) { return device.Zero(offset, length); });
  }
  absl::StatusOr<UniqueFd> OpenForClient(Access) override {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED,
                     absl::StrCat(info_.name, " is not with the kernel module yet"));
  }

 private:
  absl::Status WithOpen(absl::FunctionRef<absl::Status(Device&)> access) {
    const absl::StatusOr<std::unique_ptr<Device>> device = raw_.Open(info_);
    return device.ok() ? access(**device) : device.status();
  }

  Dax& raw_;
  const DaxInfo info_;
};

}  // namespace

absl::StatusOr<DaxListing> KmodDax::List() {
  absl::StatusOr<DaxListing> listing = raw_.List();
  if (!listing.ok()) return listing;
  const absl::StatusOr<std::vector<KmodDeviceInfo>> taken = kmod_.ListDevices();
  if (!taken.ok()) return taken.status();
  std::map<std::string, absl::Status> failures;
  bool changed = false;
  for (const DaxInfo& info : listing->usable) {
    const absl::Status settled = Settle(info, *taken, &changed);
    if (!settled.ok()) failures[info.name] = settled;
  }
  if (changed) listing = raw_.List();
  if (!listing.ok() || failures.empty()) return listing;
  DaxListing result;
  result.skipped = std::move(listing->skipped);
  for (DaxInfo& info : listing->usable) {
    const auto failed = failures.find(info.name);
    if (failed == failures.end()) {
      result.usable.push_back(std::move(info));
    } else {
      result.skipped.push_back({info.name, failed->second});
    }
  }
  return result;
}

absl::Status KmodDax::Settle(const DaxInfo& info, const std::vector<KmodDeviceInfo>& taken,
                             bool* changed) {
  const KmodDeviceInfo* device = FindByNumber(taken, info.device_number);
  if (device != nullptr && device->dead) {
    // Bound anew, perhaps: its segments are gone for good, and it must be added again.
    *changed = true;
    if (absl::Status s = kmod_.RemoveDevice(device->id); !s.ok()) return s;
    device = nullptr;
  }
  if (device != nullptr) {
    const absl::Status may = CheckMayTake(info.name, device->uuid);
    // One of which that cannot be read stays as it is.
    if (ReasonOf(may) != v1::NOT_ALLOWED) return absl::OkStatus();
    *changed = true;
    if (absl::Status s = GiveBack(*device, info.name); !s.ok()) return s;
    return may;
  }
  if (info.driver == kmod_.driver_name()) {
    // An earlier run ended between binding and adding: only device_dax shows the label.
    *changed = true;
    if (absl::Status s = drivers_.Restore(info.name); !s.ok()) return s;
  }
  const absl::StatusOr<bool> claimed = Claim(info);
  if (!claimed.ok()) return claimed.status();
  *changed |= *claimed;
  return absl::OkStatus();
}

absl::Status KmodDax::CheckMayTake(const std::string& name, const DeviceId& id) {
  if (unused_.contains(name)) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_ALLOWED,
                     absl::StrCat(name, " is not to be used: --device says so"));
  }
  const absl::StatusOr<std::map<std::string, std::string>> released = released_.ReadAll();
  if (!released.ok()) return released.status();
  if (!released->contains(id.ToString())) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_ALLOWED,
                   absl::StrCat(name,
                                " was given back; to use it again: weft device release "
                                "--undo ",
                                name));
}

absl::Status KmodDax::GiveBack(const KmodDeviceInfo& device, const std::string& name) {
  const absl::Status removed = kmod_.RemoveDevice(device.id);
  if (ReasonOf(removed) == v1::BUSY_PINNED) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                     absl::StrCat(name, " is in use: this host holds segments on it; end the ",
                                  "programs that map them, or: weft host drain"));
  }
  if (!removed.ok()) return removed;
  if (absl::Status s = drivers_.Restore(name); !s.ok()) return s;
  spdlog::info("device_given_back name={} uuid={}", name, device.uuid.ToString());
  return absl::OkStatus();
}

absl::StatusOr<DaxInfo> KmodDax::Find(const std::string& name) {
  absl::StatusOr<DaxListing> listing = raw_.List();
  if (!listing.ok()) return listing.status();
  const auto found = std::find_if(listing->usable.begin(), listing->usable.end(),
                                  [&](const DaxInfo& info) { return info.name == name; });
  if (found != listing->usable.end()) return *std::move(found);
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                   absl::StrCat(name, " is not there, or has another driver"));
}

absl::StatusOr<LabelVerdict> KmodDax::ReadVerdict(const DaxInfo& info) {
  const absl::StatusOr<std::unique_ptr<Device>> device = raw_.Open(info);
  if (!device.ok()) return device.status();
  absl::StatusOr<LabelReading> reading = ReadLabel(**device);
  if (!reading.ok()) return reading.status();
  return std::move(reading->verdict);
}

absl::StatusOr<bool> KmodDax::Claim(const DaxInfo& info) {
  // As it is now: another driver than listed may have been restored.
  const absl::StatusOr<DaxInfo> now = Find(info.name);
  if (!now.ok()) return now.status();
  // Not open any more: what has it open keeps it from being bound anew.
  const absl::StatusOr<LabelVerdict> verdict = ReadVerdict(*now);
  if (!verdict.ok()) return verdict.status();
  if (!LabelStatus(*verdict, info.name).ok()) return false;
  if (absl::Status s = CheckMayTake(info.name, verdict->label.device); !s.ok()) return s;
  if (absl::Status s = drivers_.Bind(info.name, kmod_.driver_name()); !s.ok()) return s;
  DaxBinding binding(drivers_, info.name);
  const absl::StatusOr<KmodDeviceInfo> added =
      kmod_.AddDevice(info.path, verdict->label.device, info.software_coherent);
  if (!added.ok()) return added.status();
  binding.Keep();
  spdlog::info("device_claimed name={} uuid={} driver={}", info.name, added->uuid.ToString(),
               kmod_.driver_name());
  return true;
}

absl::StatusOr<bool> KmodDax::SetId(const DaxInfo& info, const DeviceId& id) {
  const absl::StatusOr<std::vector<KmodDeviceInfo>> taken = kmod_.ListDevices();
  if (!taken.ok()) return taken.status();
  const KmodDeviceInfo* const device = FindByNumber(*taken, info.device_number);
  if (device == nullptr || device->uuid == id) return false;
  if (absl::Status s = kmod_.RemoveDevice(device->id); !s.ok()) return s;
  const auto added = kmod_.AddDevice(info.path, id, info.software_coherent);
  if (!added.ok()) return added.status();
  return true;
}

absl::Status KmodDax::SetReleased(const std::string& name, bool released) {
  const absl::StatusOr<DaxInfo> info = Find(name);
  if (!info.ok()) return info.status();
  const absl::StatusOr<std::vector<KmodDeviceInfo>> taken = kmod_.ListDevices();
  if (!taken.ok()) return taken.status();
  if (const KmodDeviceInfo* const device = FindByNumber(*taken, info->device_number)) {
    if (!released) return absl::OkStatus();
    if (absl::Status s = GiveBack(*device, name); !s.ok()) return s;
    return released_.Write(device->uuid.ToString(), name);
  }
  const absl::StatusOr<LabelVerdict> verdict = ReadVerdict(*info);
  if (!verdict.ok()) return verdict.status();
  if (absl::Status s = LabelStatus(*verdict, name); !s.ok()) return s;
  const std::string id = verdict->label.device.ToString();
  return released ? released_.Write(id, name) : released_.Remove(id);
}

void KmodDax::GiveBackAll() {
  const absl::StatusOr<DaxListing> listing = raw_.List();
  const absl::StatusOr<std::vector<KmodDeviceInfo>> taken = kmod_.ListDevices();
  if (!listing.ok() || !taken.ok()) return;  // the next daemon finds them as they are
  for (const DaxInfo& info : listing->usable) {
    const KmodDeviceInfo* const device = FindByNumber(*taken, info.device_number);
    if (device == nullptr) continue;
    const absl::Status status = GiveBack(*device, info.name);
    if (!status.ok()) {
      spdlog::warn("device_kept name={} error=\"{}\"", info.name, std::string(status.message()));
    }
  }
}

absl::StatusOr<std::unique_ptr<Device>> KmodDax::Open(const DaxInfo& info) {
  if (info.driver != kmod_.driver_name()) return std::make_unique<UnclaimedDevice>(raw_, info);
  const absl::StatusOr<std::vector<KmodDeviceInfo>> taken = kmod_.ListDevices();
  if (!taken.ok()) return taken.status();
  const KmodDeviceInfo* const device = FindByNumber(*taken, info.device_number);
  if (device != nullptr) return open_(*device, info);
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                   absl::StrCat("the kernel module does not have ", info.name, ": list again"));
}

}  // namespace weft
