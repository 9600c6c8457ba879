// SegmentService as weftd's gRPC socket offers it, with retries.

#ifndef WEFT_CLIENT_SDK_INTERNAL_SEGMENT_CLIENT_H_
#define WEFT_CLIENT_SDK_INTERNAL_SEGMENT_CLIENT_H_

#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/internal/session.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "proto/weft/v1/segment.pb.h"

namespace weft::sdk {

// Thread-safe. Mutations set the request's request_id, so that all attempts have one.
class SegmentClient {
 public:
  explicit SegmentClient(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  ~SegmentClient();

  absl::StatusOr<v1::Segment> Create(v1::CreateSegmentRequest request);
  absl::StatusOr<v1::Segment> Get(const v1::GetSegmentRequest& request);
  absl::StatusOr<v1::Segment> Grow(v1::GrowSegmentRequest request);
  absl::Status Delete(v1::DeleteSegmentRequest request);

 private:
  using Stub = v1::SegmentService::Stub;

  template <typename Request, typename Reply>
  absl::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Reply*),
                    const Request& request, Reply& reply);
  // The stub for a connection; made anew for each, since the address may be another.
  std::shared_ptr<Stub> StubFor(const Session::Connection& connection);

  const std::shared_ptr<Session> session_;
  absl::Mutex mu_;
  std::shared_ptr<Stub> stub_ ABSL_GUARDED_BY(mu_);
  uint64_t stub_connection_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_SEGMENT_CLIENT_H_
