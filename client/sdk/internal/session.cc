#include "client/sdk/internal/session.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/sdk/internal/convert.h"
#include "client/sdk/internal/random.h"
#include "server/core/check.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

constexpr char kDefaultSocketPath[] = "/run/weft/weftd.sock";

// `options`, with the path that is meant.
ClientOptions Resolved(ClientOptions options) {
  if (options.socket_path.empty()) {
    const char* const from_environment = std::getenv("WEFT_SOCKET");
    options.socket_path = from_environment != nullptr && *from_environment != '\0'
                              ? from_environment
                              : kDefaultSocketPath;
  }
  return options;
}

// gRPC ends the process when it is given other metadata.
bool IsMetadata(const std::string& ticket) {
  return !ticket.empty() && std::all_of(ticket.begin(), ticket.end(), [](char c) {
    return absl::ascii_isgraph(static_cast<unsigned char>(c));
  });
}

}  // namespace

absl::StatusOr<std::shared_ptr<Session>> Session::Start(const ClientOptions& options) {
  std::shared_ptr<Session> session(new Session(Resolved(options)), [](Session* s) {
    if (s->owner_ == getpid()) delete s;
  });
  absl::Status connected = session->FirstConnect(options.connect_timeout);
  if (!connected.ok()) return connected;
  session->reader_ = std::thread([s = session.get()] { s->Maintain(); });
  return session;
}

Session::Session(const ClientOptions& options) : owner_(getpid()), options_(options) {}

Session::~Session() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    if (connection_ != nullptr) connection_->channel->Shutdown();
    if (greeting_ != nullptr) greeting_->Shutdown();
  }
  if (reader_.joinable()) reader_.join();
}

absl::Status Session::CheckProcess() const {
  if (owner_ == getpid()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnauthenticated, v1::NO_IDENTITY,
                   "the connection to weftd belongs to the parent process: connect again "
                   "after fork");
}

absl::Status Session::FirstConnect(absl::Duration timeout) {
  const Deadline deadline = Deadline::After(timeout);
  RetryPolicy retry(BackoffOptions{}, RandomFraction);
  for (;;) {
    absl::Status status = Connect();
    if (status.ok()) return status;
    const std::optional<absl::Duration> pause = retry.NextPause(status, deadline.left());
    if (!pause.has_value()) return status;
    absl::MutexLock lock(&mu_);
    AwaitUntil(mu_, absl::Condition(&stopping_), Deadline::After(*pause));
  }
}

absl::Status Session::Connect() {
  absl::StatusOr<std::unique_ptr<FdChannel>> dialled = FdChannel::Dial(options_.socket_path);
  if (!dialled.ok()) return dialled.status();
  auto connection = std::make_unique<Connection>();
  connection->channel = *std::move(dialled);
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) return absl::CancelledError("the client is being destroyed");
    greeting_ = connection->channel;
  }
  const v1::Hello hello = handles_.MakeHello();
  absl::StatusOr<v1::Welcome> welcome =
      connection->channel->Greet(hello, Deadline::After(options_.call_timeout));
  {
    absl::MutexLock lock(&mu_);
    greeting_ = nullptr;
  }
  if (absl::IsDeadlineExceeded(welcome.status())) {
    return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                     absl::StrCat(options_.socket_path, ": weftd does not answer"));
  }
  if (!welcome.ok()) return Annotate(welcome.status(), options_.socket_path);
  if (!IsMetadata(welcome->ticket())) {
    return absl::InternalError("weftd sent a ticket that is not printable ASCII");
  }
  connection->welcome = *std::move(welcome);
  Publish(std::move(connection), hello);
  return absl::OkStatus();
}

void Session::Publish(std::unique_ptr<Connection> connection, const v1::Hello& hello) {
  for (const uint64_t id : connection->welcome.stale()) {
    const std::string detail = "its grant was gone when weftd came back";
    NotifyGone(id, handles_.MarkGone(id, detail), detail);
  }
  {
    absl::MutexLock lock(&mu_);
    connection->number = ++connections_;
    connection_ = std::move(connection);
    if (stopping_) connection_->channel->Shutdown();
  }
  // Closed since it was claimed.
  for (const v1::HandleState& claimed : hello.handles()) {
    if (!handles_.Contains(claimed.handle_id())) PostClose(claimed.handle_id());
  }
}

void Session::Maintain() {
  const BackoffOptions options;
  Backoff backoff(options, RandomFraction);
  do {
    // A weftd that welcomes and hangs up is not called without end.
    const Deadline settled = Deadline::After(options.max);
    const absl::Status end = current()->channel->Run(
        [this](const v1::ServerMessage& message, bool awaited) { Observe(message, awaited); });
    if (settled.passed()) backoff.Reset();
    absl::MutexLock lock(&mu_);
    connection_ = nullptr;
    last_error_ = end;
  } while (Reconnect(backoff));
}

bool Session::Reconnect(Backoff& backoff) {
  for (;;) {
    {
      absl::MutexLock lock(&mu_);
      const Deadline next = Deadline::After(backoff.Next());
      if (AwaitUntil(mu_, absl::Condition(&stopping_), next)) return false;
    }
    const absl::Status status = Connect();
    if (status.ok()) return true;
    absl::MutexLock lock(&mu_);
    last_error_ = status;
  }
}

std::shared_ptr<const Session::Connection> Session::current() const {
  absl::MutexLock lock(&mu_);
  return connection_;
}

bool Session::IsCurrent(const Connection& connection) const {
  const std::shared_ptr<const Connection> now = current();
  return now != nullptr && now->number == connection.number;
}

absl::StatusOr<std::shared_ptr<const Session::Connection>> Session::AwaitConnection(
    Deadline deadline) {
  absl::MutexLock lock(&mu_);
  AwaitUntil(mu_, absl::Condition(this, &Session::ConnectedOrStopping), deadline);
  if (connection_ == nullptr) {
    return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                     std::string(last_error_.message()));
  }
  return connection_;
}

absl::Status Session::Call(
    absl::FunctionRef<absl::Status(const Connection& connection, Deadline deadline)> attempt) {
  if (absl::Status process = CheckProcess(); !process.ok()) return process;
  const Deadline deadline = Deadline::After(options_.call_timeout);
  RetryPolicy retry(BackoffOptions{}, RandomFraction);
  for (;;) {
    const absl::StatusOr<std::shared_ptr<const Connection>> connection = AwaitConnection(deadline);
    absl::Status status = connection.ok() ? attempt(**connection, deadline) : connection.status();
    if (status.ok()) return status;
    const std::optional<absl::Duration> pause = retry.NextPause(status, deadline.left());
    if (!pause.has_value()) return status;
    absl::MutexLock lock(&mu_);
    AwaitUntil(mu_, absl::Condition(&stopping_), Deadline::After(*pause));
  }
}

absl::StatusOr<Session::Opened> Session::Open(const v1::OpenRequest& request) {
  v1::ClientMessage message;
  *message.mutable_open() = request;
  Opened opened;
  absl::Status status = Call([&](const Connection& connection, Deadline deadline) -> absl::Status {
    absl::StatusOr<FdChannel::Reply> reply = connection.channel->Call(message, deadline);
    if (!reply.ok()) return reply.status();
    if (!reply->message.has_open()) return absl::InternalError("weftd sent no reply to Open");
    opened = {std::move(*reply->message.mutable_open()), std::move(reply->fds)};
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return opened;
}

absl::StatusOr<FdChannel::Reply> Session::Refresh(const v1::RefreshRequest& request) {
  v1::ClientMessage message;
  *message.mutable_refresh() = request;
  FdChannel::Reply result;
  absl::Status status = Call([&](const Connection& connection, Deadline deadline) -> absl::Status {
    absl::StatusOr<FdChannel::Reply> reply = connection.channel->Call(message, deadline);
    if (!reply.ok()) return reply.status();
    if (!reply->message.has_refresh()) return absl::InternalError("weftd sent no reply to Refresh");
    result = *std::move(reply);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return result;
}

absl::Status Session::SendClose(const Connection& connection, uint64_t handle_id) const {
  v1::ClientMessage message;
  message.mutable_close()->set_handle_id(handle_id);
  const absl::Status status =
      connection.channel->Call(message, Deadline::After(options_.call_timeout)).status();
  // The handle ended with the connection: the next Hello does not name it.
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

absl::Status Session::Close(uint64_t handle_id) {
  if (!CheckProcess().ok() || !handles_.Remove(handle_id)) return absl::OkStatus();
  const std::shared_ptr<const Connection> connection = current();
  return connection == nullptr ? absl::OkStatus() : SendClose(*connection, handle_id);
}

void Session::CloseLater(uint64_t handle_id) {
  if (!CheckProcess().ok() || !handles_.Remove(handle_id)) return;
  PostClose(handle_id);
}

void Session::PostClose(uint64_t handle_id) {
  // On this connection or none: on a later one the id may be another handle's.
  std::shared_ptr<const Connection> connection = current();
  if (connection == nullptr) return;
  worker_.Post([this, connection = std::move(connection), handle_id] {
    // What weftd does not hear now it learns from the next Hello.
    SendClose(*connection, handle_id).IgnoreError();
  });
}

absl::Status Session::CheckLive(uint64_t handle_id) const {
  absl::Status process = CheckProcess();
  return process.ok() ? handles_.CheckLive(handle_id) : process;
}

void Session::Observe(const v1::ServerMessage& message, bool awaited) {
  if (message.has_open() && !message.has_error()) {
    if (awaited) {
      handles_.Add(message.open());
    } else {
      PostClose(message.open().handle_id());
    }
  } else if (message.has_revoke()) {
    const v1::RevokeNotice& revoke = message.revoke();
    const auto segment = handles_.MarkRevoking(revoke.handle_id(), revoke.detail());
    if (!segment.has_value()) return;
    Notify({.handle_id = revoke.handle_id(),
            .segment = *segment,
            .gone = false,
            .grace = absl::Milliseconds(revoke.grace_ms()),
            .detail = revoke.detail()});
  } else if (message.has_poison()) {
    NotifyOfPoison(message.poison());
  }
}

void Session::NotifyOfPoison(const v1::PoisonNotice& poison) {
  std::optional<std::string> segment = handles_.SegmentOf(poison.handle_id());
  if (!segment.has_value() || options_.on_poison == nullptr) return;
  PostNotice([this, notice = PoisonNotice{.handle_id = poison.handle_id(),
                                          .segment = *std::move(segment),
                                          .ranges = FromProto(poison.ranges())}] {
    options_.on_poison(notice);
  });
}

void Session::MarkStale(uint64_t handle_id, const std::string& detail) {
  NotifyGone(handle_id, handles_.MarkStale(handle_id, detail), detail);
}

void Session::NotifyGone(uint64_t handle_id, const std::optional<std::string>& segment,
                         const std::string& detail) {
  if (!segment.has_value()) return;
  Notify({.handle_id = handle_id,
          .segment = *segment,
          .gone = true,
          .grace = absl::ZeroDuration(),
          .detail = detail});
}

void Session::Notify(RevokeNotice notice) {
  if (options_.on_revoke == nullptr) return;
  PostNotice([this, notice = std::move(notice)] { options_.on_revoke(notice); });
}

void Session::PostNotice(std::function<void()> notice) {
  worker_.Post([this, notice = std::move(notice)] {
    {
      absl::MutexLock lock(&mu_);
      if (notices_stopped_) return;
      notifying_ = true;
    }
    notice();
    absl::MutexLock lock(&mu_);
    notifying_ = false;
  });
}

void Session::StopNotices() {
  if (!CheckProcess().ok()) return;
  WEFT_CHECK(!worker_.IsCurrentThread(), "on_revoke and on_poison must not destroy their Client");
  absl::MutexLock lock(&mu_);
  notices_stopped_ = true;
  mu_.Await(absl::Condition(this, &Session::NotNotifying));
}

}  // namespace weft::sdk
