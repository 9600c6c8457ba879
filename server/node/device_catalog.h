// The devices of this host and their labels.

#ifndef WEFT_SERVER_NODE_DEVICE_CATALOG_H_
#define WEFT_SERVER_NODE_DEVICE_CATALOG_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/weft/v1/node.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/types.h"
#include "server/node/format.h"
#include "server/node/label.h"
#include "server/platform/dax.h"
#include "server/platform/device.h"

namespace weft {

struct KnownDevice {
  DaxInfo info;
  std::shared_ptr<Device> device;
  // Good, if `skipped` is OK.
  Label label;
  // As Device::BadRanges.
  std::vector<ByteRange> bad;
  // Why Weft does not use it.
  absl::Status skipped;
  // Counts devices as they were opened: another memory may be behind each.
  uint64_t opening = 0;
};

// Thread-safe. Calls that touch devices block, and come from one thread at a time.
class DeviceCatalog {
 public:
  DeviceCatalog(Dax& dax, FormatTools tools) : dax_(dax), tools_(tools) {}

  // Looks at the host anew; repairs labels of which one copy is bad. Returns whether the
  // inventory changed. Logs what it skips, and why, whenever that changes.
  absl::StatusOr<bool> Rescan();

  // FAILED_PRECONDITION DEVICE_MISSING; UNAVAILABLE DEVICE_MISSING: it came since the
  // coordinator was last told of all devices, and may be another memory than was proved.
  absl::StatusOr<KnownDevice> Find(const DeviceId& id) const;
  // By its name or path. NOT_FOUND DEVICE_NOT_FOUND, naming those that there are.
  absl::StatusOr<KnownDevice> FindByName(const std::string& name) const;
  // The last opening that Inventory knows of.
  uint64_t newest_opening() const;
  // The coordinator has been told of all devices up to this opening, and that those which it
  // knew are to be proved again. Those of the first Rescan count as announced.
  void SetAnnounced(uint64_t opening);
  uint64_t announced() const;

  // Those that can be used, and all.
  v1::DeviceInventory Inventory() const;
  v1::ListLocalDevicesResponse List() const;

  // Writes a new label. Errors: as FindByName and weft::FormatDevice.
  absl::StatusOr<v1::LocalDeviceInfo> Format(const std::string& name, bool force);
  // As Dax::SetReleased, of a device by its name or path; then looks at the host anew.
  absl::StatusOr<v1::LocalDeviceInfo> SetReleased(const std::string& name, bool released);
  // Writes the pool into the device's label. Errors: as Find and UpdateLabel.
  absl::Status SetPool(const DeviceId& id, const Uuid& pool);

 private:
  // By the host's names for them.
  using Devices = std::map<std::string, KnownDevice>;

  KnownDevice Look(const DaxInfo& info, const Devices& before);
  // Opens the device, if it is not open, and fills in what it says of itself.
  absl::Status Read(KnownDevice& known);
  absl::StatusOr<Label> ReadGoodLabel(Device& device);
  Devices devices() const;
  void SetLabel(const std::string& name, const Label& label);

  Dax& dax_;
  const FormatTools tools_;
  mutable absl::Mutex mu_;
  Devices devices_ ABSL_GUARDED_BY(mu_);
  bool scanned_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t announced_ ABSL_GUARDED_BY(mu_) = 0;
  // Of the thread that rescans.
  uint64_t openings_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_DEVICE_CATALOG_H_
