#include "client/cli/context.h"

#include <utility>

namespace weft::cli {

absl::StatusOr<sdk::RpcClient*> Context::Coordinator() {
  if (coordinator_ == nullptr) {
    sdk::RpcClientOptions options{.address = options_.coordinator, .timeout = options_.timeout};
    if (!options_.tls.cert.empty()) options.tls = options_.tls;
    absl::StatusOr<std::unique_ptr<sdk::RpcClient>> made = sdk::RpcClient::Make(options);
    if (!made.ok()) return made.status();
    coordinator_ = *std::move(made);
  }
  return coordinator_.get();
}

absl::StatusOr<sdk::Client*> Context::LocalClient(
    std::function<void(const sdk::RevokeNotice&)> on_revoke) {
  if (client_ == nullptr) {
    absl::StatusOr<std::unique_ptr<sdk::Client>> connected =
        sdk::Client::Connect({.socket_path = options_.socket,
                              .connect_timeout = options_.timeout,
                              .call_timeout = options_.timeout,
                              .on_revoke = std::move(on_revoke)});
    if (!connected.ok()) return connected.status();
    client_ = *std::move(connected);
  }
  return client_.get();
}

absl::StatusOr<sdk::RpcClient*> Context::LocalDaemon() {
  if (daemon_ == nullptr) {
    const absl::StatusOr<sdk::Client*> client = LocalClient();
    if (!client.ok()) return client.status();
    const absl::StatusOr<sdk::Client::Endpoint> endpoint = (*client)->GetEndpoint();
    if (!endpoint.ok()) return endpoint.status();
    absl::StatusOr<std::unique_ptr<sdk::RpcClient>> made =
        sdk::RpcClient::Make({.address = endpoint->grpc_address,
                              .ticket = endpoint->ticket,
                              .timeout = options_.timeout});
    if (!made.ok()) return made.status();
    daemon_ = *std::move(made);
  }
  return daemon_.get();
}

void Context::DisconnectLocal() {
  daemon_.reset();
  client_.reset();
}

void Context::Note(const std::string& line) { err_ << "weft: " << line << std::endl; }

}  // namespace weft::cli
