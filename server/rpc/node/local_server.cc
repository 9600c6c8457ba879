#include "server/rpc/node/local_server.h"

#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "grpc/support/time.h"
#include "grpcpp/client_context.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/shares.h"
#include "server/rpc/node/grpc_transport.h"
#include "server/rpc/server.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

constexpr char kTicketMetadata[] = "weft-ticket";
// How long calls under way may go on once the server is to end.
constexpr int64_t kDrainSeconds = 1;

// Calls under way, of all users, who have a share each.
constexpr size_t kMaxCalls = 256;
// Twice a CreateSegment with as many extents as a segment may have. A message can be many times
// its size once it is parsed.
constexpr int kMaxReceiveBytes = 128 << 10;

// Who may call, and how often at a time. Thread-safe.
class Entrance {
 public:
  explicit Entrance(LocalApi& api) : api_(api) {}

  // Leave is then to be called. Errors: of FindCaller; RESOURCE_EXHAUSTED OVERLOADED.
  absl::StatusOr<LocalApi::Caller> Enter(const grpc::CallbackServerContext& context) {
    absl::StatusOr<LocalApi::Caller> caller = Authenticate(context);
    if (!caller.ok()) return caller;
    absl::MutexLock lock(&mu_);
    if (calls_.Take(caller->principal)) return caller;
    return MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                     absl::StrCat(caller->principal,
                                  " has as many calls under way as it leaves "
                                  "to other users: try again"));
  }
  void Leave(const std::string& principal) {
    absl::MutexLock lock(&mu_);
    calls_.Return(principal);
  }

 private:
  absl::StatusOr<LocalApi::Caller> Authenticate(const grpc::CallbackServerContext& context) {
    const auto& metadata = context.client_metadata();
    const auto it = metadata.find(kTicketMetadata);
    if (it == metadata.end()) {
      return MakeError(absl::StatusCode::kUnauthenticated, v1::NO_IDENTITY,
                       "the call lacks the metadata weft-ticket: connect to the fd socket first");
    }
    return api_.FindCaller(std::string(it->second.data(), it->second.size()));
  }

  LocalApi& api_;
  absl::Mutex mu_;
  Shares calls_ ABSL_GUARDED_BY(mu_){kMaxCalls};
};

grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// A call of one who entered. Counts until the caller has the answer, then deletes itself.
class EnteredCall : public grpc::ServerUnaryReactor {
 public:
  EnteredCall(Entrance& entrance, std::string principal)
      : entrance_(entrance), principal_(std::move(principal)) {}

  void OnDone() final {
    entrance_.Leave(principal_);
    delete this;
  }

 private:
  Entrance& entrance_;
  const std::string principal_;
};

// Takes a result to the caller of `reactor`.
template <typename Reply>
auto FinishWith(grpc::ServerUnaryReactor* reactor, Reply* reply) {
  return [reactor, reply](absl::StatusOr<Reply> result) {
    if (result.ok()) *reply = *std::move(result);
    reactor->Finish(ToGrpcStatus(result.status()));
  };
}

class NodeServiceImpl final : public v1::NodeService::CallbackService {
 public:
  NodeServiceImpl(LocalApi& api, Entrance& entrance) : api_(api), entrance_(entrance) {}

  grpc::ServerUnaryReactor* GetNodeStatus(grpc::CallbackServerContext* context,
                                          const v1::GetNodeStatusRequest*,
                                          v1::NodeStatus* reply) override {
    return Serve(context, reply,
                 [&](const auto&, auto done) { api_.GetNodeStatus(std::move(done)); });
  }
  grpc::ServerUnaryReactor* ListLocalDevices(grpc::CallbackServerContext* context,
                                             const v1::ListLocalDevicesRequest*,
                                             v1::ListLocalDevicesResponse* reply) override {
    return Serve(context, reply,
                 [&](const auto&, auto done) { api_.ListLocalDevices(std::move(done)); });
  }
  grpc::ServerUnaryReactor* FormatDevice(grpc::CallbackServerContext* context,
                                         const v1::FormatDeviceRequest* request,
                                         v1::LocalDeviceInfo* reply) override {
    return Serve(context, reply, [&](const auto& caller, auto done) {
      api_.FormatDevice(caller, *request, std::move(done));
    });
  }
  grpc::ServerUnaryReactor* ReleaseDevice(grpc::CallbackServerContext* context,
                                          const v1::ReleaseDeviceRequest* request,
                                          v1::LocalDeviceInfo* reply) override {
    return Serve(context, reply, [&](const auto& caller, auto done) {
      api_.ReleaseDevice(caller, *request, std::move(done));
    });
  }

 private:
  template <typename Reply, typename Start>
  grpc::ServerUnaryReactor* Serve(grpc::CallbackServerContext* context, Reply* reply, Start start) {
    const auto caller = entrance_.Enter(*context);
    if (!caller.ok()) return Refuse(context, caller.status());
    auto* const call = new EnteredCall(entrance_, caller->principal);
    start(*caller, FinishWith(call, reply));
    return call;
  }

  LocalApi& api_;
  Entrance& entrance_;
};

// One forwarded call.
template <typename Reply>
class Forwarded final : public EnteredCall {
 public:
  using EnteredCall::EnteredCall;

  grpc::ClientContext& context() { return client_; }

  void OnReply(const grpc::Status& status) { Finish(Known(status)); }
  void OnCancel() override { client_.TryCancel(); }

 private:
  // The coordinator's own words pass; gRPC's that it cannot be reached, or does not answer,
  // gets a reason.
  static grpc::Status Known(const grpc::Status& status) {
    return status.error_details().empty() ? ToGrpcStatus(NoAnswerOr(FromGrpcStatus(status)))
                                          : status;
  }

  grpc::ClientContext client_;
};

class SegmentProxy final : public v1::SegmentService::CallbackService {
 public:
  SegmentProxy(LocalApi& api, Entrance& entrance, LocalServer::ChannelFn channel)
      : api_(api), entrance_(entrance), channel_(std::move(channel)) {}

#define WEFT_FORWARD(method, Request, Reply)                                                \
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context,                    \
                                   const v1::Request* request, v1::Reply* reply) override { \
    return Forward(context, request, reply, [](auto* stub, auto&&... arguments) {           \
      stub->method(std::forward<decltype(arguments)>(arguments)...);                        \
    });                                                                                     \
  }
  WEFT_FORWARD(CreateSegment, CreateSegmentRequest, Segment)
  WEFT_FORWARD(GetSegment, GetSegmentRequest, Segment)
  WEFT_FORWARD(ListSegments, ListSegmentsRequest, ListSegmentsResponse)
  WEFT_FORWARD(GrowSegment, GrowSegmentRequest, Segment)
#undef WEFT_FORWARD
  grpc::ServerUnaryReactor* DeleteSegment(grpc::CallbackServerContext* context,
                                          const v1::DeleteSegmentRequest* request,
                                          google::protobuf::Empty* reply) override {
    return Forward(context, request, reply, [](auto* stub, auto&&... arguments) {
      stub->DeleteSegment(std::forward<decltype(arguments)>(arguments)...);
    });
  }

 private:
  template <typename Request, typename Reply, typename Start>
  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context, const Request* request,
                                    Reply* reply, Start start) {
    const auto caller = entrance_.Enter(*context);
    if (!caller.ok()) return Refuse(context, caller.status());
    auto* const call = new Forwarded<Reply>(entrance_, caller->principal);
    const absl::StatusOr<CallIdentity> identity = api_.IdentityOf(caller->principal);
    if (!identity.ok()) {
      call->Finish(ToGrpcStatus(identity.status()));
      return call;
    }
    SetCallIdentity(*identity, call->context());
    const gpr_timespec limit = gpr_time_add(
        gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(kCallTimeoutSeconds, GPR_TIMESPAN));
    call->context().set_deadline(
        gpr_time_min(limit, gpr_convert_clock_type(context->raw_deadline(), GPR_CLOCK_MONOTONIC)));
    start(v1::SegmentService::NewStub(channel_())->async(), &call->context(), request, reply,
          [call](const grpc::Status& status) { call->OnReply(status); });
    return call;
  }

  LocalApi& api_;
  Entrance& entrance_;
  const LocalServer::ChannelFn channel_;
};

class Impl final : public LocalServer {
 public:
  Impl(LocalApi& api, ChannelFn channel)
      : entrance_(api), node_(api, entrance_), segments_(api, entrance_, std::move(channel)) {}

  void Shutdown() override {
    running_.server->Shutdown(gpr_time_from_seconds(kDrainSeconds, GPR_TIMESPAN));
    running_.server->Wait();
  }

  absl::Status Listen(const std::string& address, const SocketAccess& access) {
    ServerOptions options;
    options.listen = {address};
    options.access = access;
    options.max_receive_bytes = kMaxReceiveBytes;
    absl::StatusOr<RunningServer> running = StartServer(options, {&node_, &segments_});
    if (!running.ok()) return running.status();
    running_ = *std::move(running);
    return absl::OkStatus();
  }
  void SetServing(bool serving) override { weft::SetServing(*running_.server, serving); }

 private:
  Entrance entrance_;
  NodeServiceImpl node_;
  SegmentProxy segments_;
  RunningServer running_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalServer>> LocalServer::Start(const std::string& address,
                                                                const SocketAccess& access,
                                                                LocalApi& api, ChannelFn channel) {
  auto server = std::make_unique<Impl>(api, std::move(channel));
  if (absl::Status s = server->Listen(address, access); !s.ok()) return s;
  return server;
}

}  // namespace weft
