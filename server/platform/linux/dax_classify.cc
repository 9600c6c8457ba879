#include "server/platform/linux/dax_classify.h"

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

absl::Status NotSupported(const DaxInfo& info, std::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED,
                   absl::StrCat(info.name, ": ", std::string(why)));
}

absl::Status CheckMode(const DaxInfo& info) {
  switch (info.mode) {
    case DaxMode::kDevdax:
      return absl::OkStatus();
    case DaxMode::kUnbound:
      return NotSupported(
          info, absl::StrCat("no driver is bound to it; run: daxctl enable-device ", info.name));
    case DaxMode::kSystemRam:
      return NotSupported(info, absl::StrCat("it is in use as ordinary memory (driver ",
                                             info.driver, "); run: weft device claim ", info.name));
    case DaxMode::kFsdev:
      return NotSupported(
          info, absl::StrCat("it is bound to ", info.driver,
                             ", for a file system; unmount that, then bind it to device_dax"));
    case DaxMode::kOther:
      break;
  }
  return NotSupported(info, absl::StrCat("it is bound to ", info.driver,
                                         ", which Weft does not know; bind it to device_dax"));
}

}  // namespace

DaxMode ModeOfDriver(std::string_view driver) {
  if (driver.empty()) return DaxMode::kUnbound;
  if (driver == "device_dax") return DaxMode::kDevdax;
  if (driver == "kmem") return DaxMode::kSystemRam;
  if (driver == "fsdev_dax") return DaxMode::kFsdev;
  return DaxMode::kOther;
}

absl::Status CheckUsable(const DaxInfo& info, bool allow_raw_devdax) {
  // A region's seed: the kernel keeps one empty device per dynamic region.
  if (info.size == ByteCount(0)) {
    return NotSupported(info, absl::StrCat("it has no memory; run: daxctl reconfigure-device "
                                           "--size=SIZE ",
                                           info.name));
  }
  if (absl::Status s = CheckMode(info); !s.ok()) return s;
  if (info.size < kMinDeviceSize) {
    return NotSupported(info, absl::StrCat("it has ", info.size.value(), " bytes; at least ",
                                           kMinDeviceSize.value(), " are needed"));
  }
  if (info.alignment == ByteCount(0) || !IsMultipleOf(kExtentUnit.value(), info.alignment)) {
    return NotSupported(info, absl::StrCat("its alignment is ", info.alignment.value(),
                                           ", but extents are multiples of 2 MiB; run: daxctl "
                                           "reconfigure-device --align=2M ",
                                           info.name));
  }
  if (!allow_raw_devdax) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_ALLOWED,
                     absl::StrCat(info.name,
                                  ": handing out raw devices is off, since their clients are "
                                  "bounded by trust alone; to allow it: --allow-raw-devdax"));
  }
  return absl::OkStatus();
}

}  // namespace weft
