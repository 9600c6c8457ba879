#include "client/cli/doctor.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "server/core/types.h"
#include "server/platform/linux/dax_claim.h"
#include "server/platform/linux/dax_ranges.h"
#include "server/platform/linux/memory_blocks.h"

namespace weft::cli {
namespace {

namespace fs = std::filesystem;

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// The first line; empty if it cannot be read.
std::string ReadLine(const fs::path& path) {
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

// Whether the kernel takes only modules that are signed.
bool WantsSignatures(const fs::path& sys) {
  const std::string lockdown = ReadLine(sys / "kernel/security/lockdown");
  const bool locked = lockdown.find("[integrity]") != std::string::npos ||
                      lockdown.find("[confidentiality]") != std::string::npos;
  return locked || ReadLine(sys / "module/module/parameters/sig_enforce") == "Y";
}

void ExamineModule(const fs::path& root, std::vector<Finding>& findings) {
  const fs::path sys = root / "sys";
  if (!Exists(sys / "module/weft")) {
    if (WantsSignatures(sys)) {
      findings.push_back({"module",
                          "not loaded, and this kernel takes signed modules only (lockdown)",
                          "sign weft.ko with a key that the kernel trusts (DKMS does, once its "
                          "key is enrolled: mokutil --import /var/lib/dkms/mok.pub), then: "
                          "modprobe weft"});
    } else {
      findings.push_back({"module", "not loaded",
                          "modprobe weft (if it is not found, install Weft's kernel module for "
                          "this kernel)"});
    }
  } else if (!Exists(root / "dev/weft")) {
    findings.push_back({"module", "loaded, but there is no /dev/weft",
                        "see why in the kernel's log: dmesg | grep weft"});
  }
}

std::string DriverOf(const fs::path& device) {
  std::error_code error;
  const fs::path driver = fs::read_symlink(device / "driver", error);
  return error ? "" : driver.filename().string();
}

// How many blocks of memory that dax_kmem made of the device are in use. 0 also where the kernel
// does not tell this user.
size_t OnlineBlocks(const fs::path& sys, const fs::path& device) {
  const auto ranges = ReadDaxRanges(device);
  if (!ranges.ok()) return 0;
  const auto blocks = FindOnlineBlocks(sys, *ranges);
  return blocks.ok() ? blocks->size() : 0;
}

void ExamineDriver(const fs::path& sys, const fs::path& device, std::vector<Finding>& findings) {
  const std::string name = device.filename();
  const std::string driver = DriverOf(device);
  if (driver.empty()) {
    findings.push_back(
        {name, "no driver is bound to it", absl::StrCat("daxctl enable-device ", name)});
  } else if (driver == "kmem") {
    const size_t online = OnlineBlocks(sys, device);
    findings.push_back({name,
                        online > 0 ? absl::StrCat("in use as system memory: ", OnlineText(online))
                                   : "taken as system memory (driver kmem)",
                        absl::StrCat("weft device claim ", online > 0 ? "--offline " : "", name)});
  } else if (driver != "device_dax" && driver != "weft" && driver != "fsdev_dax") {
    findings.push_back({name, absl::StrCat("the driver ", driver, " has it"),
                        absl::StrCat("stop what uses it, then: echo ", name, " > ",
                                     "/sys/bus/dax/drivers/", driver, "/unbind && echo ", name,
                                     " > /sys/bus/dax/drivers/device_dax/bind")});
  }
}

// Whether `weft device claim` left a rule for some device.
bool HasClaims(const fs::path& root) {
  std::error_code error;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(root / "etc/udev/rules.d", error)) {
    if (entry.path().filename().string().starts_with(kClaimRulePrefix)) return true;
  }
  return false;
}

// The rule of a claim comes after dax_kmem: what the kernel has put into the memory by then is
// where other hosts' data was.
void ExamineStart(const fs::path& root, std::vector<Finding>& findings) {
  if (!HasClaims(root) || !ComesOnline(root / "sys")) return;
  findings.push_back({"memory",
                      "comes online by itself when this host starts: what is on claimed devices "
                      "would be overwritten before they are claimed again",
                      kKeepOffline});
}

void ExamineAlignment(const fs::path& device, std::vector<Finding>& findings) {
  uint64_t alignment = 0;
  std::ifstream(device / "align") >> alignment;
  if (alignment == 0 || alignment >= kExtentUnit.value()) return;  // 0: the kernel does not say
  const std::string name = device.filename();
  findings.push_back(
      {name, absl::StrCat("aligned to ", alignment, " bytes: no huge pages of 2 MiB"),
       absl::StrCat("daxctl reconfigure-device --mode=devdax --align=2M ", name,
                    " (persistent memory: ndctl create-namespace --mode=devdax ", "--align=2M)")});
}

}  // namespace

std::vector<Finding> Examine(const std::string& root) {
  const fs::path top = root.empty() ? "/" : root;
  std::vector<Finding> findings;
  ExamineModule(top, findings);
  ExamineStart(top, findings);
  std::vector<fs::path> devices;
  std::error_code error;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(top / "sys/bus/dax/devices", error)) {
    if (entry.path().filename().string().starts_with("dax")) devices.push_back(entry.path());
  }
  std::sort(devices.begin(), devices.end());
  if (devices.empty()) {
    findings.push_back({"devices", "this host has no dax device",
                        "see what the kernel made of the fabric's memory: cxl list, ndctl list; "
                        "then: daxctl create-device"});
  }
  for (const fs::path& device : devices) {
    ExamineDriver(top / "sys", device, findings);
    ExamineAlignment(device, findings);
  }
  return findings;
}

}  // namespace weft::cli
