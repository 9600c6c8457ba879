// CoordinatorTransport over gRPC.

#ifndef WEFT_SERVER_RPC_NODE_GRPC_TRANSPORT_H_
#define WEFT_SERVER_RPC_NODE_GRPC_TRANSPORT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grpcpp/channel.h"
#include "server/rpc/endpoints.h"
#include "server/rpc/node/coordinator_transport.h"
#include "server/rpc/server.h"

namespace weft {

class GrpcTransport final : public CoordinatorTransport {
 public:
  // `addresses`: `host:port` or `unix:<path>`, at least one; each may be several, with commas
  // between them. With `tls` both sides prove who they are.
  GrpcTransport(const std::vector<std::string>& addresses, const std::optional<TlsFiles>& tls);
  // Waits for the calls under way, which it cancels. REQUIRES: no stream of it is left.
  ~GrpcTransport() override;

  std::unique_ptr<CoordinatorStream> Connect(
      absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
      absl::AnyInvocable<void(absl::Status)> on_end) override;
  void AcquireGrant(const CallIdentity& caller, const v1::AcquireGrantRequest& request,
                    Done<v1::AcquireGrantResponse> done) override;
  void ReleaseGrant(const CallIdentity& caller, const v1::ReleaseGrantRequest& request,
                    absl::AnyInvocable<void(absl::Status)> done) override;
  void GetDevice(const CallIdentity& caller, const v1::GetDeviceRequest& request,
                 Done<v1::Device> done) override;
  std::string address() const override;

  // For whoever forwards calls: as the calls above.
  std::shared_ptr<grpc::Channel> channel() const;

 private:
  class CallSet;

  // Runs one call; see the source.
  template <typename Request, typename Reply, typename Start>
  void Call(const CallIdentity& caller, const Request& request, Done<Reply> done, Start start);

  Endpoints endpoints_;
  const std::shared_ptr<CallSet> calls_;
};

// How long a coordinator has for the answer to one call: then another may lead.
inline constexpr int64_t kCallTimeoutSeconds = 5;

// UNAVAILABLE OUTCOME_UNKNOWN in the place of gRPC's DEADLINE_EXCEEDED; else `status`.
absl::Status NoAnswerOr(const absl::Status& status);

// Adds to `context` what server/rpc/identity.h says.
void SetCallIdentity(const CallIdentity& caller, grpc::ClientContext& context);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_NODE_GRPC_TRANSPORT_H_
