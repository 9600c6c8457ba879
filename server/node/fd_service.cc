#include "server/node/fd_service.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr absl::Duration kQuiet = absl::Seconds(1);

const char* OperationOf(const v1::ClientMessage& message) {
  switch (message.message_case()) {
    case v1::ClientMessage::kHello:
      return "hello";
    case v1::ClientMessage::kOpen:
      return "open";
    case v1::ClientMessage::kClose:
      return "close";
    case v1::ClientMessage::kRefresh:
      return "refresh";
    case v1::ClientMessage::MESSAGE_NOT_SET:
      break;
  }
  return "";
}

v1::FdError ToFdError(const absl::Status& status) {
  v1::FdError error;
  error.set_code(static_cast<int>(status.code()));
  error.set_message(std::string(status.message()));
  error.set_reason(v1::Reason_Name(ReasonOf(status)));
  return error;
}

}  // namespace

void FdService::OnConnected(ConnectionId connection, const PeerCredentials& peer) {
  if (inbox_.Connect(connection, peer)) return;
  const absl::Status status =
      MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                absl::StrCat("user ", peer.uid,
                             " has as many connections to weftd as it leaves to other users: end "
                             "some programs that use Weft"));
  metrics_.RecordClientCall("connect", status, absl::ZeroDuration());
  v1::ServerMessage refusal;
  *refusal.mutable_error() = ToFdError(status);
  server_.Send(connection, refusal.SerializeAsString(), {});
  server_.Close(connection);
}

void FdService::OnPacket(ConnectionId connection, std::string packet) {
  if (!inbox_.Add(connection, std::move(packet))) server_.Close(connection);
  Wake();
}

void FdService::OnClosed(ConnectionId connection) {
  inbox_.Close(connection);
  Wake();
}

void FdService::Wake() {
  if (!awake_.exchange(true)) executor_.Post([this] { TakeUp(); });
}

void FdService::TakeUp() {
  const std::optional<FdEvent> event = inbox_.Next();
  if (event) {
    Handle(*event);
    executor_.Post([this] { TakeUp(); });
    return;
  }
  awake_ = false;
  if (!inbox_.empty()) Wake();  // it came just now, and was told that the executor is awake
}

void FdService::Handle(const FdEvent& event) {
  if (!event.packet) {
    Forget(event.connection);
    return;
  }
  const auto [it, is_new] = clients_.try_emplace(event.connection);
  if (is_new) {
    it->second.peer = event.peer;
    it->second.principal = absl::StrCat("uid:", event.peer.uid, "@", options_.host_id);
    metrics_.SetClients(clients_.size());
  }
  Hear(event.connection, it->second, *event.packet);
}

void FdService::Forget(ConnectionId connection) {
  const auto it = clients_.find(connection);
  if (it == clients_.end()) return;  // it never said anything
  tickets_.Revoke(it->second.ticket);
  clients_.erase(it);
  metrics_.SetClients(clients_.size());
  keeper_->Disconnect(connection);
}

void FdService::Notify(ConnectionId connection, const v1::ServerMessage& notice) {
  server_.Send(connection, notice.SerializeAsString(), {});
}

void FdService::Hear(ConnectionId connection, Client& client, const std::string& packet) {
  v1::ClientMessage message;
  if (!message.ParseFromString(packet)) {
    Drop(connection, client, "sent garbage");
    return;
  }
  message.DiscardUnknownFields();  // a request is kept while it is under way
  Request request{connection, message.sequence(), OperationOf(message), clock_.BootNow(), ""};
  const bool greeted = !client.ticket.empty();
  if (request.sequence == 0 || request.operation.empty() || message.has_hello() == greeted ||
      client.unanswered >= options_.max_unanswered) {
    Drop(connection, client, "broke the protocol");
    return;
  }
  ++client.unanswered;
  if (message.has_open() || message.has_refresh()) {
    if (!acquires_.Take(client.principal)) {
      Answer(request,
             MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                       absl::StrCat(client.principal,
                                    " has as many segments being opened as it "
                                    "leaves to other users: try again")),
             {});
      return;
    }
    request.acquirer = client.principal;
  }
  Dispatch(request, client, std::move(message));
}

void FdService::Drop(ConnectionId connection, const Client& client, const char* why) {
  server_.Close(connection);
  const BootTime now = clock_.BootNow();
  if (now < quiet_until_) return;  // clients do not fill the log
  quiet_until_ = now + kQuiet;
  spdlog::warn("client_dropped principal={} pid={} why=\"{}\"", client.principal, client.peer.pid,
               why);
}

void FdService::Dispatch(const Request& request, Client& client, v1::ClientMessage message) {
  switch (message.message_case()) {
    case v1::ClientMessage::kHello:
      Greet(request, client, message.hello());
      break;
    case v1::ClientMessage::kOpen:
      keeper_->Open(request.connection, client.principal, std::move(*message.mutable_open()),
                    [this, request](absl::StatusOr<WithFiles<v1::OpenReply>> reply) {
                      v1::ServerMessage answer;
                      if (!reply.ok()) return Answer(request, reply.status(), answer);
                      *answer.mutable_open() = std::move(reply->message);
                      Answer(request, absl::OkStatus(), std::move(answer), std::move(reply->fds));
                    });
      break;
    case v1::ClientMessage::kRefresh:
      keeper_->Refresh(request.connection, client.principal, std::move(*message.mutable_refresh()),
                       [this, request](absl::StatusOr<WithFiles<v1::RefreshReply>> reply) {
                         v1::ServerMessage answer;
                         if (!reply.ok()) return Answer(request, reply.status(), answer);
                         *answer.mutable_refresh() = std::move(reply->message);
                         Answer(request, absl::OkStatus(), std::move(answer),
                                std::move(reply->fds));
                       });
      break;
    case v1::ClientMessage::kClose:
      keeper_->Close(request.connection, message.close().handle_id(), [this, request] {
        v1::ServerMessage answer;
        answer.mutable_close();
        Answer(request, absl::OkStatus(), std::move(answer));
      });
      break;
    case v1::ClientMessage::MESSAGE_NOT_SET:
      break;
  }
}

void FdService::Greet(const Request& request, Client& client, const v1::Hello& hello) {
  v1::ServerMessage answer;
  if (hello.protocol_version() > kFdProtocolVersion) {
    Answer(request,
           MakeError(absl::StatusCode::kFailedPrecondition, v1::VERSION_TOO_NEW,
                     absl::StrCat("the client speaks version ", hello.protocol_version(),
                                  " of the fd socket's protocol and this weftd only ",
                                  kFdProtocolVersion, ": upgrade weftd first")),
           answer);
    return;
  }
  client.ticket = tickets_.Issue({client.peer.uid, client.principal});
  v1::Welcome& welcome = *answer.mutable_welcome();
  welcome.set_ticket(client.ticket);
  welcome.set_host_id(options_.host_id);
  welcome.set_principal(client.principal);
  welcome.set_grpc_address(options_.grpc_address);
  for (const uint64_t id : keeper_->Adopt(request.connection, client.principal, hello.handles())) {
    welcome.add_stale(id);
  }
  Answer(request, absl::OkStatus(), std::move(answer));
}

void FdService::Answer(const Request& request, const absl::Status& status,
                       v1::ServerMessage message, std::vector<UniqueFd> fds) {
  metrics_.RecordClientCall(request.operation, status, clock_.BootNow() - request.arrived);
  if (!request.acquirer.empty()) acquires_.Return(request.acquirer);
  const auto it = clients_.find(request.connection);
  if (it == clients_.end()) {
    // It left without waiting: a handle made for it since is nobody's.
    keeper_->Disconnect(request.connection);
    return;
  }
  --it->second.unanswered;
  message.set_sequence(request.sequence);
  if (!status.ok()) *message.mutable_error() = ToFdError(status);
  server_.Send(request.connection, message.SerializeAsString(), std::move(fds));
}

}  // namespace weft
