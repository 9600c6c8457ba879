#include "server/node/fd_service.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

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
  unseen_[connection] = std::make_shared<std::atomic<size_t>>(0);
  executor_.Post([this, connection, peer] {
    Client& client = clients_[connection];
    client.peer = peer;
    client.principal = absl::StrCat("uid:", peer.uid, "@", options_.host_id);
    metrics_.SetClients(clients_.size());
  });
}

void FdService::OnPacket(ConnectionId connection, std::string packet) {
  const std::shared_ptr<std::atomic<size_t>> unseen = unseen_.at(connection);
  if (*unseen >= options_.max_unseen) {
    server_.Close(connection);
    return;
  }
  ++*unseen;
  executor_.Post([this, connection, unseen, packet = std::move(packet)] {
    --*unseen;
    Handle(connection, packet);
  });
}

void FdService::OnClosed(ConnectionId connection) {
  unseen_.erase(connection);
  executor_.Post([this, connection] {
    const auto it = clients_.find(connection);
    tickets_.Revoke(it->second.ticket);
    clients_.erase(it);
    metrics_.SetClients(clients_.size());
    keeper_->Disconnect(connection);
  });
}

void FdService::Notify(ConnectionId connection, const v1::ServerMessage& notice) {
  server_.Send(connection, notice.SerializeAsString(), {});
}

void FdService::Handle(ConnectionId connection, const std::string& packet) {
  Client& client = clients_.at(connection);
  v1::ClientMessage message;
  const bool parsed = message.ParseFromString(packet);
  const Request request{connection, message.sequence(), OperationOf(message), clock_.BootNow()};
  const bool greeted = !client.ticket.empty();
  if (!parsed || request.sequence == 0 || request.operation.empty() ||
      message.has_hello() == greeted || client.unanswered >= options_.max_unanswered) {
    spdlog::warn("client_dropped principal={} pid={} why=\"{}\"", client.principal, client.peer.pid,
                 parsed ? "broke the protocol" : "sent garbage");
    server_.Close(connection);
    return;
  }
  ++client.unanswered;
  Dispatch(request, client, std::move(message));
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
  for (const v1::HandleState& claim : hello.handles()) {
    if (!keeper_->Adopt(request.connection, claim)) welcome.add_stale(claim.handle_id());
  }
  Answer(request, absl::OkStatus(), std::move(answer));
}

void FdService::Answer(const Request& request, const absl::Status& status,
                       v1::ServerMessage message, std::vector<UniqueFd> fds) {
  metrics_.RecordClientCall(request.operation, status, clock_.BootNow() - request.arrived);
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
