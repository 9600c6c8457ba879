#include "server/platform/linux/dax_claim.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/errors.h"
#include "server/platform/linux/dax_driver.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/memory_blocks.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr char kMemoryDriver[] = "kmem";
constexpr char kDeviceDriver[] = "device_dax";

std::string ReadAll(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool ReadNumber(const fs::path& path, uint64_t* number) {
  const std::string text = ReadAll(path);
  return absl::SimpleHexAtoi(text, number);
}

std::string Devices(const fs::path& devices) {
  std::vector<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(devices, error)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "none" : absl::StrJoin(names, ", ");
}

absl::Status InUse(const std::string& message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE, message);
}

// Where in physical memory the device is: a device of several ranges has mapping0, 1, ...
absl::StatusOr<std::vector<PhysicalRange>> RangesOf(const fs::path& device) {
  std::vector<PhysicalRange> ranges;
  for (int i = 0;; ++i) {
    const fs::path mapping = device / absl::StrCat("mapping", i);
    PhysicalRange range;
    if (!ReadNumber(mapping / "start", &range.begin) || !ReadNumber(mapping / "end", &range.last)) {
      break;
    }
    ranges.push_back(range);
  }
  if (!ranges.empty()) return ranges;
  PhysicalRange whole;
  uint64_t size = 0;
  const bool has_size = absl::SimpleAtoi(ReadAll(device / "size"), &size) && size > 0;
  if (ReadNumber(device / "resource", &whole.begin) && has_size) {
    whole.last = whole.begin + size - 1;
    return std::vector<PhysicalRange>{whole};
  }
  return MakeError(absl::StatusCode::kPermissionDenied, v1::NOT_ALLOWED,
                   absl::StrCat("cannot read where ", device.filename().string(),
                                " is in memory: run this as root"));
}

absl::Status MakeOffline(const std::string& name, const std::vector<PhysicalRange>& ranges,
                         const DaxClaimOptions& options) {
  const absl::StatusOr<std::vector<std::string>> online = FindOnlineBlocks(options.sys, ranges);
  if (!online.ok()) return online.status();
  if (online->empty()) return absl::OkStatus();
  if (!options.offline) {
    return InUse(absl::StrCat(name, " is in use as system memory: ", online->size(),
                              " blocks are online; if programs can do without it: daxctl "
                              "offline-memory ",
                              name, ", or --offline"));
  }
  for (const std::string& block : *online) {
    if (absl::Status s = TakeOffline(block); !s.ok()) return s;
  }
  return absl::OkStatus();
}

// One rule for each device, in a file of its own.
std::string RuleText(const std::string& resource, const std::string& program) {
  return absl::StrCat(
      "# Written by `weft device claim`; remove this file to undo it.\n"
      "# Takes fabric memory back whenever the kernel makes ordinary memory of it.\n"
      "ACTION==\"add|bind\", SUBSYSTEM==\"dax\", DRIVER==\"",
      kMemoryDriver, "\", ATTR{resource}==\"", resource, "\", RUN+=\"", program,
      " device claim --offline %k\"\n");
}

absl::StatusOr<bool> WriteRule(const std::string& path, const std::string& text) {
  if (ReadAll(path) == text) return false;
  // udev reads only *.rules.
  const std::string temporary = absl::StrCat(path, ".new");
  errno = 0;
  std::ofstream file(temporary, std::ios::trunc);
  file << text;
  file.close();
  if (!file) return ErrnoError(errno != 0 ? errno : EIO, "write", temporary);
  if (rename(temporary.c_str(), path.c_str()) != 0) return ErrnoError(errno, "rename", path);
  return true;
}

}  // namespace

absl::StatusOr<DaxClaim> ClaimDax(const std::string& device, const DaxClaimOptions& options) {
  const std::string bus = options.sys + "/bus/dax";
  DaxClaim claim;
  claim.name = device.starts_with("/dev/") ? device.substr(5) : device;
  const fs::path sysfs = fs::path(bus) / "devices" / claim.name;
  std::error_code error;
  if (claim.name.empty() || claim.name.find('/') != std::string::npos ||
      !fs::exists(sysfs, error)) {
    return MakeError(absl::StatusCode::kNotFound, v1::DEVICE_NOT_FOUND,
                     absl::StrCat("this host has no dax device \"", device,
                                  "\"; it has: ", Devices(fs::path(bus) / "devices")));
  }
  const absl::StatusOr<std::vector<PhysicalRange>> ranges = RangesOf(sysfs);
  if (!ranges.ok()) return ranges.status();
  claim.driver_before = claim.driver = BoundDriver(bus, claim.name);
  if (claim.driver == kMemoryDriver || claim.driver.empty()) {
    // Memory that is online when its driver goes stays lost until the next boot.
    if (absl::Status s = MakeOffline(claim.name, *ranges, options); !s.ok()) return s;
    if (absl::Status s = options.bind(claim.name, kDeviceDriver); !s.ok()) return s;
    claim.driver = kDeviceDriver;
    claim.changed = true;
  } else if (claim.driver != kDeviceDriver && claim.driver != "weft" &&
             claim.driver != "fsdev_dax") {
    return InUse(absl::StrCat("the driver ", claim.driver, " has ", claim.name,
                              ": stop what uses it, then unbind it there"));
  }
  const std::string resource = absl::StrCat("0x", absl::Hex(ranges->front().begin));
  claim.rule = absl::StrCat(options.rules_dir, "/90-weft-", resource, ".rules");
  const absl::StatusOr<bool> written = WriteRule(claim.rule, RuleText(resource, options.program));
  if (!written.ok()) return written.status();
  claim.changed |= *written;
  return claim;
}

}  // namespace weft
