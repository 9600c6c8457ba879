// lone_segment DEVICE_UUID OFFSET_MIB ID: makes a segment of 2 MiB in the kernel module, of which
// no daemon has been told.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/types.h"
#include "server/platform/linux/kmod.h"

namespace weft {
namespace {

// Later than what a test's coordinator gives out: the module lets nothing older have the bytes.
constexpr Token kToken{1, 1'000'000};

absl::Status Make(const std::string& device, uint64_t offset_mib, SegmentId id) {
  const absl::StatusOr<std::unique_ptr<Kmod>> kmod = LinuxKmod::Open("/dev/weft");
  if (!kmod.ok()) return kmod.status();
  const auto devices = (*kmod)->ListDevices();
  if (!devices.ok()) return devices.status();
  for (const KmodDeviceInfo& info : *devices) {
    if (info.uuid.ToString() != device) continue;
    const ByteOffset offset(offset_mib * kMiB.value());
    return (*kmod)->CreateSegment(id, kToken, Access::kReadWrite,
                                  {{{{info.id, offset, kExtentUnit}}, ByteCount()}});
  }
  return absl::NotFoundError("the module has no device " + device);
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const absl::Status made =
      weft::Make(argv[1], std::strtoull(argv[2], nullptr, 10),
                 weft::SegmentId(std::strtoull(argv[3], nullptr, 10)));
  if (!made.ok()) std::cerr << made << "\n";
  return made.ok() ? 0 : 1;
}
