#include "server/rpc/session_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/core/sessions.h"
#include "server/rpc/session_registry.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

constexpr size_t kMaxCommands = 64;
constexpr size_t kMaxQueued = 1024;

absl::Status BadMessage(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, message);
}

}  // namespace

SessionStream* SessionStream::Start(const ServiceDeps& deps, SessionRegistry& registry, Peer peer) {
  const std::shared_ptr<SessionStream> stream(new SessionStream(deps, registry, std::move(peer)));
  stream->self_ = stream;
  stream->Pump();
  return stream.get();
}

SessionStream::SessionStream(const ServiceDeps& deps, SessionRegistry& registry, Peer peer)
    : deps_(deps), registry_(registry), peer_(std::move(peer)) {}

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
  const std::shared_ptr<SessionStream> self = shared_from_this();
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
  registry_.Detach(*this);
  self_.reset();
}

void SessionStream::Take(v1::NodeMessage message) {
  const bool registered = !session_id_.empty();
  if (registered == message.has_register_()) {
    Refuse(BadMessage(registered ? "a session stream has one Register, its first message"
                                 : "the first message of a session stream must be Register"));
  } else if (message.has_register_()) {
    Register(std::move(*message.mutable_register_()));
  } else if (message.has_renew()) {
    Renew(message.renew().sequence());
  } else {
    Report(std::move(message));
  }
}

void SessionStream::Register(v1::Register request) {
  if (absl::Status status = AuthorizeRegister(peer_, request.host_id()); !status.ok()) {
    Refuse(status);
    return;
  }
  struct Result {
    std::string host;
    v1::Registered registered;
    v1::Assignments whole;
  };
  auto result = std::make_shared<Result>();
  Submit(
      Lane::kSession, CommandKind::kMutation, "Register",
      [request = std::move(request), result](State& state, const Now& now, Changes& changes) {
        const Context context{now, FormatHostName(request.host_id()), request.host_id()};
        absl::StatusOr<v1::Registered> registered =
            weft::Register(state, context, request, changes);
        if (!registered.ok()) return registered.status();
        result->host = request.host_id();
        result->registered = *std::move(registered);
        result->whole = WholeAssignments(state, result->host);
        return absl::OkStatus();
      },
      [this, result] { OnRegistered(result->host, result->registered, result->whole); });
}

void SessionStream::OnRegistered(const std::string& host, const v1::Registered& registered,
                                 const v1::Assignments& whole) {
  host_ = host;
  session_id_ = registered.session_id();
  {
    absl::MutexLock lock(&mu_);
    max_commands_ = kMaxCommands;
  }
  v1::CoordinatorMessage message;
  *message.mutable_registered() = registered;
  Send(std::move(message));
  message.Clear();
  *message.mutable_assignments() = whole;
  Send(std::move(message));
  registry_.Attach(shared_from_this());
}

void SessionStream::Renew(uint64_t sequence) {
  Submit(
      Lane::kRenewal, CommandKind::kConfirmed, "Renew",
      [this](State& state, const Now& now, Changes&) {
        return weft::Renew(state, now, host_, session_id_);
      },
      [this, sequence] {
        v1::CoordinatorMessage message;
        message.mutable_renewed()->set_sequence(sequence);
        Send(std::move(message));
      });
}

void SessionStream::Report(v1::NodeMessage report) {
  Submit(
      Lane::kSession, CommandKind::kMutation, "Report",
      [this, report = std::move(report)](State& state, const Now& now, Changes& changes) {
        return TakeReport(state, Context{now, FormatHostName(host_), host_}, host_, session_id_,
                          report, changes);
      },
      [] {});
}

void SessionStream::Submit(Lane lane, CommandKind kind, std::string_view method, Command::Run run,
                           absl::AnyInvocable<void()> then) {
  Command command;
  command.kind = kind;
  command.run = std::move(run);
  command.done = [self = shared_from_this(), method, then = std::move(then),
                  start = deps_.clock.MonotonicNow()](const absl::Status& status) mutable {
    self->deps_.recorder.RecordCall(method, status, self->deps_.clock.MonotonicNow() - start);
    if (status.ok()) {
      then();
    } else {
      self->End(status);
    }
    self->OnAnswered();
  };
  deps_.executor.Submit(lane, std::move(command));
}

void SessionStream::Refuse(const absl::Status& status) {
  End(status);
  OnAnswered();
}

void SessionStream::OnAnswered() {
  {
    absl::MutexLock lock(&mu_);
    --commands_;
  }
  Pump();
}

}  // namespace weft
