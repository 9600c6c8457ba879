#include "server/rpc/event_service.h"

#include <utility>

#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/rpc/event_watch.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

// A call that fails before it begins.
class RefusedWatch final : public grpc::ServerWriteReactor<v1::Event> {
 public:
  explicit RefusedWatch(const absl::Status& status) { Finish(ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

grpc::ServerWriteReactor<v1::Event>* EventService::WatchEvents(
    grpc::CallbackServerContext* context, const v1::WatchEventsRequest* request) {
  absl::StatusOr<Caller> caller = IdentifyCaller(PeerOf(*context), ClaimsOf(*context));
  if (!caller.ok()) return new RefusedWatch(caller.status());
  if (!feed_.Join()) {
    return new RefusedWatch(MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                                      "too many watch the events already; try again"));
  }
  return EventWatch::Start(deps_, feed_, *std::move(caller), request->after_revision());
}

grpc::ServerUnaryReactor* EventService::ListEvents(grpc::CallbackServerContext* context,
                                                   const v1::ListEventsRequest* request,
                                                   v1::ListEventsResponse* reply) {
  return StartRead(deps_, context, "ListEvents", request, reply,
                   [](const State& state, const Now&, const v1::ListEventsRequest& r) {
                     return weft::ListEvents(state, r);
                   });
}

}  // namespace weft
