#include "server/node/kmod_runs.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"

namespace weft {
namespace {

// Cuts the first `skip` bytes off a run that is longer.
absl::Status CutFront(KmodRun& run, uint64_t skip) {
  if (skip == 0) return absl::OkStatus();
  if (run.extents.size() > 1) {
    return absl::InternalError("a stripe set of the segment was lengthened");
  }
  KmodExtent& extent = run.extents.front();
  extent.offset = extent.offset + ByteCount(skip);
  extent.length = ByteCount(extent.length.value() - skip);
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckHasDevices(const v1::GrantAssignment& grant,
                             const std::map<DeviceId, KmodDeviceId>& devices) {
  for (const v1::Run& run : grant.runs()) {
    for (const v1::Extent& extent : run.extents()) {
      const absl::StatusOr<DeviceId> id = ParseDeviceName(extent.device());
      if (!id.ok()) return id.status();
      if (devices.contains(*id)) continue;
      return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                       absl::StrCat("the kernel module of this host does not have ",
                                    extent.device(), ": weft device list says why"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<KmodRun>> ToKmodRuns(const v1::GrantAssignment& grant,
                                                const std::map<DeviceId, KmodDeviceId>& devices,
                                                ByteCount from) {
  std::vector<KmodRun> runs;
  uint64_t skip = from.value();
  for (const v1::Run& run : grant.runs()) {
    KmodRun made;
    if (run.extents_size() > 1) made.stripe_chunk = ByteCount(run.chunk_bytes());
    uint64_t bytes = 0;
    for (const v1::Extent& extent : run.extents()) {
      made.extents.push_back({devices.at(*ParseDeviceName(extent.device())),
                              ByteOffset(extent.offset_bytes()), ByteCount(extent.length_bytes())});
      bytes += extent.length_bytes();
    }
    const uint64_t cut = std::min(skip, bytes);
    skip -= cut;
    if (cut == bytes) continue;
    if (absl::Status s = CutFront(made, cut); !s.ok()) return s;
    runs.push_back(std::move(made));
  }
  return runs;
}

}  // namespace weft
