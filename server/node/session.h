// Keeps the host's session with the coordinator: connects, registers, renews, and begins
// anew whenever the stream breaks.

#ifndef WEFT_SERVER_NODE_SESSION_H_
#define WEFT_SERVER_NODE_SESSION_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "proto/weft/v1/session.pb.h"
#include "server/node/executor.h"
#include "server/node/lease.h"
#include "server/platform/clock.h"
#include "server/platform/random.h"
#include "server/rpc/node/coordinator_transport.h"

namespace weft {

// What this daemon speaks.
inline constexpr uint32_t kNodeProtocolVersion = 2;

// Told by the session, on the executor.
class SessionObserver {
 public:
  virtual ~SessionObserver() = default;

  // Everything of a Register but its protocol version: as the host is now.
  virtual v1::Register MakeRegister() = 0;
  // From here on reports are delivered: those made before are to be repeated.
  virtual void OnRegistered(const v1::Registered& registered) = 0;
  virtual void OnAssignments(const v1::Assignments& assignments) = 0;
  // The right to touch memory lasts until `deadline`.
  virtual void OnLeaseExtended(BootTime deadline) = 0;
  // The stream broke; another one will be tried. Not the end of the lease.
  virtual void OnDisconnected() = 0;
  // The deadline has passed. OnRegistered ends this state.
  virtual void OnLeaseExpired() = 0;
  // The coordinator will never have this daemon as it is: VERSION_TOO_NEW, a bad name.
  // The session does nothing more.
  virtual void OnRefused(const absl::Status& status) = 0;
  // See session.proto.
  virtual void OnInventoryRequest(const v1::InventoryRequest& request) = 0;
  virtual void OnResync() = 0;
};

// Lives on one executor: all calls and callbacks come from there.
class Session {
 public:
  // `dead_man` may be null. All outlive the session; so does the executor's last task that
  // was posted while the session lived.
  Session(Executor& executor, Clock& clock, Random& random, CoordinatorTransport& transport,
          SessionObserver& observer, DeadMan* dead_man);
  ~Session();

  void Start() { Connect(); }

  // Nothing is said if there is no stream: OnRegistered is the time to repeat it.
  void Send(v1::NodeMessage message);

  // Registers anew within the lease: what MakeRegister says has changed. Nothing while there
  // is no stream: then it happens anyway.
  void Reregister();

  // Whether the host may act for its grants now.
  bool alive() const { return !session_id_.empty() && clock_.BootNow() < lease_.deadline(); }
  // Empty: none was ever begun. May be over.
  const std::string& session_id() const { return session_id_; }
  // Whether the coordinator can be asked now.
  bool connected() const { return registered_; }
  BootTime deadline() const { return lease_.deadline(); }
  uint64_t renewals() const { return renewals_; }

 private:
  void Connect();
  void OnMessage(const v1::CoordinatorMessage& message);
  // Ends the stream from this side.
  void Drop(const absl::Status& why);
  void OnEnd(const absl::Status& status);
  void OnRegistered(const v1::Registered& registered);
  void Renew(uint64_t stream_number);
  // Leaves a coordinator that confirmed no renewal since there were `renewals_before`.
  void CheckRenewed(uint64_t stream_number, uint64_t renewals_before);
  void WatchDeadline();
  absl::Duration NextPause();

  Executor& executor_;
  Clock& clock_;
  Random& random_;
  CoordinatorTransport& transport_;
  SessionObserver& observer_;
  Lease lease_;

  // What posted tasks look at: null once the session is gone.
  std::shared_ptr<Session*> self_;
  std::unique_ptr<CoordinatorStream> stream_;
  // Counts streams: a callback of an earlier one is of no interest.
  uint64_t stream_number_ = 0;
  bool registered_ = false;
  bool expiry_told_ = true;
  BootTime register_sent_;
  std::string session_id_;
  int failures_ = 0;
  uint64_t renewals_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_SESSION_H_
