// The devices of a Linux host.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DAX_H_
#define WEFT_SERVER_PLATFORM_LINUX_DAX_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/platform/dax.h"
#include "server/platform/device_spec.h"
#include "server/platform/emulated_spec.h"

namespace weft {

struct LinuxDaxOptions {
  std::vector<EmulatedSpec> emulated;
  // Whether real devices are listed as usable: their clients get the whole device.
  bool allow_raw_devdax = false;
  // Devices bound to this driver, the kernel module's, are usable too; empty: none.
  std::string module_driver = "";
  // What is said of real devices. Those that are not to be used are skipped, unless the
  // module's driver has them: then they are to be given back.
  std::vector<DeviceSpec> devices = {};
};

class LinuxDax final : public Dax {
 public:
  // Creates the files of emulated devices that do not exist. A file that is wrong is not
  // an error here: List() tells.
  //   INVALID_ARGUMENT BAD_ARGUMENT   two emulated devices have one name
  static absl::StatusOr<std::unique_ptr<Dax>> Create(LinuxDaxOptions options);

  absl::StatusOr<DaxListing> List() override;
  absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info) override;

 private:
  explicit LinuxDax(LinuxDaxOptions options) : options_(std::move(options)) {}

  const DeviceSpec* SpecOf(const DaxInfo& info) const;
  // The real ones, with what is said of them.
  absl::StatusOr<std::vector<DaxInfo>> ReadDevices() const;
  absl::Status CheckMayUse(const DaxInfo& info) const;

  const LinuxDaxOptions options_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DAX_H_
