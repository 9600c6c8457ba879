// One FsckService.CheckHost call.

#ifndef WEFT_SERVER_RPC_HOST_CHECK_H_
#define WEFT_SERVER_RPC_HOST_CHECK_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "proto/weft/v1/fsck.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/session_registry.h"

namespace weft {

// Checks who asks on the executor, asks the host through its session, and compares its answer
// with the records on the executor. Ends early when the caller gives up: nobody waits for a host
// longer than that.
class HostCheck final : public grpc::ServerUnaryReactor,
                        public std::enable_shared_from_this<HostCheck> {
 public:
  // Lives until gRPC is done with the call.
  static HostCheck* Start(const ServiceDeps& deps, SessionRegistry& registry,
                          grpc::CallbackServerContext* context, const v1::CheckHostRequest* request,
                          v1::CheckResponse* reply);

 private:
  HostCheck(const ServiceDeps& deps, SessionRegistry& registry, const v1::CheckHostRequest* request,
            v1::CheckResponse* reply)
      : deps_(deps),
        registry_(registry),
        request_(request),
        reply_(reply),
        start_(deps.clock.MonotonicNow()) {}

  void OnCancel() override ABSL_LOCKS_EXCLUDED(mu_);
  void OnDone() override { self_.reset(); }

  void Prepare(Caller caller);
  void Ask() ABSL_LOCKS_EXCLUDED(mu_);
  void Compare(const v1::HostInventory& found);
  void End(const absl::Status& status);

  const ServiceDeps deps_;
  SessionRegistry& registry_;
  const v1::CheckHostRequest* const request_;
  v1::CheckResponse* const reply_;
  const MonotonicTime start_;
  std::shared_ptr<HostCheck> self_;
  // Set before the host is asked.
  std::string host_;
  v1::InventoryRequest asked_;

  absl::Mutex mu_;
  bool cancelled_ ABSL_GUARDED_BY(mu_) = false;
  // Of the inquiry under way; 0: none.
  uint64_t number_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_HOST_CHECK_H_
