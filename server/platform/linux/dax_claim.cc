#include "server/platform/linux/dax_claim.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/errors.h"
#include "server/platform/linux/dax_driver.h"
#include "server/platform/linux/dax_ranges.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"
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

absl::Status MakeOffline(const std::string& name, const std::vector<PhysicalRange>& ranges,
                         const DaxClaimOptions& options) {
  const absl::StatusOr<std::vector<std::string>> online = FindOnlineBlocks(options.sys, ranges);
  if (!online.ok()) return online.status();
  if (online->empty()) return absl::OkStatus();
  if (!options.offline) {
    return InUse(absl::StrCat(name, " is in use as system memory: ", OnlineText(online->size()),
                              "; if programs can do without it: daxctl offline-memory ", name,
                              ", or --offline"));
  }
  const absl::Status status = TakeOffline(*online, options.patience);
  if (status.ok()) return status;
  return Annotate(status, absl::StrCat(name, " stays system memory"));
}

absl::Status Take(const DaxClaim& claim, const std::vector<PhysicalRange>& ranges,
                  const DaxClaimOptions& options) {
  // Memory that is online when its driver goes stays lost until the next boot.
  if (absl::Status s = MakeOffline(claim.name, ranges, options); !s.ok()) return s;
  absl::Status bound = options.bind(claim.name, kDeviceDriver);
  // What went wrong first is reported.
  if (!bound.ok()) options.bind(claim.name, claim.driver_before).IgnoreError();
  return bound;
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
  const int error = SwapFile(path, absl::StrCat(path, ".new"), text);
  if (error != 0) return ErrnoError(error, "write", path);
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
  const absl::StatusOr<std::vector<PhysicalRange>> ranges = ReadDaxRanges(sysfs);
  if (!ranges.ok()) return ranges.status();
  claim.driver_before = claim.driver = BoundDriver(bus, claim.name);
  const bool take = claim.driver == kMemoryDriver || claim.driver.empty();
  if (!take && claim.driver != kDeviceDriver && claim.driver != "weft" &&
      claim.driver != "fsdev_dax") {
    return InUse(absl::StrCat("the driver ", claim.driver, " has ", claim.name,
                              ": stop what uses it, then unbind it there"));
  }
  const std::string resource = absl::StrCat("0x", absl::Hex(ranges->front().begin));
  claim.rule = absl::StrCat(options.rules_dir, "/", kClaimRulePrefix, resource, ".rules");
  if (ComesOnline(options.sys)) {
    claim.warning = absl::StrCat("the kernel will use its memory, and overwrite what is on it, ",
                                 "before the rule takes it back: ", kKeepOffline);
  }
  const absl::StatusOr<bool> written = WriteRule(claim.rule, RuleText(resource, options.program));
  if (!written.ok()) return written.status();
  claim.changed = *written;
  if (!take) return claim;
  if (absl::Status s = Take(claim, *ranges, options); !s.ok()) {
    if (*written) fs::remove(claim.rule, error);
    return s;
  }
  claim.driver = kDeviceDriver;
  claim.changed = true;
  return claim;
}

}  // namespace weft
