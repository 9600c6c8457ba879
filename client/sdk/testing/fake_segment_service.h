// SegmentService as weftd's gRPC socket offers it, for the segments of a FakeWeftd.

#ifndef WEFT_CLIENT_SDK_TESTING_FAKE_SEGMENT_SERVICE_H_
#define WEFT_CLIENT_SDK_TESTING_FAKE_SEGMENT_SERVICE_H_

#include <grpcpp/server.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/testing/fake_weftd.h"
#include "proto/weft/v1/segment.grpc.pb.h"

namespace weft::sdk {

// Thread-safe, but for Start and Stop. A call must carry the ticket that `weftd` gave
// last. Segments are given a device of their own for each time they grow.
class FakeSegmentService final : public v1::SegmentService::Service {
 public:
  // Started. `weftd` must outlive it.
  explicit FakeSegmentService(FakeWeftd& weftd);
  ~FakeSegmentService() override { Stop(); }

  void Start();
  void Stop();

  // The next calls end with these, and do nothing.
  void FailNext(std::deque<absl::Status> errors);
  // The request ids of all mutations that came, in order.
  std::vector<std::string> request_ids() const;
  v1::CreateSegmentRequest last_create() const;

  grpc::Status CreateSegment(grpc::ServerContext* context, const v1::CreateSegmentRequest* request,
                             v1::Segment* reply) override;
  grpc::Status GetSegment(grpc::ServerContext* context, const v1::GetSegmentRequest* request,
                          v1::Segment* reply) override;
  grpc::Status GrowSegment(grpc::ServerContext* context, const v1::GrowSegmentRequest* request,
                           v1::Segment* reply) override;
  grpc::Status DeleteSegment(grpc::ServerContext* context, const v1::DeleteSegmentRequest* request,
                             google::protobuf::Empty* reply) override;

 private:
  // Why the call is not carried out; OK: it is.
  absl::Status Admit(const grpc::ServerContext& context, const std::string& request_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Resize(v1::Segment& segment, uint64_t size_bytes);
  absl::Status Find(const std::string& name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  FakeWeftd& weftd_;
  std::unique_ptr<grpc::Server> server_;
  mutable absl::Mutex mu_;
  std::deque<absl::Status> failures_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> request_ids_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, v1::Segment> segments_ ABSL_GUARDED_BY(mu_);
  v1::CreateSegmentRequest last_create_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_TESTING_FAKE_SEGMENT_SERVICE_H_
