#include "server/rpc/node/grpc_transport.h"

#include <cstdint>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpc/support/time.h"
#include "grpcpp/client_context.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "server/core/errors.h"
#include "server/rpc/channel.h"
#include "server/rpc/client_credentials.h"
#include "server/rpc/identity.h"
#include "server/rpc/node/grpc_session_stream.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

// Finds a dead coordinator in well under a lease of 10 s, and one that restarts, which is back
// within a second, soon.
constexpr ChannelTimes kTimes = {.connect = absl::Seconds(3),
                                 .max_pause = absl::Milliseconds(500),
                                 .keepalive = absl::Seconds(10),
                                 .keepalive_timeout = absl::Seconds(3)};

}  // namespace

// The calls under way, so that they can be ended.
class GrpcTransport::CallSet {
 public:
  // False: no more calls.
  bool Add(grpc::ClientContext* context) {
    absl::MutexLock lock(&mu_);
    if (closed_) return false;
    contexts_.insert(context);
    return true;
  }
  void Remove(grpc::ClientContext* context) {
    absl::MutexLock lock(&mu_);
    contexts_.erase(context);
  }
  void Close() {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    for (grpc::ClientContext* context : contexts_) context->TryCancel();
    mu_.Await(absl::Condition(
        +[](std::set<grpc::ClientContext*>* contexts) { return contexts->empty(); }, &contexts_));
  }

 private:
  absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::set<grpc::ClientContext*> contexts_ ABSL_GUARDED_BY(mu_);
};

void SetCallIdentity(const CallIdentity& caller, grpc::ClientContext& context) {
  context.AddMetadata(kHostMetadata, caller.host);
  context.AddMetadata(kSessionMetadata, caller.session_id);
  if (!caller.principal.empty()) context.AddMetadata(kPrincipalMetadata, caller.principal);
}

absl::Status NoAnswerOr(const absl::Status& status) {
  if (!absl::IsDeadlineExceeded(status) || ReasonOf(status) != v1::REASON_UNSPECIFIED) {
    return status;
  }
  return MakeError(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN,
                   absl::StrCat("the coordinator did not answer in ", kCallTimeoutSeconds, " s"));
}

GrpcTransport::GrpcTransport(const std::vector<std::string>& addresses,
                             const std::optional<TlsFiles>& tls)
    : endpoints_(absl::StrJoin(addresses, ","), ClientCredentials(tls), kTimes),
      calls_(std::make_shared<CallSet>()) {}

GrpcTransport::~GrpcTransport() { calls_->Close(); }

std::unique_ptr<CoordinatorStream> GrpcTransport::Connect(
    absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
    absl::AnyInvocable<void(absl::Status)> on_end) {
  const std::shared_ptr<grpc::Channel> channel = endpoints_.current();
  return StartSessionStream(
      channel, std::move(on_message),
      [this, channel, on_end = std::move(on_end)](absl::Status status) mutable {
        endpoints_.MoveOn(channel, status);
        on_end(std::move(status));
      });
}

template <typename Request, typename Reply, typename Start>
void GrpcTransport::Call(const CallIdentity& caller, const Request& request, Done<Reply> done,
                         Start start) {
  struct State {
    grpc::ClientContext context;
    Request request;
    Reply reply;
    Done<Reply> done;
  };
  auto state = std::make_shared<State>();
  state->request = request;
  state->done = std::move(done);
  SetCallIdentity(caller, state->context);
  state->context.set_deadline(gpr_time_from_seconds(kCallTimeoutSeconds, GPR_TIMESPAN));
  if (!calls_->Add(&state->context)) {
    state->done(absl::CancelledError("the daemon is stopping"));
    return;
  }
  start(channel(), &state->context, &state->request, &state->reply,
        [state, calls = calls_](const grpc::Status& status) mutable {
          const absl::Status result = NoAnswerOr(FromGrpcStatus(status));
          if (result.ok()) {
            state->done(std::move(state->reply));
          } else {
            state->done(result);
          }
          // The context holds the channel. Whoever lets go of the last channel ends gRPC's
          // threads, and this is one of them: let go before the transport can.
          grpc::ClientContext* const context = &state->context;
          state.reset();
          calls->Remove(context);
        });
}

void GrpcTransport::AcquireGrant(const CallIdentity& caller, const v1::AcquireGrantRequest& request,
                                 Done<v1::AcquireGrantResponse> done) {
  Call(caller, request, std::move(done),
       [](const auto& channel, auto* context, auto* request, auto* reply, auto then) {
         v1::GrantService::NewStub(channel)->async()->AcquireGrant(context, request, reply, then);
       });
}

void GrpcTransport::ReleaseGrant(const CallIdentity& caller, const v1::ReleaseGrantRequest& request,
                                 absl::AnyInvocable<void(absl::Status)> done) {
  Call<v1::ReleaseGrantRequest, google::protobuf::Empty>(
      caller, request,
      [done = std::move(done)](absl::StatusOr<google::protobuf::Empty> reply) mutable {
        done(reply.status());
      },
      [](const auto& channel, auto* context, auto* request, auto* reply, auto then) {
        v1::GrantService::NewStub(channel)->async()->ReleaseGrant(context, request, reply, then);
      });
}

void GrpcTransport::GetDevice(const CallIdentity& caller, const v1::GetDeviceRequest& request,
                              Done<v1::Device> done) {
  Call(caller, request, std::move(done),
       [](const auto& channel, auto* context, auto* request, auto* reply, auto then) {
         v1::DeviceService::NewStub(channel)->async()->GetDevice(context, request, reply, then);
       });
}

std::string GrpcTransport::address() const { return endpoints_.current_address(); }

std::shared_ptr<grpc::Channel> GrpcTransport::channel() const { return endpoints_.current(); }

}  // namespace weft
