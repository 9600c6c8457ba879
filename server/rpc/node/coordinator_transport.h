// What a daemon asks of the coordinator, whatever carries it.

#ifndef WEFT_SERVER_RPC_NODE_COORDINATOR_TRANSPORT_H_
#define WEFT_SERVER_RPC_NODE_COORDINATOR_TRANSPORT_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/device.pb.h"
#include "proto/weft/v1/grant.pb.h"
#include "proto/weft/v1/session.pb.h"

namespace weft {

// A conversation under way. Destroying it ends it; nothing is called back after that.
// Thread-safe but for that.
class CoordinatorStream {
 public:
  virtual ~CoordinatorStream() = default;

  // Queues a message. Nothing is said about whether it arrived; one too many, since the
  // coordinator does not read, ends the conversation.
  virtual void Send(v1::NodeMessage message) = 0;
};

// For whom a call is made.
struct CallIdentity {
  std::string host;
  std::string session_id;
  // `uid:<n>@<host>`; empty: the daemon itself.
  std::string principal;
};

// Thread-safe. Callbacks come on threads of the transport's, which they must not block;
// each of them once, but for on_message. Errors: as the coordinator sends them;
// UNAVAILABLE UNREACHABLE.
class CoordinatorTransport {
 public:
  template <typename Reply>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Reply>)>;

  virtual ~CoordinatorTransport() = default;

  // Begins a conversation with the leader that the end of the last one named, or else with
  // the next of the coordinator's addresses. `on_end` is the last callback; an OK status is an
  // error too: the coordinator ended it.
  virtual std::unique_ptr<CoordinatorStream> Connect(
      absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
      absl::AnyInvocable<void(absl::Status)> on_end) = 0;

  // These go to where the last conversation was begun.
  virtual void AcquireGrant(const CallIdentity& caller, const v1::AcquireGrantRequest& request,
                            Done<v1::AcquireGrantResponse> done) = 0;
  virtual void ReleaseGrant(const CallIdentity& caller, const v1::ReleaseGrantRequest& request,
                            absl::AnyInvocable<void(absl::Status)> done) = 0;
  virtual void GetDevice(const CallIdentity& caller, const v1::GetDeviceRequest& request,
                         Done<v1::Device> done) = 0;

  // Of the last conversation; for people.
  virtual std::string address() const = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_NODE_COORDINATOR_TRANSPORT_H_
