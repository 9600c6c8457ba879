#include "server/store/etcd/etcd_client.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpc/support/time.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/rpc/channel.h"
#include "third_party/etcd/rpc.grpc.pb.h"

namespace weft {
namespace {

namespace pb = etcdserverpb;

// A member that does not answer in this time is passed over: all of them are tried before a
// host that waits for its renewal gives up on this coordinator.
constexpr absl::Duration kAttemptTimeout = absl::Milliseconds(700);
// Longer: after it, nobody knows whether the transaction was committed.
constexpr absl::Duration kTxnTimeout = absl::Milliseconds(2'500);
// etcd breaks connections that ping more often than every 5 s.
constexpr ChannelTimes kTimes = {.connect = absl::Seconds(3),
                                 .max_pause = absl::Milliseconds(500),
                                 .keepalive = absl::Seconds(6),
                                 .keepalive_timeout = absl::Seconds(2)};

absl::Status ShutDown() { return absl::CancelledError("etcd: this program is stopping"); }

absl::Status Unavailable(const char* what, const grpc::Status& status) {
  return absl::UnavailableError(absl::StrCat("etcd ", what, ": ", status.error_message(),
                                             " (gRPC code ", status.error_code(), ")"));
}

// Errors that another member, or another attempt, would give as well.
bool IsAnswer(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::OUT_OF_RANGE:
      return true;
    default:
      return false;
  }
}

absl::Status ToStatus(const char* what, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  if (!IsAnswer(status) || status.error_code() == grpc::StatusCode::OUT_OF_RANGE) {
    return Unavailable(what, status);
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat("etcd ", what, ": ", status.error_message()));
}

// etcd refuses these before it proposes the transaction to its members.
absl::Status TxnStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
    return absl::InvalidArgumentError(absl::StrCat("etcd: ", status.error_message()));
  }
  if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    if (absl::StrContains(status.error_message(), "space exceeded")) {
      return MakeError(absl::StatusCode::kResourceExhausted, v1::STORE_FULL,
                       absl::StrCat("etcd: ", status.error_message(),
                                    ": compact and defragment it, or raise its quota, then "
                                    "disarm the alarm (etcdctl alarm disarm)"));
    }
    if (absl::StrContains(status.error_message(), "too many requests")) {
      return absl::ResourceExhaustedError(absl::StrCat("etcd: ", status.error_message()));
    }
  }
  return Unavailable("Txn", status);
}

}  // namespace

class EtcdClient::Call {
 public:
  Call(EtcdClient& client, absl::Duration timeout, bool after_shutdown = false)
      : client_(client), after_shutdown_(after_shutdown) {
    context_.set_deadline(gpr_time_from_millis(absl::ToInt64Milliseconds(timeout), GPR_TIMESPAN));
    absl::MutexLock lock(&client_.mu_);
    if (after_shutdown_) return;
    if (client_.shut_down_) context_.TryCancel();
    client_.under_way_.push_back(&context_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    absl::MutexLock lock(&client_.mu_);
    std::erase(client_.under_way_, &context_);
  }

  grpc::ClientContext* context() { return &context_; }
  bool shut_down() const {
    absl::MutexLock lock(&client_.mu_);
    return client_.shut_down_ && !after_shutdown_;
  }

 private:
  EtcdClient& client_;
  const bool after_shutdown_;
  grpc::ClientContext context_;
};

EtcdClient::EtcdClient(const std::vector<std::string>& endpoints,
                       const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  WEFT_CHECK(!endpoints.empty());
  for (const std::string& endpoint : endpoints) {
    channels_.push_back(MakeChannel(endpoint, credentials, kTimes));
  }
}

std::shared_ptr<grpc::Channel> EtcdClient::channel() const {
  absl::MutexLock lock(&mu_);
  return channels_[current_];
}

void EtcdClient::GiveUp(const std::shared_ptr<grpc::Channel>& channel) {
  absl::MutexLock lock(&mu_);
  if (channels_[current_] == channel) current_ = (current_ + 1) % channels_.size();
}

void EtcdClient::Shutdown() {
  absl::MutexLock lock(&mu_);
  shut_down_ = true;
  for (grpc::ClientContext* context : under_way_) context->TryCancel();
}

template <typename Service, typename Reply, typename Attempt>
absl::StatusOr<Reply> EtcdClient::TryAll(const char* what, Attempt attempt, bool after_shutdown) {
  grpc::Status status;
  for (size_t i = 0; i < channels_.size(); ++i) {
    const std::shared_ptr<grpc::Channel> member = channel();
    typename Service::Stub stub(member);
    Reply reply;
    AwaitConnection(*member);
    Call call(*this, kAttemptTimeout, after_shutdown);
    status = attempt(stub, call.context(), &reply);
    if (status.ok()) return reply;
    if (call.shut_down()) return ShutDown();
    if (IsAnswer(status)) break;
    GiveUp(member);
  }
  return ToStatus(what, status);
}

absl::StatusOr<pb::RangeResponse> EtcdClient::Range(const pb::RangeRequest& request) {
  return TryAll<pb::KV, pb::RangeResponse>("Range", [&](auto& stub, auto* context, auto* reply) {
    return stub.Range(context, request, reply);
  });
}

absl::StatusOr<pb::LeaseGrantResponse> EtcdClient::GrantLease(absl::Duration ttl) {
  pb::LeaseGrantRequest request;
  request.set_ttl(absl::ToInt64Seconds(ttl));
  return TryAll<pb::Lease, pb::LeaseGrantResponse>(
      "LeaseGrant", [&](auto& stub, auto* context, auto* reply) {
        return stub.LeaseGrant(context, request, reply);
      });
}

absl::Status EtcdClient::RevokeLease(int64_t lease) {
  pb::LeaseRevokeRequest request;
  request.set_id(lease);
  return TryAll<pb::Lease, pb::LeaseRevokeResponse>(
             "LeaseRevoke",
             [&](auto& stub, auto* context, auto* reply) {
               return stub.LeaseRevoke(context, request, reply);
             },
             /*after_shutdown=*/true)
      .status();
}

absl::Status EtcdClient::KeepLeaseAlive(int64_t lease) {
  pb::LeaseKeepAliveRequest request;
  request.set_id(lease);
  const auto reply = TryAll<pb::Lease, pb::LeaseKeepAliveResponse>(
      "LeaseKeepAlive", [&](auto& stub, auto* context, auto* answer) {
        const auto stream = stub.LeaseKeepAlive(context);
        stream->Write(request);
        stream->WritesDone();
        const bool answered = stream->Read(answer);
        context->TryCancel();
        const grpc::Status end = stream->Finish();
        return answered ? grpc::Status::OK : end;
      });
  if (!reply.ok()) return reply.status();
  if (reply->ttl() == 0) return absl::NotFoundError("etcd LeaseKeepAlive: the lease has run out");
  return absl::OkStatus();
}

absl::StatusOr<pb::TxnResponse> EtcdClient::Txn(const pb::TxnRequest& request) {
  const std::shared_ptr<grpc::Channel> member = channel();
  pb::KV::Stub stub(member);
  pb::TxnResponse reply;
  AwaitConnection(*member);
  Call call(*this, kTxnTimeout);
  const grpc::Status status = stub.Txn(call.context(), request, &reply);
  if (status.ok()) return reply;
  if (!IsAnswer(status)) GiveUp(member);
  return TxnStatus(status);
}

absl::Status EtcdClient::Watch(const std::string& key, int64_t revision, absl::Duration limit,
                               const std::function<bool(const mvccpb::Event&)>& on_event) {
  const std::shared_ptr<grpc::Channel> member = channel();
  pb::Watch::Stub stub(member);
  AwaitConnection(*member);
  Call call(*this, limit);
  // A member that is cut off from the others says so instead of staying silent.
  call.context()->AddMetadata("hasleader", "true");
  const auto stream = stub.Watch(call.context());
  pb::WatchRequest request;
  request.mutable_create_request()->set_key(key);
  request.mutable_create_request()->set_start_revision(revision);
  stream->Write(request);
  bool wanted = true;
  pb::WatchResponse response;
  while (wanted && !response.canceled() && stream->Read(&response)) {
    for (const mvccpb::Event& event : response.events()) wanted = wanted && on_event(event);
  }
  call.context()->TryCancel();
  const grpc::Status end = stream->Finish();
  if (call.shut_down()) return ShutDown();
  // At the limit the server, which knows it too, may be the first to cancel the call.
  const bool limited = end.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ||
                       end.error_code() == grpc::StatusCode::CANCELLED;
  if (!wanted || (limited && !response.canceled())) return absl::OkStatus();
  GiveUp(member);
  return response.canceled() ? absl::UnavailableError("etcd Watch: " + response.cancel_reason())
                             : Unavailable("Watch", end);
}

}  // namespace weft
