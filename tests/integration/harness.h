// A coordinator and daemons that share emulated devices: real processes on this machine,
// all files and sockets in a folder of their own.

#ifndef WEFT_TESTS_INTEGRATION_HARNESS_H_
#define WEFT_TESTS_INTEGRATION_HARNESS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/sdk/admin/rpc_client.h"
#include "client/sdk/weft.h"
#include "proto/weft/v1/device.pb.h"
#include "proto/weft/v1/node.pb.h"
#include "server/core/types.h"
#include "server/platform/linux/temp_dir.h"
#include "tests/integration/process.h"

namespace weft {

struct ClusterOptions {
  // Programs. Empty: as a Bazel test finds them, from $WEFT_COORDINATOR and $WEFTD.
  std::string coordinator_path = "";
  std::string weftd_path = "";
  int devices = 1;
  // What a host says of its distance from each device; hosts that are not there say nothing.
  std::map<std::string, std::vector<int>> distances = {};
  ByteCount device_size{64 * kMiB.value()};
  // Long: no test but those of leases waits for one to run out, on however slow a machine.
  absl::Duration session_ttl = absl::Minutes(1);
};

// Not thread-safe, but for Connect.
class Cluster {
 public:
  // Starts nothing.
  explicit Cluster(ClusterOptions options = {});
  // Kills what runs, and removes the folder unless KeepFolder was called.
  ~Cluster();

  // Each returns once the process serves; errors tell the end of its log. A process that
  // was killed is started anew, with the same state.
  absl::Status StartCoordinator();
  // For all coordinators started from now on.
  void AddCoordinatorFlag(const std::string& flag) { coordinator_flags_.push_back(flag); }
  // Likewise; by default SQLite at store_path().
  void UseStore(const std::string& store) { store_ = store; }
  absl::Status StartHost(const std::string& host, const std::vector<std::string>& more_flags = {});
  // Where hosts that are started from now on find the coordinator; by default at
  // coordinator_address().
  void ConnectHostsTo(const std::string& address) { hosts_connect_to_ = address; }
  // The two halves of Start*: the first returns at once.
  void LaunchCoordinator();
  void LaunchHost(const std::string& host, const std::vector<std::string>& more_flags = {});
  absl::Status AwaitCoordinator();
  absl::Status AwaitHost(const std::string& host);
  // REQUIRES: it was started.
  Process& coordinator() { return *coordinator_; }
  Process& host(const std::string& host) { return *hosts_.at(host); }

  // Starts the coordinator and host-a, formats the devices, starts host-b, makes the pool
  // "p", and waits until both hosts have proved that they see the devices and all is free.
  absl::Status StartWithPool();
  // Formats device `index` through a host's weftd.
  absl::Status Format(const std::string& host, int index, bool force = false);
  // Makes a pool of all devices that are in none; waits for nothing.
  absl::Status MakePool(const std::string& pool);
  // Waits until `hosts` are attached to every device of the pool and nothing of it is left
  // to scrub.
  absl::Status AwaitPool(const std::string& pool, const std::vector<std::string>& hosts);

  // Waits until no host holds anything.
  absl::Status AwaitNoGrants();
  // Waits until `condition`, which is asked again after every event, or has an error.
  // DEADLINE_EXCEEDED, naming `what`.
  absl::Status Await(const std::string& what,
                     const std::function<absl::StatusOr<bool>()>& condition);
  absl::StatusOr<std::vector<v1::Device>> ListDevices();

  // An administrator's connection to the coordinator.
  sdk::RpcClient& admin() { return *admin_; }
  // An application on a host. `options.socket_path` is set here.
  absl::StatusOr<std::unique_ptr<sdk::Client>> Connect(const std::string& host,
                                                       sdk::ClientOptions options = {}) const;
  // An administrator's connection to a host's weftd: valid as long as `client`, which is
  // connected to it.
  static absl::StatusOr<std::unique_ptr<sdk::RpcClient>> ConnectLocal(sdk::Client& client);
  // Of that weftd.
  static absl::StatusOr<v1::NodeStatus> StatusOf(sdk::Client& client);

  std::string File(const std::string& name) const { return folder_.File(name); }
  std::string device_path(int index) const;
  std::string device_name(int index) const;  // "mem0"
  std::string fd_socket(const std::string& host) const { return File(host + "/weftd.sock"); }
  std::string store_path() const { return File("coordinator.db"); }
  std::string coordinator_address() const { return "unix:" + File("coordinator.sock"); }
  // All that a program has printed.
  std::string Log(const std::string& program) const;
  const std::string& KeepFolder();

 private:
  absl::StatusOr<bool> IsPoolReady(const std::string& pool, const std::vector<std::string>& hosts);
  absl::Status AwaitReady(Process& process, const std::string& program);
  std::unique_ptr<Process> Launch(std::vector<std::string> arguments, const std::string& program);

  ClusterOptions options_;
  std::vector<std::string> coordinator_flags_;
  TempDir folder_;
  std::string store_ = "sqlite:" + store_path();
  std::string hosts_connect_to_ = coordinator_address();
  std::unique_ptr<Process> coordinator_;
  std::map<std::string, std::unique_ptr<Process>> hosts_;
  std::unique_ptr<sdk::RpcClient> admin_;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_HARNESS_H_
