// Binding dax devices to drivers through sysfs.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DAX_DRIVER_H_
#define WEFT_SERVER_PLATFORM_LINUX_DAX_DRIVER_H_

#include <string>
#include <utility>

#include "server/platform/dax_drivers.h"
#include "server/platform/record_dir.h"

namespace weft {

// `bus`: /sys/bus/dax. The driver bound to the device; empty without one.
std::string BoundDriver(const std::string& bus, const std::string& name);

// Takes the device from the driver that it is bound to and gives it to `driver`; to none, if
// that is empty.
absl::Status BindDriver(const std::string& bus, const std::string& name, const std::string& driver);

class SysfsDaxDrivers final : public DaxDrivers {
 public:
  // `bus`: /sys/bus/dax. `records` keeps the drivers before, of this boot of the host: a
  // reboot binds every device anew.
  SysfsDaxDrivers(std::string bus, RecordDir& records) : bus_(std::move(bus)), records_(records) {}

  absl::Status Bind(const std::string& name, const std::string& driver) override;
  absl::Status Restore(const std::string& name) override;

 private:
  const std::string bus_;
  RecordDir& records_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DAX_DRIVER_H_
