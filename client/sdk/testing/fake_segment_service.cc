#include "client/sdk/testing/fake_segment_service.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::sdk {

FakeSegmentService::FakeSegmentService(FakeWeftd& weftd) : weftd_(weftd) { Start(); }

void FakeSegmentService::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", weftd_.grpc_path()),
                           grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

void FakeSegmentService::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(gpr_inf_past(GPR_CLOCK_MONOTONIC));
  server_.reset();
}

void FakeSegmentService::FailNext(std::deque<absl::Status> errors) {
  absl::MutexLock lock(&mu_);
  failures_ = std::move(errors);
}

std::vector<std::string> FakeSegmentService::request_ids() const {
  absl::MutexLock lock(&mu_);
  return request_ids_;
}

v1::CreateSegmentRequest FakeSegmentService::last_create() const {
  absl::MutexLock lock(&mu_);
  return last_create_;
}

absl::Status FakeSegmentService::Admit(const grpc::ServerContext& context,
                                       const std::string& request_id) {
  request_ids_.push_back(request_id);
  if (!failures_.empty()) {
    absl::Status failure = failures_.front();
    failures_.pop_front();
    return failure;
  }
  const auto ticket = context.client_metadata().find("weft-ticket");
  if (ticket == context.client_metadata().end() || ticket->second != weftd_.ticket()) {
    return MakeError(absl::StatusCode::kUnauthenticated, v1::NO_IDENTITY, "unknown ticket");
  }
  return absl::OkStatus();
}

absl::Status FakeSegmentService::Find(const std::string& name) const {
  if (segments_.contains(name)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kNotFound, v1::SEGMENT_NOT_FOUND, "no such segment");
}

absl::Status FakeSegmentService::Resize(v1::Segment& segment, uint64_t size_bytes) {
  if (size_bytes <= segment.size_bytes() || size_bytes % (2 << 20) != 0) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE, "not a size");
  }
  const uint64_t added_bytes = size_bytes - segment.size_bytes();
  v1::Extent* const extent = segment.add_runs()->add_extents();
  extent->set_device(weftd_.AddDevice(added_bytes));
  extent->set_length_bytes(added_bytes);
  segment.set_size_bytes(size_bytes);
  weftd_.SetSegment(segment);
  return absl::OkStatus();
}

grpc::Status FakeSegmentService::CreateSegment(grpc::ServerContext* context,
                                               const v1::CreateSegmentRequest* request,
                                               v1::Segment* reply) {
  absl::MutexLock lock(&mu_);
  absl::Status status = Admit(*context, request->request_id());
  if (!status.ok()) return ToGrpcStatus(status);
  last_create_ = *request;
  v1::Segment segment = request->segment();
  segment.set_name(absl::StrCat(request->parent(), "/segments/", request->segment_id()));
  segment.set_id(segments_.size() + 1);
  segment.set_generation(1);
  segment.set_state(v1::SEGMENT_ACTIVE);
  segment.set_size_bytes(0);
  status = Resize(segment, request->segment().size_bytes());
  if (!status.ok()) return ToGrpcStatus(status);
  segments_[segment.name()] = segment;
  *reply = segment;
  return grpc::Status::OK;
}

grpc::Status FakeSegmentService::GetSegment(grpc::ServerContext* context,
                                            const v1::GetSegmentRequest* request,
                                            v1::Segment* reply) {
  absl::MutexLock lock(&mu_);
  absl::Status status = Admit(*context, "");
  if (status.ok()) status = Find(request->name());
  if (!status.ok()) return ToGrpcStatus(status);
  *reply = segments_[request->name()];
  return grpc::Status::OK;
}

grpc::Status FakeSegmentService::GrowSegment(grpc::ServerContext* context,
                                             const v1::GrowSegmentRequest* request,
                                             v1::Segment* reply) {
  absl::MutexLock lock(&mu_);
  absl::Status status = Admit(*context, request->request_id());
  if (status.ok()) status = Find(request->name());
  if (status.ok()) status = Resize(segments_[request->name()], request->size_bytes());
  if (!status.ok()) return ToGrpcStatus(status);
  *reply = segments_[request->name()];
  return grpc::Status::OK;
}

grpc::Status FakeSegmentService::DeleteSegment(grpc::ServerContext* context,
                                               const v1::DeleteSegmentRequest* request,
                                               google::protobuf::Empty*) {
  absl::MutexLock lock(&mu_);
  absl::Status status = Admit(*context, request->request_id());
  if (status.ok()) status = Find(request->name());
  if (status.ok() && !request->force() && !weftd_.handles().empty()) {
    status = MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE, "host-a has it");
  }
  if (status.ok()) segments_.erase(request->name());
  return ToGrpcStatus(status);
}

}  // namespace weft::sdk
