#include "server/rpc/node/grpc_session_stream.h"

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/client_context.h"
#include "proto/weft/v1/session.grpc.pb.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

// Messages that a coordinator does not read: more than a host has to say.
constexpr size_t kMaxQueued = 4096;

class Stream final : public CoordinatorStream,
                     private grpc::ClientBidiReactor<v1::NodeMessage, v1::CoordinatorMessage> {
 public:
  Stream(const std::shared_ptr<grpc::Channel>& channel,
         absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
         absl::AnyInvocable<void(absl::Status)> on_end)
      : on_message_(std::move(on_message)), on_end_(std::move(on_end)) {
    v1::SessionService::NewStub(channel)->async()->Connect(&context_, this);
    // Writes begin outside of gRPC's callbacks: they need the call to be held open.
    AddHold();
    StartRead(&incoming_);
    StartCall();
  }

  ~Stream() override {
    context_.TryCancel();
    EndWrites();
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&done_));
  }

  void Send(v1::NodeMessage message) override {
    absl::MutexLock lock(&mu_);
    if (over_) return;
    if (queue_.size() >= kMaxQueued) {
      context_.TryCancel();  // ends the conversation; what was said is said again
      return;
    }
    queue_.push_back(std::move(message));
    WriteNext();
  }

 private:
  // gRPC only starts the operation here: it calls nothing back from within.
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || over_ || queue_.empty()) return;
    writing_ = true;
    outgoing_ = std::move(queue_.front());
    queue_.pop_front();
    StartWrite(&outgoing_);
  }

  // No write begins after this.
  void EndWrites() {
    {
      absl::MutexLock lock(&mu_);
      if (over_) return;
      over_ = true;
    }
    RemoveHold();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      EndWrites();
      return;
    }
    on_message_(std::exchange(incoming_, {}));
    StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      EndWrites();
      return;
    }
    absl::MutexLock lock(&mu_);
    writing_ = false;
    WriteNext();
  }

  void OnDone(const grpc::Status& status) override {
    on_end_(FromGrpcStatus(status));
    absl::MutexLock lock(&mu_);
    done_ = true;
  }

  absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message_;
  absl::AnyInvocable<void(absl::Status)> on_end_;
  grpc::ClientContext context_;

  // gRPC's while the operation is under way.
  v1::CoordinatorMessage incoming_;
  v1::NodeMessage outgoing_;

  absl::Mutex mu_;
  std::deque<v1::NodeMessage> queue_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  bool done_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace

std::unique_ptr<CoordinatorStream> StartSessionStream(
    const std::shared_ptr<grpc::Channel>& channel,
    absl::AnyInvocable<void(v1::CoordinatorMessage)> on_message,
    absl::AnyInvocable<void(absl::Status)> on_end) {
  return std::make_unique<Stream>(channel, std::move(on_message), std::move(on_end));
}

}  // namespace weft
