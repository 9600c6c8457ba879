#include "client/sdk/internal/segment_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "client/sdk/internal/random.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::sdk {
namespace {

// gRPC wants a moment, on a clock of its own.
gpr_timespec ToGrpc(Deadline deadline) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(deadline.left_ms(), GPR_TIMESPAN));
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  // Else a new channel inherits the backoff of the one before, whose weftd had gone away.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

SegmentClient::~SegmentClient() {
  // In a forked child gRPC's threads are not there, and closing a channel would wait for
  // them: it is left as it is.
  if (!session_->CheckProcess().ok()) static_cast<void>(new std::shared_ptr<Stub>(stub_));
}

absl::StatusOr<v1::Segment> SegmentClient::Create(v1::CreateSegmentRequest request) {
  request.set_request_id(NewRequestId());
  v1::Segment segment;
  absl::Status status = Call(&Stub::CreateSegment, request, segment);
  if (!status.ok()) return status;
  return segment;
}

absl::StatusOr<v1::Segment> SegmentClient::Get(const v1::GetSegmentRequest& request) {
  v1::Segment segment;
  absl::Status status = Call(&Stub::GetSegment, request, segment);
  if (!status.ok()) return status;
  return segment;
}

absl::StatusOr<v1::Segment> SegmentClient::Grow(v1::GrowSegmentRequest request) {
  request.set_request_id(NewRequestId());
  v1::Segment segment;
  absl::Status status = Call(&Stub::GrowSegment, request, segment);
  if (!status.ok()) return status;
  return segment;
}

absl::Status SegmentClient::Delete(v1::DeleteSegmentRequest request) {
  request.set_request_id(NewRequestId());
  google::protobuf::Empty nothing;
  return Call(&Stub::DeleteSegment, request, nothing);
}

template <typename Request, typename Reply>
absl::Status SegmentClient::Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Reply*),
                                 const Request& request, Reply& reply) {
  return session_->Call(
      [&](const Session::Connection& connection, Deadline deadline) -> absl::Status {
        grpc::ClientContext context;
        context.set_deadline(ToGrpc(deadline));
        context.AddMetadata("weft-ticket", connection.welcome.ticket());
        const std::shared_ptr<Stub> stub = StubFor(connection);
        absl::Status status = FromGrpcStatus((*stub.*method)(&context, request, &reply));
        if (absl::IsDeadlineExceeded(status) && ReasonOf(status) == v1::REASON_UNSPECIFIED) {
          return MakeError(absl::StatusCode::kDeadlineExceeded, v1::OUTCOME_UNKNOWN,
                           "no answer within the call's deadline; it may have been done");
        }
        if (ReasonOf(status) == v1::NO_IDENTITY && !session_->IsCurrent(connection)) {
          // weftd restarted in between: the ticket was one of its predecessor's.
          return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "weftd restarted");
        }
        return status;
      });
}

std::shared_ptr<SegmentClient::Stub> SegmentClient::StubFor(const Session::Connection& connection) {
  absl::MutexLock lock(&mu_);
  if (stub_ == nullptr || stub_connection_ != connection.number) {
    stub_ = v1::SegmentService::NewStub(MakeChannel(connection.welcome.grpc_address()));
    stub_connection_ = connection.number;
  }
  return stub_;
}

}  // namespace weft::sdk
