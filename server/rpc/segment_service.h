// weft.v1.SegmentService on the coordinator.

#ifndef WEFT_SERVER_RPC_SEGMENT_SERVICE_H_
#define WEFT_SERVER_RPC_SEGMENT_SERVICE_H_

#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/rpc/calls.h"

namespace weft {

class SegmentService final : public v1::SegmentService::CallbackService {
 public:
  explicit SegmentService(const ServiceDeps& deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* CreateSegment(grpc::CallbackServerContext* context,
                                          const v1::CreateSegmentRequest* request,
                                          v1::Segment* reply) override;
  grpc::ServerUnaryReactor* GetSegment(grpc::CallbackServerContext* context,
                                       const v1::GetSegmentRequest* request,
                                       v1::Segment* reply) override;
  grpc::ServerUnaryReactor* ListSegments(grpc::CallbackServerContext* context,
                                         const v1::ListSegmentsRequest* request,
                                         v1::ListSegmentsResponse* reply) override;
  grpc::ServerUnaryReactor* GrowSegment(grpc::CallbackServerContext* context,
                                        const v1::GrowSegmentRequest* request,
                                        v1::Segment* reply) override;
  grpc::ServerUnaryReactor* DeleteSegment(grpc::CallbackServerContext* context,
                                          const v1::DeleteSegmentRequest* request,
                                          google::protobuf::Empty* reply) override;

 private:
  const ServiceDeps deps_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_SEGMENT_SERVICE_H_
