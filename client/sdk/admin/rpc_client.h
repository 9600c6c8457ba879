// Calls of Weft's gRPC services, for programs that administer it: the coordinator's API,
// or the services on weftd's local socket. Applications use client/sdk/weft.h.

#ifndef WEFT_CLIENT_SDK_ADMIN_RPC_CLIENT_H_
#define WEFT_CLIENT_SDK_ADMIN_RPC_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/sdk/internal/random.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "proto/weft/v1/event.pb.h"
#include "server/rpc/endpoints.h"
#include "server/rpc/tls_files.h"

namespace weft::sdk {

struct RpcClientOptions {
  // `host:port` or `unix:PATH`. Of a coordinator that runs several times: those of all, with
  // commas between them; the one that leads is found.
  std::string address;
  // Absent: no TLS.
  std::optional<TlsFiles> tls = std::nullopt;
  // Of Client::GetEndpoint, for weftd's socket; empty: none. Valid as long as that Client.
  std::string ticket = "";
  // The longest that one call takes, retries included.
  absl::Duration timeout = absl::Seconds(10);
};

// Thread-safe. Connects when first used, and again whenever the connection is lost.
//
// Every call is repeated, with backoff and with the same request id, while the server
// cannot be reached, does not lead, has too much to do, or does not know how an attempt
// ended. Errors: the method's own, with their reasons (server/core/errors.h); UNREACHABLE
// (UNAVAILABLE: names the address); OUTCOME_UNKNOWN (DEADLINE_EXCEEDED: no answer in time).
class RpcClient {
 public:
  // For what a server answers by itself.
  static constexpr absl::Duration kAttemptTimeout = absl::Seconds(3);

  // FAILED_PRECONDITION: a file of `options.tls` cannot be read.
  static absl::StatusOr<std::unique_ptr<RpcClient>> Make(RpcClientOptions options);

  template <typename Stub, typename Request, typename Reply>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Reply*);

  // One call: `Call(&v1::PoolService::Stub::GetPool, request)`. A request that has a
  // request_id gets a random one. A server that does not answer in `attempt_timeout` is passed
  // over, if there are others.
  template <typename Stub, typename Request, typename Reply>
  absl::StatusOr<Reply> Call(Method<Stub, Request, Reply> method, Request request,
                             absl::Duration attempt_timeout = kAttemptTimeout) {
    if constexpr (requires { request.set_request_id(std::string()); }) {
      request.set_request_id(NewRequestId());
    }
    Reply reply;
    const auto attempt = [&](const std::shared_ptr<grpc::Channel>& channel,
                             grpc::ClientContext& context) {
      Stub stub(channel);
      return (stub.*method)(&context, request, &reply);
    };
    absl::Status status = Repeat(attempt, attempt_timeout);
    if (!status.ok()) return status;
    return reply;
  }

  // All pages of a List method, each by a Call; `items` gives the repeated field of a page.
  template <typename Stub, typename Request, typename Reply, typename Items>
  auto List(Method<Stub, Request, Reply> method, Request request, Items items,
            absl::Duration attempt_timeout = kAttemptTimeout)
      -> absl::StatusOr<std::vector<
          typename std::remove_reference_t<decltype(*items(std::declval<Reply&>()))>::value_type>> {
    std::vector<
        typename std::remove_reference_t<decltype(*items(std::declval<Reply&>()))>::value_type>
        all;
    do {
      absl::StatusOr<Reply> page = Call(method, request, attempt_timeout);
      if (!page.ok()) return page.status();
      for (auto& item : *items(*page)) all.push_back(std::move(item));
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return all;
  }

  // Calls `on_event` with each event after `after_revision` (0: from the oldest kept), in
  // order and each once, until it returns false: then OK. A lost connection is made again;
  // the options' timeout is how long that may take. Errors: EVENTS_COMPACTED
  // (OUT_OF_RANGE); UNREACHABLE; NOT_LEADER (none leads that could be reached).
  absl::Status WatchEvents(uint64_t after_revision,
                           absl::FunctionRef<bool(const v1::Event&)> on_event);

  // The bytes of a backup file of the coordinator's state (server/core/backup_file.h).
  absl::StatusOr<std::string> ReadBackup();

 private:
  using Attempt =
      absl::FunctionRef<grpc::Status(const std::shared_ptr<grpc::Channel>&, grpc::ClientContext&)>;

  RpcClient(RpcClientOptions options, std::shared_ptr<grpc::ChannelCredentials> credentials);

  absl::Status Repeat(Attempt attempt, absl::Duration attempt_timeout);
  absl::Status Unreachable() const;
  // `error` with what the caller can do about it.
  absl::Status Explain(const absl::Status& error) const;

  const RpcClientOptions options_;
  Endpoints endpoints_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_ADMIN_RPC_CLIENT_H_
