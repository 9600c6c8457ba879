#include "server/rpc/segment_service.h"

#include "server/core/segments.h"

namespace weft {

grpc::ServerUnaryReactor* SegmentService::CreateSegment(grpc::CallbackServerContext* context,
                                                        const v1::CreateSegmentRequest* request,
                                                        v1::Segment* reply) {
  return StartMutation(
      deps_, context, "CreateSegment", Access::kEveryone, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::CreateSegmentRequest& r,
         Changes& changes) { return weft::CreateSegment(state, core, r, changes); });
}

grpc::ServerUnaryReactor* SegmentService::GetSegment(grpc::CallbackServerContext* context,
                                                     const v1::GetSegmentRequest* request,
                                                     v1::Segment* reply) {
  return StartRead(deps_, context, "GetSegment", request, reply,
                   [](const State& state, const Now&, const v1::GetSegmentRequest& r) {
                     return weft::GetSegment(state, r);
                   });
}

grpc::ServerUnaryReactor* SegmentService::ListSegments(grpc::CallbackServerContext* context,
                                                       const v1::ListSegmentsRequest* request,
                                                       v1::ListSegmentsResponse* reply) {
  return StartRead(deps_, context, "ListSegments", request, reply,
                   [](const State& state, const Now&, const v1::ListSegmentsRequest& r) {
                     return weft::ListSegments(state, r);
                   });
}

grpc::ServerUnaryReactor* SegmentService::GrowSegment(grpc::CallbackServerContext* context,
                                                      const v1::GrowSegmentRequest* request,
                                                      v1::Segment* reply) {
  return StartMutation(
      deps_, context, "GrowSegment", Access::kEveryone, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::GrowSegmentRequest& r,
         Changes& changes) { return weft::GrowSegment(state, core, r, changes); });
}

grpc::ServerUnaryReactor* SegmentService::DeleteSegment(grpc::CallbackServerContext* context,
                                                        const v1::DeleteSegmentRequest* request,
                                                        google::protobuf::Empty* reply) {
  return StartMutation(
      deps_, context, "DeleteSegment", Access::kEveryone, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::DeleteSegmentRequest& r,
         Changes& changes) { return weft::DeleteSegment(state, core, r, changes); });
}

}  // namespace weft
