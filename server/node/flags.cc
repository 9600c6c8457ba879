#include "server/node/flags.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "server/core/names.h"
#include "server/core/size_text.h"
#include "server/core/version.h"
#include "server/platform/option_values.h"

namespace weft {
namespace {

constexpr int kUsageError = 2;
constexpr char kNoMetrics[] = "none";

std::string Text(const absl::Status& status) { return std::string(status.message()); }

const CLI::Validator kHostId([](const std::string& id) { return Text(CheckId("host", id)); }, "ID");

const CLI::Validator kEmulated(
    [](const std::string& text) { return Text(ParseEmulatedSpec(text).status()); },
    "path=FILE,size=SIZE[,name=NAME][,coherence=software]");

const CLI::Validator kDevice(
    [](const std::string& text) { return Text(ParseDeviceSpec(text).status()); },
    "name=NAME[,coherence=software][,use=no]");

const CLI::Validator kRate([](const std::string& text) { return Text(ParseSize(text).status()); },
                           "BYTES");

CLI::Validator DurationFrom(absl::Duration least, absl::Duration most) {
  return CLI::Validator(
      [least, most](const std::string& text) {
        absl::Duration duration;
        return absl::ParseDuration(text, &duration) && duration >= least && duration <= most
                   ? ""
                   : "\"" + text + "\" is no duration from " + absl::FormatDuration(least) +
                         " to " + absl::FormatDuration(most);
      },
      "DURATION");
}

const CLI::Validator kBound = DurationFrom(absl::ZeroDuration(), absl::Minutes(10));
const CLI::Validator kInterval = DurationFrom(absl::Milliseconds(100), absl::Hours(1));

const CLI::Validator kMode(
    [](const std::string& text) {
      const bool octal = !text.empty() && text.size() <= 4 &&
                         text.find_first_not_of("01234567") == std::string::npos;
      return octal ? "" : "\"" + text + "\" is no octal file mode";
    },
    "OCTAL");

// What contradicts what; empty: nothing.
std::string Contradiction(const NodeFlags& flags) {
  if (flags.backend == v1::DEVDAX && !flags.allow_raw_devdax) {
    return "--backend=devdax gives clients the whole device: it needs --allow-raw-devdax as well";
  }
  if (flags.backend != v1::EMULATED && (flags.trust_expiry || !flags.emulated.empty())) {
    return "--trust-expiry and --emulated-device are for --backend=emulated only";
  }
  if (flags.backend == v1::EMULATED && !flags.devices.empty()) {
    return "--device is for real devices: --backend=kmod or devdax";
  }
  if (flags.backend != v1::KMOD && flags.release_devices) {
    return "--release-devices is for --backend=kmod, which takes devices over";
  }
  return "";
}

}  // namespace

std::optional<int> ParseFlags(int argc, const char* const* argv, const std::string& host_name,
                              NodeFlags* flags) {
  CLI::App app("weftd: gives this host's programs their fabric-attached memory.");
  app.set_version_flag("--version", std::string("weftd ") + kVersion);
  app.set_config("--config", "", "A TOML or INI file with the same settings");

  flags->host_id = host_name;
  std::vector<std::string> emulated;
  std::vector<std::string> devices;
  std::string backend = "emulated";
  std::string fence_action = "reboot";
  std::string bound = absl::FormatDuration(flags->revoke_bound);
  std::string rescan = absl::FormatDuration(flags->rescan_interval);
  std::string claim = absl::FormatDuration(flags->claim_grace);
  std::string rate = "0";
  std::string mode = "0666";
  std::string level = "info";
  app.add_option("--host-id", flags->host_id, "This host's name in the cluster")
      ->check(kHostId)
      ->capture_default_str();
  app.add_option("--coordinator", flags->coordinators,
                 "host:port or unix:PATH of the coordinator; of several, with commas between them, "
                 "or repeated")
      ->capture_default_str();
  CLI::Option* cert = app.add_option("--tls-cert", flags->tls_cert, "PEM certificate chain");
  CLI::Option* key = app.add_option("--tls-key", flags->tls_key, "PEM private key");
  CLI::Option* ca = app.add_option("--tls-ca", flags->tls_ca, "PEM certificates of the CA");
  cert->needs(key, ca);
  key->needs(cert, ca);
  ca->needs(cert, key);
  app.add_option("--socket-dir", flags->socket_dir,
                 "Where weftd.sock and weftd-grpc.sock are; created")
      ->capture_default_str();
  app.add_option("--socket-mode", mode, "Of both sockets: who may connect")
      ->check(kMode)
      ->capture_default_str();
  app.add_option("--socket-group", flags->socket_group, "Group of both sockets");
  app.add_option("--state-dir", flags->state_dir,
                 "Where the daemon leaves what its successor must know; created")
      ->capture_default_str();
  app.add_option("--backend", backend, "How handles are given out")
      ->check(CLI::IsMember({"kmod", "devdax", "emulated"}))
      ->capture_default_str();
  app.add_option("--module-device", flags->module_device, "The kernel module, for kmod")
      ->capture_default_str();
  app.add_option("--fence-action", fence_action,
                 "For kmod, when not all is taken back --revoke-bound after the lease ran out: "
                 "the kernel restarts this host, or only reports it (then the host is not to be "
                 "trusted to fence itself)")
      ->check(CLI::IsMember({"reboot", "report"}))
      ->capture_default_str();
  app.add_option("--emulated-device", emulated,
                 "A file that stands in for a device, created if it is not there; may be "
                 "repeated")
      ->check(kEmulated);
  app.add_option("--device", devices,
                 "What the kernel does not say of a dax device; may be repeated")
      ->check(kDevice);
  app.add_flag("--release-devices", flags->release_devices,
               "For kmod: when stopped, give devices back to the drivers that had them, but for "
               "those with segments that this host holds");
  app.add_flag("--allow-raw-devdax", flags->allow_raw_devdax,
               "Use /dev/dax devices although clients get the whole device");
  app.add_flag("--trust-expiry", flags->trust_expiry,
               "Emulated only, for demonstrations: what this host held is free when its lease "
               "runs out, whether or not it is still mapped");
  app.add_option("--rescan-interval", rescan, "Between two looks at this host's devices")
      ->check(kInterval)
      ->capture_default_str();
  app.add_option("--claim-grace", claim,
                 "How long clients have after a restart of weftd to claim handles that they have "
                 "not mapped")
      ->check(kBound)
      ->capture_default_str();
  app.add_option("--revoke-bound", bound, "The longest that taking everything back can last")
      ->check(kBound)
      ->capture_default_str();
  app.add_option("--scrub-rate", rate, "Bytes a second, with k, M, G or T; 0: no limit")
      ->check(kRate)
      ->capture_default_str();
  app.add_option("--metrics-address", flags->metrics_address,
                 "host:port for Prometheus, or none; port 0: any")
      ->capture_default_str();
  app.add_option("--log-level", level)
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--ready-file", flags->ready_file,
                 "Written once the daemon serves and is registered: socket=, grpc=, metrics=, "
                 "host= and session=, a line each");
  RefuseOptionsAsValues(app);
  try {
    app.parse(argc, argv);
    flags->backend = backend == "kmod" ? v1::KMOD : backend == "devdax" ? v1::DEVDAX : v1::EMULATED;
    flags->fence_action = fence_action == "report" ? FenceAction::kReport : FenceAction::kReboot;
    for (const std::string& text : emulated) flags->emulated.push_back(*ParseEmulatedSpec(text));
    for (const std::string& text : devices) flags->devices.push_back(*ParseDeviceSpec(text));
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }
  if (const std::string wrong = Contradiction(*flags); !wrong.empty()) {
    std::cerr << wrong << "\n";
    return kUsageError;
  }
  if (flags->metrics_address == kNoMetrics) flags->metrics_address.clear();
  absl::ParseDuration(bound, &flags->revoke_bound);
  absl::ParseDuration(rescan, &flags->rescan_interval);
  absl::ParseDuration(claim, &flags->claim_grace);
  flags->scrub_rate = *ParseSize(rate);
  flags->socket_mode = static_cast<mode_t>(std::stoul(mode, nullptr, 8));
  flags->log_level = spdlog::level::from_str(level);
  return std::nullopt;
}

}  // namespace weft
