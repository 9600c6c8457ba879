#include "server/rpc/session_conversation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/core/sessions.h"
#include "server/rpc/session_registry.h"

namespace weft {
namespace {

absl::Status BadMessage(std::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, message);
}

}  // namespace

void SessionConversation::Take(v1::NodeMessage message) {
  const bool registered = !session_id_.empty();
  if (registered == message.has_register_()) {
    Refuse(BadMessage(registered ? "a session stream has one Register, its first message"
                                 : "the first message of a session stream must be Register"));
  } else if (message.has_register_()) {
    Register(std::move(*message.mutable_register_()));
  } else if (message.has_renew()) {
    Renew(message.renew().sequence());
  } else if (message.has_inventory()) {
    registry_.inquiries().Take(*this, std::move(*message.mutable_inventory()));
    OnAnswered();
  } else {
    Report(std::move(message));
  }
}

void SessionConversation::Register(v1::Register request) {
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
      [this, result] { Welcome(result->host, result->registered, result->whole); });
}

void SessionConversation::Welcome(const std::string& host, const v1::Registered& registered,
                                  const v1::Assignments& whole) {
  host_ = host;
  session_id_ = registered.session_id();
  OnRegistered();
  v1::CoordinatorMessage message;
  *message.mutable_registered() = registered;
  Send(std::move(message));
  message.Clear();
  *message.mutable_assignments() = whole;
  Send(std::move(message));
  registry_.Attach(shared_from_this());
}

void SessionConversation::Renew(uint64_t sequence) {
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

void SessionConversation::Report(v1::NodeMessage report) {
  Submit(
      Lane::kSession, CommandKind::kMutation, "Report",
      [this, report = std::move(report)](State& state, const Now& now, Changes& changes) {
        return TakeReport(state, Context{now, FormatHostName(host_), host_}, host_, session_id_,
                          report, changes);
      },
      [] {});
}

void SessionConversation::Submit(Lane lane, CommandKind kind, std::string_view method,
                                 Command::Run run, absl::AnyInvocable<void()> then) {
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

void SessionConversation::Refuse(const absl::Status& status) {
  End(status);
  OnAnswered();
}

}  // namespace weft
