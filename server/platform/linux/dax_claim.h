// Taking a dax device from the kernel's use as ordinary memory, for good.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DAX_CLAIM_H_
#define WEFT_SERVER_PLATFORM_LINUX_DAX_CLAIM_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weft {

// What the files with the rules begin with.
inline constexpr char kClaimRulePrefix[] = "90-weft-";

struct DaxClaimOptions {
  std::string sys = "/sys";
  std::string rules_dir = "/etc/udev/rules.d";
  // What the rule runs, by its full path.
  std::string program;
  // Take memory that is online offline first.
  bool offline = false;
  // The longest that one block of it may take to empty.
  absl::Duration patience = absl::Minutes(1);
  // As BindDriver.
  std::function<absl::Status(const std::string& name, const std::string& driver)> bind;
};

struct DaxClaim {
  std::string name;  // dax0.0
  std::string driver_before;
  std::string driver;
  // What keeps it so over a reboot.
  std::string rule;
  // What would undo the claim for a moment at every boot; empty: nothing.
  std::string warning;
  // Something had to be done.
  bool changed = false;
};

// Binds `device`, a name or a path, to device_dax if dax_kmem or nobody has it, and writes a
// udev rule that does the same whenever dax_kmem takes it. The rule names the device by its
// physical address: names change between boots. One that Weft or device_dax has already keeps
// its driver and gets the rule. On an error all is as it was; if the kernel refused to bind the
// device, its memory may be offline, though. Idempotent.
//
//   NOT_FOUND DEVICE_NOT_FOUND          names those that there are
//   FAILED_PRECONDITION IN_USE          its memory is online, and is to stay so or cannot be
//                                       taken offline; another driver has it
//   PERMISSION_DENIED NOT_ALLOWED       this process may not do that
absl::StatusOr<DaxClaim> ClaimDax(const std::string& device, const DaxClaimOptions& options);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DAX_CLAIM_H_
