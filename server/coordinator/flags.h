// The command line and configuration file of weft-coordinator.

#ifndef WEFT_SERVER_COORDINATOR_FLAGS_H_
#define WEFT_SERVER_COORDINATOR_FLAGS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "spdlog/common.h"

namespace weft {

// Where the state is kept.
struct StoreFlags {
  // Empty: in etcd.
  std::string sqlite_path = "/var/lib/weft/coordinator.db";
  std::vector<std::string> etcd_endpoints;
  // Before every key.
  std::string etcd_prefix;
  std::string etcd_cert;
  std::string etcd_key;
  std::string etcd_ca;

  // As it is written on the command line.
  std::string text() const;
};

struct CoordinatorFlags {
  StoreFlags store;
  // Where clients and hosts reach this coordinator; empty: at the first of `listen`.
  std::string advertise;
  absl::Duration leader_ttl = absl::Seconds(3);
  std::vector<std::string> listen = {"127.0.0.1:9460"};
  std::string metrics_address = "127.0.0.1:9461";  // empty: nowhere
  std::string tls_cert;
  std::string tls_key;
  std::string tls_ca;
  bool insecure = false;
  absl::Duration session_ttl = absl::Seconds(10);
  size_t remembered_requests = 10'000;  // of each principal
  spdlog::level::level_enum log_level = spdlog::level::info;
  std::string fence_config;  // empty: there are no fence agents
  bool check_fence_agents = false;
  // What the store is made of, if the coordinator is not to serve: a backup, or the path of
  // another store. At most one.
  std::string restore;
  std::optional<StoreFlags> migrate_from;
  // Written, once the coordinator serves, with what it is bound to; empty: none.
  std::string ready_file;
};

// Reads the flags into `*flags`. Returns nothing to go on, or the exit code: 0 after
// --help and --version, 2 after an error that has been printed.
std::optional<int> ParseFlags(int argc, const char* const* argv, CoordinatorFlags* flags);

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_FLAGS_H_
