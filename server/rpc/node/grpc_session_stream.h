// The daemon's end of SessionService.Connect.

#ifndef WEFT_SERVER_RPC_NODE_GRPC_SESSION_STREAM_H_
#define WEFT_SERVER_RPC_NODE_GRPC_SESSION_STREAM_H_

#include <memory>

#include "absl/functional/any_invocable.h"
#include "grpcpp/channel.h"
#include "server/rpc/node/coordinator_transport.h"

namespace weft {

// See CoordinatorTransport::Connect. Destroying the stream waits for a callback under way.
std::unique_ptr<CoordinatorStream> StartSessionStream(
    const std::shared_ptr<grpc::Channel>& channel,
    absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
    absl::AnyInvocable<void(absl::Status)> on_end);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_NODE_GRPC_SESSION_STREAM_H_
