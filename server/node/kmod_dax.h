// The devices of a host whose handles come from the kernel module.

#ifndef WEFT_SERVER_NODE_KMOD_DAX_H_
#define WEFT_SERVER_NODE_KMOD_DAX_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/platform/dax.h"
#include "server/platform/dax_drivers.h"
#include "server/platform/kmod.h"

namespace weft {

// Gives every device with a good label to the module. One without stays with device_dax, to
// be formatted; the List after that takes it. One that cannot be given is skipped, bound as
// it was.
class KmodDax final : public Dax {
 public:
  using OpenFn =
      std::function<absl::StatusOr<std::unique_ptr<Device>>(const KmodDeviceInfo&, const DaxInfo&)>;

  // `raw` lists devices that are bound to device_dax or to the module's driver as usable.
  // `open` opens those that the module has. List comes from one thread at a time.
  KmodDax(Dax& raw, Kmod& kmod, DaxDrivers& drivers, OpenFn open)
      : raw_(raw), kmod_(kmod), drivers_(drivers), open_(std::move(open)) {}

  absl::StatusOr<DaxListing> List() override;
  absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info) override;

 private:
  // Gives the device to the module, if it has a good label; returns whether it has one.
  absl::StatusOr<bool> Claim(const DaxInfo& info);
  absl::Status Settle(const DaxInfo& info, const std::vector<KmodDeviceInfo>& taken, bool* changed);

  Dax& raw_;
  Kmod& kmod_;
  DaxDrivers& drivers_;
  const OpenFn open_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_KMOD_DAX_H_
