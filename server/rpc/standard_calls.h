// Calls of the services that every gRPC server of ours has, for tests. Debian's gRPC comes
// without their .proto files: messages are bytes here.

#ifndef WEFT_SERVER_RPC_STANDARD_CALLS_H_
#define WEFT_SERVER_RPC_STANDARD_CALLS_H_

#include <memory>
#include <string>

#include "grpcpp/channel.h"

namespace weft {

// grpc.health.v1.HealthCheckResponse{status}, serialised.
inline const std::string kServing = {0x08, 0x01};
inline const std::string kNotServing = {0x08, 0x02};

// What grpc.health.v1.Health/Check says of the whole server. Fails the test if it fails.
std::string Health(const std::shared_ptr<grpc::Channel>& channel);

// The names of its services, in a serialised ServerReflectionResponse. Fails the test if
// reflection fails.
std::string ListServices(const std::shared_ptr<grpc::Channel>& channel);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_STANDARD_CALLS_H_
