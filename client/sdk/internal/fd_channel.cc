#include "client/sdk/internal/fd_channel.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

absl::Status CannotReach(const std::string& socket_path, int error) {
  const absl::string_view advice = error == EACCES
                                       ? "this user may not connect to it"
                                       : "is weftd running, and is the path right (WEFT_SOCKET)?";
  return MakeError(
      absl::StatusCode::kUnavailable, v1::UNREACHABLE,
      absl::StrCat("cannot connect to ", socket_path, ": ", std::strerror(error), "; ", advice));
}

absl::Status Garbage(absl::string_view what) {
  return absl::InternalError(absl::StrCat("weftd sent ", what));
}

absl::Status StatusOf(const v1::FdError& error) {
  v1::Reason reason = v1::REASON_UNSPECIFIED;
  v1::Reason_Parse(error.reason(), &reason);
  if (error.code() <= 0 || error.code() > static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    return Garbage(absl::StrCat("an error without a code: ", error.message()));
  }
  return MakeError(static_cast<absl::StatusCode>(error.code()), reason, error.message());
}

absl::StatusOr<v1::ServerMessage> Parse(const Packet& packet) {
  v1::ServerMessage message;
  if (!message.ParseFromArray(packet.bytes.data(), static_cast<int>(packet.bytes.size()))) {
    return Garbage("a packet that cannot be parsed");
  }
  return message;
}

}  // namespace

absl::StatusOr<std::unique_ptr<FdChannel>> FdChannel::Dial(const std::string& socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof(address.sun_path)) {
    return CannotReach(socket_path, ENAMETOOLONG);
  }
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return CannotReach(socket_path, errno);
  if (connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    return CannotReach(socket_path, errno);
  }
  return std::unique_ptr<FdChannel>(new FdChannel(std::move(socket)));
}

absl::StatusOr<v1::Welcome> FdChannel::Greet(const v1::Hello& hello, Deadline deadline) {
  v1::ClientMessage request;
  {
    absl::MutexLock lock(&mu_);
    request.set_sequence(++last_sequence_);
  }
  *request.mutable_hello() = hello;
  absl::Status sent = SendPacket(socket_.get(), request.SerializeAsString(), deadline);
  std::string buffer;
  // If weftd does not want this connection, it said so before it closed it.
  const absl::StatusOr<Packet> packet = ReceivePacket(socket_.get(), buffer, deadline);
  if (!packet.ok()) return sent.ok() ? packet.status() : sent;
  const absl::StatusOr<v1::ServerMessage> message = Parse(*packet);
  if (!message.ok()) return message.status();
  const bool refused = message->sequence() == 0 && message->has_error();
  if (!refused && message->sequence() != request.sequence()) return Garbage("no reply to Hello");
  if (message->has_error()) return StatusOf(message->error());
  if (!message->has_welcome()) return Garbage("a reply to Hello that is no Welcome");
  return message->welcome();
}

absl::Status FdChannel::Run(Observer observer) {
  const absl::Status end = Read(observer);
  Shutdown();
  absl::MutexLock lock(&mu_);
  end_ = MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, std::string(end.message()));
  for (const auto& [sequence, waiter] : waiters_) {
    if (waiter == nullptr) continue;
    waiter->status = end_;
    waiter->done = true;
  }
  waiters_.clear();
  return end;
}

absl::Status FdChannel::Read(Observer observer) {
  std::string buffer;
  for (;;) {
    absl::StatusOr<Packet> packet = ReceivePacket(socket_.get(), buffer, Deadline::Never());
    if (!packet.ok()) return packet.status();
    absl::StatusOr<v1::ServerMessage> message = Parse(*packet);
    if (!message.ok()) return message.status();
    absl::Status dispatched =
        Dispatch(*std::move(message), std::move(packet->fds), packet->fds_lost, observer);
    if (!dispatched.ok()) return dispatched;
  }
}

absl::Status FdChannel::Dispatch(v1::ServerMessage message, std::vector<UniqueFd> fds,
                                 bool fds_lost, Observer observer) {
  if (message.sequence() == 0) {
    observer(message, /*awaited=*/false);
    return absl::OkStatus();
  }
  Waiter* waiter = nullptr;
  {
    absl::MutexLock lock(&mu_);
    const auto found = waiters_.find(message.sequence());
    if (found == waiters_.end()) return Garbage("a reply to nothing that was asked");
    waiter = found->second;
    waiters_.erase(found);
    if (waiter != nullptr) waiter->claimed = true;
  }
  observer(message, /*awaited=*/waiter != nullptr && !fds_lost);
  if (waiter == nullptr) return absl::OkStatus();
  absl::MutexLock lock(&mu_);
  if (message.has_error()) {
    waiter->status = StatusOf(message.error());
  } else if (fds_lost) {
    waiter->status = MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                               "this process has as many file descriptors as it may: close some, "
                               "or raise its limit (ulimit -n)");
  }
  waiter->reply = {std::move(message), std::move(fds)};
  waiter->done = true;
  return absl::OkStatus();
}

absl::StatusOr<FdChannel::Reply> FdChannel::Call(v1::ClientMessage request, Deadline deadline) {
  Waiter waiter;
  const absl::StatusOr<uint64_t> sequence = Enter(waiter, deadline);
  if (!sequence.ok()) return sequence.status();
  request.set_sequence(*sequence);
  if (absl::Status sent = SendPacket(socket_.get(), request.SerializeAsString(), deadline);
      !sent.ok()) {
    absl::MutexLock lock(&mu_);
    waiters_.erase(*sequence);
    return sent;
  }
  if (absl::Status status = AwaitReply(*sequence, waiter, deadline); !status.ok()) return status;
  return std::move(waiter.reply);
}

absl::StatusOr<uint64_t> FdChannel::Enter(Waiter& waiter, Deadline deadline) {
  absl::MutexLock lock(&mu_);
  if (!AwaitUntil(mu_, absl::Condition(this, &FdChannel::MayEnter), deadline)) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, v1::UNREACHABLE,
                     absl::StrCat("weftd leaves ", kMaxUnanswered, " requests unanswered"));
  }
  if (!end_.ok()) return end_;
  waiters_[++last_sequence_] = &waiter;
  return last_sequence_;
}

absl::Status FdChannel::AwaitReply(uint64_t sequence, Waiter& waiter, Deadline deadline) {
  absl::MutexLock lock(&mu_);
  if (!AwaitUntil(mu_, absl::Condition(&waiter.done), deadline)) {
    if (!waiter.claimed) {
      waiters_[sequence] = nullptr;
      return MakeError(absl::StatusCode::kDeadlineExceeded, v1::UNREACHABLE,
                       "weftd does not answer");
    }
    mu_.Await(absl::Condition(&waiter.done));
  }
  return waiter.status;
}

void FdChannel::Shutdown() { shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace weft::sdk
