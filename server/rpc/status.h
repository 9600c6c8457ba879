// The one place where absl::Status and grpc::Status meet.

#ifndef WEFT_SERVER_RPC_STATUS_H_
#define WEFT_SERVER_RPC_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace weft {

// What a server sends for `status`: the same code and message (an UNKNOWN of ours becomes
// INTERNAL), and as details a google.rpc.Status with an ErrorInfo whose domain is "weft"
// and whose reason names a weft.v1.Reason. OVERLOADED, UNAVAILABLE and
// errors WithRetryDelay also carry a RetryInfo: they are the errors after which the same
// request may be sent again.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The reverse, for clients: ReasonOf() and RetryDelayOf() find what the server sent.
// UNAVAILABLE without details, which is how gRPC says that a peer cannot be reached, gets
// the reason UNREACHABLE; reasons of other domains and unknown ones are dropped.
absl::Status FromGrpcStatus(const grpc::Status& status);

// For metrics: the name of the reason, or of the code if it has none; "OK".
std::string ResultName(const absl::Status& status);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_STATUS_H_
