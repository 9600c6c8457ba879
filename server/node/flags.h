// The command line and configuration file of weftd.

#ifndef WEFT_SERVER_NODE_FLAGS_H_
#define WEFT_SERVER_NODE_FLAGS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "proto/weft/v1/types.pb.h"
#include "server/core/types.h"
#include "server/platform/device_spec.h"
#include "server/platform/emulated_spec.h"
#include "server/platform/kmod.h"
#include "spdlog/common.h"

namespace weft {

struct NodeFlags {
  std::string host_id;
  std::vector<std::string> coordinators = {"127.0.0.1:9460"};
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  std::string socket_dir = "/run/weft";
  std::string state_dir = "/var/lib/weft/node";
  mode_t socket_mode = 0666;
  std::string socket_group;
  v1::Backend backend = v1::EMULATED;
  std::string module_device = "/dev/weft";
  FenceAction fence_action = FenceAction::kReboot;
  std::vector<EmulatedSpec> emulated;
  std::vector<DeviceSpec> devices;
  bool allow_raw_devdax = false;
  bool release_devices = false;
  bool trust_expiry = false;
  absl::Duration revoke_bound = absl::Seconds(5);
  absl::Duration rescan_interval = absl::Seconds(10);
  absl::Duration claim_grace = absl::Seconds(2);
  // Bytes a second; zero: no limit.
  ByteCount scrub_rate;
  std::string metrics_address = "127.0.0.1:9462";
  spdlog::level::level_enum log_level = spdlog::level::info;
  // Written once the daemon is registered and serves; empty: none.
  std::string ready_file;
};

// Reads the flags into `*flags`; `host_name` is the host id by default. Returns nothing to
// go on, or the exit code: 0 after --help and --version, 2 after an error that has been
// printed.
std::optional<int> ParseFlags(int argc, const char* const* argv, const std::string& host_name,
                              NodeFlags* flags);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FLAGS_H_
