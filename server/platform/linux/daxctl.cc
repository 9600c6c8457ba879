#include "server/platform/linux/daxctl.h"

#include <daxctl/libdaxctl.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/platform/linux/dax_classify.h"
#include "server/platform/linux/dax_driver.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/numa.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr char kDaxBus[] = "/sys/bus/dax";
constexpr char kNumaNodes[] = "/sys/devices/system/node";

struct Unref {
  void operator()(daxctl_ctx* ctx) const { daxctl_unref(ctx); }
};

// The nearest node that is online.
int NearestNodeOf(const fs::path& sysfs) {
  int node = -1;
  std::ifstream(sysfs / "numa_node") >> node;
  return node;
}

// libdaxctl knows the node that the memory would get as system RAM, which is online only
// if it has other memory or processors.
void SetNuma(daxctl_dev* dev, const fs::path& sysfs, DaxInfo* info) {
  const int target = daxctl_dev_get_target_node(dev);
  const int nearest = NearestNodeOf(sysfs);
  info->numa_node = target >= 0 ? target : nearest;
  info->numa_distance = NumaDistance(kNumaNodes, info->numa_node);
  if (info->numa_distance == 0) info->numa_distance = NumaDistance(kNumaNodes, nearest);
}

DaxInfo Describe(daxctl_region* region, daxctl_dev* dev) {
  DaxInfo info;
  info.name = daxctl_dev_get_devname(dev);
  const fs::path sysfs = fs::path(kDaxBus) / "devices" / info.name;
  info.kind = DeviceKind::kDevdax;
  info.path = absl::StrCat("/dev/", info.name);
  info.device_number = makedev(static_cast<unsigned>(daxctl_dev_get_major(dev)),
                               static_cast<unsigned>(daxctl_dev_get_minor(dev)));
  info.size = ByteCount(daxctl_dev_get_size(dev));
  info.alignment = ByteCount(daxctl_dev_get_align(dev));
  SetNuma(dev, sysfs, &info);
  info.driver = BoundDriver(kDaxBus, info.name);
  info.mode = ModeOfDriver(info.driver);
  info.region = daxctl_region_get_devname(region);
  return info;
}

}  // namespace

absl::StatusOr<std::vector<DaxInfo>> ReadDaxDevices() {
  daxctl_ctx* raw = nullptr;
  if (const int error = daxctl_new(&raw); error != 0) {
    return ErrnoError(-error, "daxctl_new", "dax bus");
  }
  const std::unique_ptr<daxctl_ctx, Unref> ctx(raw);
  std::vector<DaxInfo> devices;
  daxctl_region* region;
  daxctl_region_foreach(ctx.get(), region) {
    daxctl_dev* dev;
    daxctl_dev_foreach(region, dev) { devices.push_back(Describe(region, dev)); }
  }
  return devices;
}

}  // namespace weft
