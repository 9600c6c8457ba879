// weft device claim.

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "server/core/errors.h"
#include "server/platform/linux/dax_claim.h"
#include "server/platform/linux/dax_driver.h"

namespace weft::cli {
namespace {

constexpr char kDaxBus[] = "/sys/bus/dax";

void Print(Context& context, const DaxClaim& claim) {
  if (context.options().json) {
    const nlohmann::ordered_json json = {
        {"device", claim.name},     {"driverBefore", claim.driver_before},
        {"driver", claim.driver},   {"rule", claim.rule},
        {"warning", claim.warning}, {"changed", claim.changed}};
    context.out() << json.dump(1) << std::endl;
    return;
  }
  context.out() << (claim.changed ? "claimed " : "was claimed already: ") << claim.name
                << ", driver " << claim.driver << ", rule " << claim.rule << std::endl;
  if (!claim.warning.empty()) {
    context.out() << "but when this host starts " << claim.warning << std::endl;
  }
}

absl::Status Claim(Context& context, const std::string& device, bool offline) {
  DaxClaimOptions options;
  options.offline = offline;
  options.patience = context.options().timeout;
  std::error_code error;
  options.program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return absl::ErrnoToStatus(error.value(), "readlink /proc/self/exe");
  options.bind = [](const std::string& name, const std::string& driver) {
    return BindDriver(kDaxBus, name, driver);
  };
  const absl::StatusOr<DaxClaim> claim = ClaimDax(device, options);
  if (!claim.ok()) return claim.status();
  Print(context, *claim);
  return absl::OkStatus();
}

}  // namespace

void AddDeviceClaimCommand(CommandLine& line, CLI::App* device) {
  struct Arguments {
    std::string device;
    bool offline = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* const verb = AddVerb(
      line, device, "claim",
      "Takes a device of this host from its use as ordinary memory, for good",
      [=](Context& context) { return Claim(context, arguments->device, arguments->offline); });
  verb->add_option("DEVICE", arguments->device, "Its name on this host, dax0.0, or its path")
      ->required();
  verb->add_flag(
      "--offline", arguments->offline,
      "Take memory that is online offline first; each block of it has --timeout to empty");
}

}  // namespace weft::cli
