// The devices of a host whose handles come from the kernel module.

#ifndef WEFT_SERVER_NODE_KMOD_DAX_H_
#define WEFT_SERVER_NODE_KMOD_DAX_H_

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/node/label.h"
#include "server/platform/dax.h"
#include "server/platform/dax_drivers.h"
#include "server/platform/kmod.h"
#include "server/platform/record_dir.h"

namespace weft {

// Gives every device with a good label to the module. One without stays with device_dax, to
// be formatted; the List after that takes it. One that cannot be given is skipped, bound as
// it was.
class KmodDax final : public Dax {
 public:
  using OpenFn =
      std::function<absl::StatusOr<std::unique_ptr<Device>>(const KmodDeviceInfo&, const DaxInfo&)>;

  // `raw` lists devices that are bound to device_dax or to the module's driver as usable.
  // `open` opens those that the module has. `released` keeps, by UUID, the devices that were
  // given back for good; those named in `unused` are never taken. All calls come from one
  // thread at a time.
  KmodDax(Dax& raw, Kmod& kmod, DaxDrivers& drivers, RecordDir& released,
          std::set<std::string> unused, OpenFn open)
      : raw_(raw),
        kmod_(kmod),
        drivers_(drivers),
        released_(released),
        unused_(std::move(unused)),
        open_(std::move(open)) {}

  absl::StatusOr<DaxListing> List() override;
  absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info) override;
  // The module learns the UUID as well. BUSY_PINNED: segments lie on the device.
  absl::StatusOr<bool> SetId(const DaxInfo& info, const DeviceId& id) override;
  absl::Status SetReleased(const std::string& name, bool released) override;

  // Gives back, for a daemon that ends, all devices on which no segment lies.
  void GiveBackAll();

 private:
  // Gives the device to the module, if it has a good label; returns whether it has one.
  absl::StatusOr<bool> Claim(const DaxInfo& info);
  absl::Status Settle(const DaxInfo& info, const std::vector<KmodDeviceInfo>& taken, bool* changed);
  absl::Status GiveBack(const KmodDeviceInfo& device, const std::string& name);
  absl::Status CheckMayTake(const std::string& name, const DeviceId& id);
  // The device as it is now. DEVICE_MISSING.
  absl::StatusOr<DaxInfo> Find(const std::string& name);
  // Of a device that device_dax has.
  absl::StatusOr<LabelVerdict> ReadVerdict(const DaxInfo& info);

  Dax& raw_;
  Kmod& kmod_;
  DaxDrivers& drivers_;
  RecordDir& released_;
  const std::set<std::string> unused_;
  const OpenFn open_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_KMOD_DAX_H_
