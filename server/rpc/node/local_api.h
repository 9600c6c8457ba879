// What weftd's local gRPC services need of the daemon.

#ifndef WEFT_SERVER_RPC_NODE_LOCAL_API_H_
#define WEFT_SERVER_RPC_NODE_LOCAL_API_H_

#include <cstdint>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/node.pb.h"
#include "server/rpc/node/coordinator_transport.h"

namespace weft {

// Thread-safe; never blocks. Each `done` is called once, on any thread, unless the daemon
// stops.
class LocalApi {
 public:
  template <typename Reply>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Reply>)>;

  virtual ~LocalApi() = default;

  // The user behind a ticket. UNAUTHENTICATED NO_IDENTITY.
  struct Caller {
    uint32_t uid = 0;
    std::string principal;
  };
  virtual absl::StatusOr<Caller> FindCaller(const std::string& ticket) = 0;
  // For calls to the coordinator. UNAVAILABLE UNREACHABLE: there is no session now.
  virtual absl::StatusOr<CallIdentity> IdentityOf(const std::string& principal) = 0;

  virtual void GetNodeStatus(Done<v1::NodeStatus> done) = 0;
  virtual void ListLocalDevices(Done<v1::ListLocalDevicesResponse> done) = 0;
  virtual void FormatDevice(const Caller& caller, const v1::FormatDeviceRequest& request,
                            Done<v1::LocalDeviceInfo> done) = 0;
  virtual void ReleaseDevice(const Caller& caller, const v1::ReleaseDeviceRequest& request,
                             Done<v1::LocalDeviceInfo> done) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_NODE_LOCAL_API_H_
