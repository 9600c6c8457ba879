#include "tests/sim/sim_transport.h"

#include <utility>

#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::sim {
namespace {

// As GrpcTransport.
constexpr absl::Duration kCallTimeout = absl::Seconds(5);

absl::Status Unreachable(const char* why) {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, why);
}

// The daemon's end of a session's stream. What is sent before the connection is made waits.
class Stream final : public CoordinatorStream {
 public:
  struct Shared {
    std::shared_ptr<Wire> wire;
    bool asked = false;
    bool connected = false;
    std::vector<std::string> waiting;
  };

  explicit Stream(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  ~Stream() override { shared_->wire->Close(0, absl::CancelledError("the host ended the call")); }

  void Send(v1::NodeMessage message) override {
    std::string bytes = message.SerializeAsString();
    if (shared_->connected) {
      shared_->wire->Send(0, std::move(bytes));
    } else {
      shared_->waiting.push_back(std::move(bytes));
    }
  }

 private:
  const std::shared_ptr<Shared> shared_;
};

}  // namespace

void CallCoordinator(Network& network, const std::string& from, CoordinatorSim& coordinator,
                     const CallerClaims& claims, Method method, const std::string& request,
                     absl::Duration timeout, std::weak_ptr<void> caller,
                     std::function<void(absl::StatusOr<std::string>)> done) {
  auto over = std::make_shared<bool>(false);
  auto finish = [over, caller, done = std::move(done)](absl::StatusOr<std::string> result) {
    if (caller.expired() || std::exchange(*over, true)) return;
    done(std::move(result));
  };
  Loop& loop = network.world().loop;
  loop.After(timeout, [finish] {
    finish(FromGrpcStatus(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded")));
  });
  // Where a message is lost the connection breaks: that may be noticed long before.
  const auto lost = [&network, finish] {
    network.world().loop.After(
        network.rng().Between(absl::Milliseconds(1), absl::Seconds(8)),
        [finish] { finish(Unreachable("the connection broke during the call")); });
  };
  network.Send(
      from, coordinator.name(),
      [&network, from, &coordinator, claims, method, request, finish, lost] {
        coordinator.Handle(claims, method, request,
                           [&network, from, name = coordinator.name(), finish,
                            lost](absl::StatusOr<std::string> result) {
                             network.Send(name, from, [finish, result] { finish(result); }, lost);
                           });
      },
      lost);
}

std::unique_ptr<CoordinatorStream> SimTransport::Connect(
    absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
    absl::AnyInvocable<void(absl::Status)> on_end) {
  current_ = (current_ + 1) % coordinators_.size();
  CoordinatorSim& coordinator = *coordinators_[current_];
  auto shared = std::make_shared<Stream::Shared>();
  shared->wire = std::make_shared<Wire>(network_, host_, coordinator.name());
  shared->wire->Attach(
      0, {[on_message = std::move(on_message)](std::string bytes) mutable {
            v1::CoordinatorMessage message;
            message.ParseFromString(bytes);
            on_message(std::move(message));
          },
          [on_end = std::move(on_end)](absl::Status why) mutable { on_end(std::move(why)); }});
  const auto lost = [this_wire = shared->wire, &network = network_] {
    network.world().loop.After(absl::Seconds(1),
                               [this_wire] { this_wire->Break(0, Unreachable("no answer")); });
  };
  network_.Send(
      host_, coordinator.name(),
      [&network = network_, host = host_, &coordinator, shared, lost] {
        if (std::exchange(shared->asked, true)) return;
        const bool accepted = coordinator.Accept(shared->wire);
        network.Send(
            coordinator.name(), host,
            [shared, accepted] {
              if (!accepted) shared->wire->Break(0, Unreachable("connection refused"));
              if (!accepted || std::exchange(shared->connected, true)) return;
              for (std::string& bytes : std::exchange(shared->waiting, {})) {
                shared->wire->Send(0, std::move(bytes));
              }
            },
            lost);
      },
      lost);
  return std::make_unique<Stream>(std::move(shared));
}

template <typename Request>
void SimTransport::Call(const CallIdentity& caller, Method method, const Request& request,
                        std::function<void(absl::StatusOr<std::string>)> done) {
  CallCoordinator(network_, host_, coordinator(),
                  {caller.host, caller.session_id, caller.principal}, method,
                  request.SerializeAsString(), kCallTimeout, alive_, std::move(done));
}

namespace {

// The bytes of a reply as what they are.
template <typename Reply>
std::function<void(absl::StatusOr<std::string>)> Parsed(
    absl::AnyInvocable<void(absl::StatusOr<Reply>)> done) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::StatusOr<Reply>)>>(std::move(done));
  return [shared](absl::StatusOr<std::string> bytes) {
    if (!bytes.ok()) {
      (*shared)(bytes.status());
      return;
    }
    Reply reply;
    reply.ParseFromString(*bytes);
    (*shared)(std::move(reply));
  };
}

}  // namespace

void SimTransport::AcquireGrant(const CallIdentity& caller, const v1::AcquireGrantRequest& request,
                                Done<v1::AcquireGrantResponse> done) {
  Call(caller, Method::kAcquireGrant, request, Parsed(std::move(done)));
}

void SimTransport::ReleaseGrant(const CallIdentity& caller, const v1::ReleaseGrantRequest& request,
                                absl::AnyInvocable<void(absl::Status)> done) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::Status)>>(std::move(done));
  Call(caller, Method::kReleaseGrant, request,
       [shared](const absl::StatusOr<std::string>& bytes) { (*shared)(bytes.status()); });
}

void SimTransport::GetDevice(const CallIdentity& caller, const v1::GetDeviceRequest& request,
                             Done<v1::Device> done) {
  Call(caller, Method::kGetDevice, request, Parsed(std::move(done)));
}

}  // namespace weft::sim
