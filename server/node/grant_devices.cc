#include "server/node/grant_devices.h"

#include <utility>

#include "server/core/names.h"

namespace weft {

absl::StatusOr<std::map<std::string, KnownDevice>> FindGrantDevices(
    const DeviceCatalog& catalog, const v1::GrantAssignment& grant) {
  std::map<std::string, KnownDevice> devices;
  for (const v1::Run& run : grant.runs()) {
    for (const v1::Extent& extent : run.extents()) {
      if (devices.contains(extent.device())) continue;
      const absl::StatusOr<DeviceId> id = ParseDeviceName(extent.device());
      if (!id.ok()) return id.status();
      absl::StatusOr<KnownDevice> device = catalog.Find(*id);
      if (!device.ok()) return device.status();
      devices[extent.device()] = *std::move(device);
    }
  }
  return devices;
}

v1::DeviceIncarnation IncarnationOf(const std::string& name, const KnownDevice& device) {
  v1::DeviceIncarnation incarnation;
  incarnation.set_device(name);
  incarnation.set_power_epoch(device.label.power_epoch);
  return incarnation;
}

}  // namespace weft
