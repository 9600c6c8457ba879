// weft.v1.SessionService on the coordinator.

#ifndef WEFT_SERVER_RPC_SESSION_SERVICE_H_
#define WEFT_SERVER_RPC_SESSION_SERVICE_H_

#include "proto/weft/v1/session.grpc.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/session_registry.h"
#include "server/rpc/session_stream.h"

namespace weft {

class SessionService final : public v1::SessionService::CallbackService {
 public:
  SessionService(const ServiceDeps& deps, SessionRegistry& registry)
      : deps_(deps), registry_(registry) {}

  grpc::ServerBidiReactor<v1::NodeMessage, v1::CoordinatorMessage>* Connect(
      grpc::CallbackServerContext* context) override {
    return SessionStream::Start(deps_, registry_, PeerOf(*context));
  }

 private:
  const ServiceDeps deps_;
  SessionRegistry& registry_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_SESSION_SERVICE_H_
