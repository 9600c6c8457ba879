// Calls of etcd, version 3, over gRPC.

#ifndef WEFT_SERVER_STORE_ETCD_ETCD_CLIENT_H_
#define WEFT_SERVER_STORE_ETCD_ETCD_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/security/credentials.h"
#include "third_party/etcd/rpc.pb.h"

namespace weft {

// One member of the cluster at a time, another whenever that fails. Thread-safe; every call
// blocks, for a bounded time.
class EtcdClient {
 public:
  // `endpoints`: `host:port` each, at least one.
  EtcdClient(const std::vector<std::string>& endpoints,
             const std::shared_ptr<grpc::ChannelCredentials>& credentials);
  EtcdClient(const EtcdClient&) = delete;
  EtcdClient& operator=(const EtcdClient&) = delete;

  // These change nothing, or nothing more when repeated: they are tried on every member.
  // UNAVAILABLE: none has answered; or the error that etcd gave.
  absl::StatusOr<etcdserverpb::RangeResponse> Range(const etcdserverpb::RangeRequest& request);
  absl::StatusOr<etcdserverpb::LeaseGrantResponse> GrantLease(absl::Duration ttl);
  absl::Status RevokeLease(int64_t lease);
  // NOT_FOUND: the lease has run out.
  absl::Status KeepLeaseAlive(int64_t lease);

  // Tried once.
  //   RESOURCE_EXHAUSTED STORE_FULL, RESOURCE_EXHAUSTED (too many requests),
  //   INVALID_ARGUMENT: not committed. Everything else is UNAVAILABLE: it may have been
  //   committed, or may yet be.
  absl::StatusOr<etcdserverpb::TxnResponse> Txn(const etcdserverpb::TxnRequest& request);

  // Watches `key` from `revision` on until `on_event` returns false (OK) or `limit` has
  // passed (OK). UNAVAILABLE: the member failed, or lost its leader.
  absl::Status Watch(const std::string& key, int64_t revision, absl::Duration limit,
                     const std::function<bool(const mvccpb::Event&)>& on_event);

  // Makes calls under way and all later ones, but those of RevokeLease, fail with CANCELLED.
  // Idempotent.
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // What a call under way uses; registered so that Shutdown can break it off.
  class Call;

  template <typename Service, typename Reply, typename Attempt>
  absl::StatusOr<Reply> TryAll(const char* what, Attempt attempt, bool after_shutdown = false);
  std::shared_ptr<grpc::Channel> channel() const ABSL_LOCKS_EXCLUDED(mu_);
  // The next call goes to another member, unless one has moved there since.
  void GiveUp(const std::shared_ptr<grpc::Channel>& channel) ABSL_LOCKS_EXCLUDED(mu_);

  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  mutable absl::Mutex mu_;
  size_t current_ ABSL_GUARDED_BY(mu_) = 0;
  bool shut_down_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<grpc::ClientContext*> under_way_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_ETCD_ETCD_CLIENT_H_
