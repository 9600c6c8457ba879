// Which driver of the kernel a dax device is bound to.

#ifndef WEFT_SERVER_PLATFORM_DAX_DRIVERS_H_
#define WEFT_SERVER_PLATFORM_DAX_DRIVERS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"

namespace weft {

// Not thread-safe. Names are as DaxInfo::name.
class DaxDrivers {
 public:
  virtual ~DaxDrivers() = default;

  // Takes the device from the driver that it is bound to and gives it to `driver`; the one
  // before is remembered, for processes to come too. On an error it is bound as it was, if
  // the kernel lets it.
  virtual absl::Status Bind(const std::string& name, const std::string& driver) = 0;
  // Undoes Bind; device_dax if nothing is remembered.
  virtual absl::Status Restore(const std::string& name) = 0;
};

// Undoes Bind when it goes out of scope, unless it is told to keep it.
class DaxBinding {
 public:
  DaxBinding(DaxDrivers& drivers, std::string name) : drivers_(drivers), name_(std::move(name)) {}
  DaxBinding(const DaxBinding&) = delete;
  DaxBinding& operator=(const DaxBinding&) = delete;
  ~DaxBinding() {
    if (!kept_) drivers_.Restore(name_).IgnoreError();  // the cause has been reported
  }

  void Keep() { kept_ = true; }

 private:
  DaxDrivers& drivers_;
  const std::string name_;
  bool kept_ = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_DAX_DRIVERS_H_
