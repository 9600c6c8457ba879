#include "server/rpc/session_stream.h"

#include <utility>

#include "server/core/errors.h"
#include "server/rpc/session_registry.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

constexpr size_t kMaxCommands = 64;
constexpr size_t kMaxQueued = 1024;

}  // namespace

SessionStream* SessionStream::Start(const ServiceDeps& deps, SessionRegistry& registry, Peer peer) {
  const std::shared_ptr<SessionStream> stream(new SessionStream(deps, registry, std::move(peer)));
  stream->self_ = stream;
  stream->Pump();
  return stream.get();
}

void SessionStream::Send(v1::CoordinatorMessage message) {
  bool overflow = false;
  {
    absl::MutexLock lock(&mu_);
    overflow = queue_.size() >= kMaxQueued;
    if (!overflow) queue_.push_back(std::move(message));
  }
  if (overflow) {
    End(MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                  "the host does not read what it is sent; register again"));
  }
  Pump();
}

void SessionStream::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mu_);
    if (!end_) end_ = status;
  }
  Pump();
}

void SessionStream::Pump() {
  // The call, and self_ with it, may end while this is at work.
  const std::shared_ptr<SessionConversation> self = shared_from_this();
  mu_.Lock();
  if (!pumping_) {
    pumping_ = true;
    while (absl::AnyInvocable<void()> operation = NextOperation()) {
      mu_.Unlock();
      operation();
      mu_.Lock();
    }
    pumping_ = false;
  }
  mu_.Unlock();
}

absl::AnyInvocable<void()> SessionStream::NextOperation() {
  if (finished_) return nullptr;
  if (end_) {
    // OnDone may follow at once: no command may be left that uses this stream.
    if (writing_ || commands_ > 0) return nullptr;
    finished_ = true;
    return [this, status = ToGrpcStatus(*end_)] { Finish(status); };
  }
  if (!writing_ && !queue_.empty()) {
    writing_ = true;
    outgoing_ = std::move(queue_.front());
    queue_.pop_front();
    return [this] { StartWrite(&outgoing_); };
  }
  if (!reading_ && commands_ < max_commands_) {
    reading_ = true;
    return [this] { StartRead(&incoming_); };
  }
  return nullptr;
}

void SessionStream::OnReadDone(bool ok) {
  if (!ok) {
    End(absl::OkStatus());
    return;
  }
  v1::NodeMessage message = std::move(incoming_);
  incoming_.Clear();
  {
    absl::MutexLock lock(&mu_);
    reading_ = false;
    ++commands_;
  }
  Take(std::move(message));
  Pump();
}

void SessionStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mu_);
    writing_ = false;
  }
  if (ok) {
    Pump();
  } else {
    End(absl::CancelledError("the host's connection broke"));
  }
}

void SessionStream::OnCancel() { End(absl::CancelledError("the host's connection broke")); }

void SessionStream::OnDone() {
  registry().Detach(*this);
  self_.reset();
}

void SessionStream::OnRegistered() {
  absl::MutexLock lock(&mu_);
  max_commands_ = kMaxCommands;
}

void SessionStream::OnAnswered() {
  {
    absl::MutexLock lock(&mu_);
    --commands_;
  }
  Pump();
}

}  // namespace weft
