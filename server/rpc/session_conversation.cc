#include "server/rpc/session_conversation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/core/sessions.h"
#include "server/core/unrecorded.h"
#include "server/rpc/session_registry.h"

namespace weft {
namespace {

// Whether what was refused can be said again later, and is no fault of who said it.
bool Passes(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && ReasonOf(status) != v1::QUOTA;
}

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

// What comes out of a Register.
struct SessionConversation::Registration {
  v1::Register request;
  v1::Registered registered;
  v1::Assignments whole;
  // Only the lease was extended.
  bool resumed = false;
};

void SessionConversation::Register(v1::Register request) {
  const std::string host = request.host_id();
  if (absl::Status status = AuthorizeRegister(peer_, host); !status.ok()) {
    Refuse(status);
    return;
  }
  if (!registry_.StartRegistering(host)) {
    Refuse(MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                     absl::StrCat(host, " has ", SessionRegistry::kMaxRegistering,
                                  " registrations waiting already")));
    return;
  }
  auto result = std::make_shared<Registration>();
  result->request = std::move(request);
  const auto take = [result](State& state, absl::StatusOr<v1::Registered> registered) {
    if (!registered.ok()) return registered.status();
    result->registered = *std::move(registered);
    result->whole = WholeAssignments(state, result->request.host_id());
    return absl::OkStatus();
  };
  Command command;
  command.run = [result, take](State& state, const Now& now, Changes& changes) {
    const std::string& host = result->request.host_id();
    const Context context{now, FormatHostName(host), host};
    return take(state, weft::Register(state, context, result->request, changes));
  };
  command.run_unrecorded = [result, take](State& state, const Now& now, Changes&) {
    result->resumed = true;
    return take(state, weft::Resume(state, now, result->request));
  };
  Submit(Lane::kSession, "Register", std::move(command),
         [this, host, result](const absl::Status& status) {
           registry_.EndRegistering(host);
           if (status.ok()) {
             Welcome(*result);
           } else {
             End(status);
           }
         });
}

void SessionConversation::Welcome(const Registration& registration) {
  host_ = registration.request.host_id();
  session_id_ = registration.registered.session_id();
  missed_ = registration.resumed;
  OnRegistered();
  v1::CoordinatorMessage message;
  *message.mutable_registered() = registration.registered;
  Send(std::move(message));
  message.Clear();
  *message.mutable_assignments() = registration.whole;
  Send(std::move(message));
  registry_.Attach(shared_from_this());
}

void SessionConversation::Renew(uint64_t sequence) {
  Command command;
  command.kind = CommandKind::kConfirmed;
  command.run = [this](State& state, const Now& now, Changes&) {
    return weft::Renew(state, now, host_, session_id_);
  };
  Submit(Lane::kRenewal, "Renew", std::move(command), [this, sequence](const absl::Status& status) {
    if (!status.ok()) {
      End(status);
      return;
    }
    v1::CoordinatorMessage message;
    message.mutable_renewed()->set_sequence(sequence);
    Send(std::move(message));
    CatchUp();
  });
}

void SessionConversation::Report(v1::NodeMessage report) {
  Command command;
  command.run = [this, report = std::move(report)](State& state, const Now& now, Changes& changes) {
    return TakeReport(state, Context{now, FormatHostName(host_), host_}, host_, session_id_, report,
                      changes);
  };
  Submit(Lane::kSession, "Report", std::move(command), [this](const absl::Status& status) {
    if (Passes(status)) {
      missed_ = true;
    } else if (!status.ok()) {
      End(status);
    }
  });
}

// A mutation, though it changes nothing: it is run only while mutations are.
void SessionConversation::CatchUp() {
  if (!missed_.exchange(false)) return;
  Command command;
  command.run = [self = shared_from_this()](State& state, const Now&, Changes&) {
    return CheckSession(state, self->host_, self->session_id_);
  };
  command.done = [self = shared_from_this()](const absl::Status& status) {
    if (status.ok()) {
      v1::CoordinatorMessage message;
      message.mutable_resync();
      self->Send(std::move(message));
    } else if (Passes(status)) {
      self->missed_ = true;
    } else {
      self->End(status);
    }
  };
  deps_.executor.Submit(Lane::kSession, std::move(command));
}

void SessionConversation::Submit(Lane lane, std::string_view method, Command command,
                                 absl::AnyInvocable<void(const absl::Status&)> then) {
  command.done = [self = shared_from_this(), method, then = std::move(then),
                  start = deps_.clock.MonotonicNow()](const absl::Status& status) mutable {
    self->deps_.recorder.RecordCall(method, status, self->deps_.clock.MonotonicNow() - start);
    then(status);
    self->OnAnswered();
  };
  deps_.executor.Submit(lane, std::move(command));
}

void SessionConversation::Refuse(const absl::Status& status) {
  End(status);
  OnAnswered();
}

}  // namespace weft
