// What every command of `weft` has at hand: the global options, the connections, the output.

#ifndef WEFT_CLIENT_CLI_CONTEXT_H_
#define WEFT_CLIENT_CLI_CONTEXT_H_

#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/json.h"
#include "client/sdk/admin/rpc_client.h"
#include "client/sdk/weft.h"

namespace weft::cli {

struct GlobalOptions {
  std::string coordinator = "127.0.0.1:9460";
  std::string socket = "/run/weft/weftd.sock";
  absl::Duration timeout = absl::Seconds(10);
  bool json = false;
  TlsFiles tls;  // Empty: no TLS.
};

// Not thread-safe. Connects to what a command asks for, when it asks.
class Context {
 public:
  // Results go to `out`, everything else to `err`; both outlive the Context.
  Context(std::ostream& out, std::ostream& err) : out_(out), err_(err) {}

  GlobalOptions& options() { return options_; }
  std::ostream& out() { return out_; }

  // The coordinator's API. FAILED_PRECONDITION: a TLS file cannot be read.
  absl::StatusOr<sdk::RpcClient*> Coordinator();
  // The services on the local weftd's socket, with this process's identity. Errors: as
  // Client::Connect.
  absl::StatusOr<sdk::RpcClient*> LocalDaemon();
  // The local weftd, for opening segments. Errors: as Client::Connect.
  absl::StatusOr<sdk::Client*> LocalClient(
      std::function<void(const sdk::RevokeNotice&)> on_revoke = nullptr);
  // Ends the connections to weftd; no notice comes any more.
  void DisconnectLocal();

  // A call of the coordinator: see RpcClient::Call.
  template <typename Stub, typename Request, typename Reply>
  absl::StatusOr<Reply> Call(sdk::RpcClient::Method<Stub, Request, Reply> method, Request request) {
    const absl::StatusOr<sdk::RpcClient*> coordinator = Coordinator();
    if (!coordinator.ok()) return coordinator.status();
    return (*coordinator)->Call(method, std::move(request));
  }

  // All pages of a List method of the coordinator: see RpcClient::List.
  template <typename Stub, typename Request, typename Reply, typename Items>
  auto List(sdk::RpcClient::Method<Stub, Request, Reply> method, Request request, Items items)
      -> decltype(std::declval<sdk::RpcClient>().List(method, request, items)) {
    const absl::StatusOr<sdk::RpcClient*> coordinator = Coordinator();
    if (!coordinator.ok()) return coordinator.status();
    return (*coordinator)->List(method, std::move(request), items);
  }

  // Prints `resource` as JSON, or what `text` makes of it.
  template <typename Resource, typename ToText>
  void Print(const Resource& resource, ToText text) {
    out_ << (options_.json ? ToJson(resource) : text(resource)) << std::flush;
  }
  // Of a command whose exit status has its own meaning, whether it succeeds or fails.
  void SetExitCode(int code) { exit_code_ = code; }
  // Absent: what exit_codes.h makes of the result.
  std::optional<int> exit_code() const { return exit_code_; }
  // A line about what is going on, for people.
  void Note(const std::string& line);

 private:
  std::ostream& out_;
  std::ostream& err_;
  GlobalOptions options_;
  std::optional<int> exit_code_;
  std::unique_ptr<sdk::RpcClient> coordinator_;
  std::unique_ptr<sdk::Client> client_;
  std::unique_ptr<sdk::RpcClient> daemon_;
};

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_CONTEXT_H_
