// The devices of this host: which there are, which Weft can use, why not the others.

#ifndef WEFT_SERVER_PLATFORM_DAX_H_
#define WEFT_SERVER_PLATFORM_DAX_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "server/platform/device.h"

namespace weft {

// How the kernel uses a dax device, told by the driver bound to it.
enum class DaxMode {
  kUnbound,    // no driver
  kDevdax,     // "device_dax": /dev/daxX.Y can be mapped
  kSystemRam,  // "kmem": ordinary memory of this host
  kFsdev,      // "fsdev_dax": for a file system, famfs say
  kOther,      // a driver not known here
};

struct DaxInfo {
  // "dax0.0", or the name given to an emulated device. Unique on this host; may be
  // another after the next boot: a device is known by its label.
  std::string name;
  DeviceKind kind = DeviceKind::kDevdax;
  // Device node or file.
  std::string path;
  // Of the device node, as stat(2) tells it; 0 for emulated devices.
  uint64_t device_number = 0;
  ByteCount size;
  ByteCount alignment;
  // The node that the memory is nearest to; -1 if unknown.
  int numa_node = -1;
  // From this host's first node with processors, as the kernel counts; 10 is local, 0 is
  // not known.
  uint32_t numa_distance = 0;
  // Other hosts see a store only once it is flushed.
  bool software_coherent = false;
  DaxMode mode = DaxMode::kDevdax;
  // As the kernel calls them; empty for emulated devices and where there is none.
  std::string driver;
  std::string region;

  friend bool operator==(const DaxInfo&, const DaxInfo&) = default;
};

// A device that is there and cannot be used.
struct SkippedDax {
  std::string name;
  // What is the matter, and what to do about it, in one line for the log.
  absl::Status why;
};

// Both lists in the order of names.
struct DaxListing {
  std::vector<DaxInfo> usable;
  std::vector<SkippedDax> skipped;
};

// Thread-safe.
class Dax {
 public:
  virtual ~Dax() = default;

  // Looks at the host anew. Every device that the host has is in one of the two lists.
  virtual absl::StatusOr<DaxListing> List() = 0;

  // Opens a device that List() gave as usable.
  //   FAILED_PRECONDITION DEVICE_MISSING   it is gone, or another one now
  //   PERMISSION_DENIED NOT_ALLOWED        this process may not open it
  //   DATA_LOSS BACKING_FILE_DAMAGED       emulated: the file is shorter than the device
  virtual absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info) = 0;

  // The label of a device that List() gave as usable has this UUID. True: Open it again, what
  // was opened before is of no use any more.
  virtual absl::StatusOr<bool> SetId(const DaxInfo&, const DeviceId&) { return false; }

  // Gives the device back to the driver that had it before Weft, and leaves it alone from
  // then on, in processes to come too; or takes that back.
  //   FAILED_PRECONDITION BUSY_PINNED       a segment of this host lies on it
  //   FAILED_PRECONDITION DEVICE_MISSING    it is not there, or has no label
  //   UNIMPLEMENTED NOT_SUPPORTED           no devices are taken over
  virtual absl::Status SetReleased(const std::string& name, bool) {
    return MakeError(absl::StatusCode::kUnimplemented, v1::NOT_SUPPORTED,
                     name + ": only with --backend=kmod are devices taken over, and given back");
  }
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_DAX_H_
