#include "server/platform/linux/dax.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/dax_classify.h"
#include "server/platform/linux/daxctl.h"
#include "server/platform/linux/emulated_file.h"
#include "server/platform/linux/file_device.h"

namespace weft {
namespace {

DaxInfo Describe(const EmulatedSpec& spec) {
  DaxInfo info;
  info.name = spec.name;
  info.kind = DeviceKind::kEmulated;
  info.path = spec.path;
  info.size = spec.size;
  info.alignment = kExtentUnit;
  info.numa_distance = spec.numa_distance;
  info.software_coherent = spec.software_coherent;
  return info;
}

void Sort(DaxListing& listing) {
  const auto by_name = [](const auto& a, const auto& b) { return a.name < b.name; };
  std::sort(listing.usable.begin(), listing.usable.end(), by_name);
  std::sort(listing.skipped.begin(), listing.skipped.end(), by_name);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dax>> LinuxDax::Create(LinuxDaxOptions options) {
  std::set<std::string> names;
  for (const EmulatedSpec& spec : options.emulated) {
    if (!names.insert(spec.name).second) {
      return MakeError(
          absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
          absl::StrCat("two emulated devices are called ", spec.name, ": give one another name="));
    }
    if (absl::Status s = CreateEmulatedFile(spec); !s.ok()) return s;
  }
  return std::unique_ptr<Dax>(new LinuxDax(std::move(options)));
}

const DeviceSpec* LinuxDax::SpecOf(const DaxInfo& info) const {
  const auto spec = std::find_if(options_.devices.begin(), options_.devices.end(),
                                 [&](const DeviceSpec& s) { return s.name == info.name; });
  return spec == options_.devices.end() ? nullptr : &*spec;
}

absl::StatusOr<std::vector<DaxInfo>> LinuxDax::ReadDevices() const {
  absl::StatusOr<std::vector<DaxInfo>> devices = ReadDaxDevices();
  if (!devices.ok()) return devices;
  for (DaxInfo& info : *devices) {
    const DeviceSpec* const spec = SpecOf(info);
    info.software_coherent = spec != nullptr && spec->software_coherent;
  }
  return devices;
}

absl::Status LinuxDax::CheckMayUse(const DaxInfo& info) const {
  const bool is_claimed = !info.driver.empty() && info.driver == options_.module_driver;
  if (is_claimed) return absl::OkStatus();
  if (const DeviceSpec* const spec = SpecOf(info); spec != nullptr && !spec->use) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_ALLOWED,
                     absl::StrCat(info.name, " is not to be used: --device says so"));
  }
  return CheckUsable(info, options_.allow_raw_devdax);
}

absl::StatusOr<DaxListing> LinuxDax::List() {
  absl::StatusOr<std::vector<DaxInfo>> real = ReadDevices();
  if (!real.ok()) return real.status();
  DaxListing listing;
  for (DaxInfo& info : *real) {
    absl::Status why = CheckMayUse(info);
    if (why.ok()) {
      listing.usable.push_back(std::move(info));
    } else {
      listing.skipped.push_back({info.name, std::move(why)});
    }
  }
  for (const EmulatedSpec& spec : options_.emulated) {
    DaxInfo info = Describe(spec);
    // Opening it is the one way to know what is behind the path.
    const auto device = FileDevice::Open(info);
    if (device.ok()) {
      listing.usable.push_back(std::move(info));
    } else {
      listing.skipped.push_back({spec.name, device.status()});
    }
  }
  Sort(listing);
  return listing;
}

absl::StatusOr<std::unique_ptr<Device>> LinuxDax::Open(const DaxInfo& info) {
  if (info.kind == DeviceKind::kEmulated) return FileDevice::Open(info);
  const absl::StatusOr<std::vector<DaxInfo>> real = ReadDevices();
  if (!real.ok()) return real.status();
  if (std::find(real->begin(), real->end(), info) == real->end()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                     absl::StrCat(info.name, " is gone or not as it was listed: list again"));
  }
  return FileDevice::Open(info);
}

}  // namespace weft
