#include "server/node/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/core/errors.h"

namespace weft {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);
// A coordinator that takes longer is no coordinator: there may be another.
constexpr absl::Duration kRegisterTimeout = absl::Seconds(3);

// Refusals that no waiting can change.
bool IsFinal(const absl::Status& status) {
  const v1::Reason reason = ReasonOf(status);
  return reason == v1::VERSION_TOO_NEW || reason == v1::BAD_NAME || reason == v1::BAD_ARGUMENT ||
         reason == v1::NOT_ALLOWED || reason == v1::NO_IDENTITY;
}

absl::Status Silent() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   "the coordinator takes messages and does not answer them");
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

Session::Session(Executor& executor, Clock& clock, Random& random, CoordinatorTransport& transport,
                 SessionObserver& observer, DeadMan* dead_man)
    : executor_(executor),
      clock_(clock),
      random_(random),
      transport_(transport),
      observer_(observer),
      lease_(dead_man),
      self_(std::make_shared<Session*>(this)) {}

Session::~Session() {
  *self_ = nullptr;
  stream_ = nullptr;
}

void Session::Send(v1::NodeMessage message) {
  if (registered_) stream_->Send(std::move(message));
}

void Session::Connect() {
  const uint64_t number = ++stream_number_;
  const auto post = [this, number](auto task) {
    executor_.Post([self = self_, number, task = std::move(task)]() mutable {
      if (*self != nullptr && (*self)->stream_number_ == number) task(**self);
    });
  };
  stream_ = transport_.Connect(
      [post](v1::CoordinatorMessage message) {
        post([message = std::move(message)](Session& session) { session.OnMessage(message); });
      },
      [post](absl::Status status) {
        post([status = std::move(status)](Session& session) { session.OnEnd(status); });
      });
  v1::NodeMessage message;
  *message.mutable_register_() = observer_.MakeRegister();
  message.mutable_register_()->set_protocol_version(kNodeProtocolVersion);
  register_sent_ = clock_.BootNow();
  stream_->Send(std::move(message));
  executor_.PostAt(register_sent_ + kRegisterTimeout, [self = self_, number] {
    if (*self == nullptr || (*self)->stream_number_ != number || (*self)->registered_) return;
    (*self)->Drop(Silent());
  });
}

void Session::Reregister() {
  if (!registered_) return;
  registered_ = false;
  stream_ = nullptr;
  lease_.ForgetUnconfirmed();
  observer_.OnDisconnected();
  Connect();
}

void Session::Drop(const absl::Status& why) {
  if (stream_ == nullptr) return;
  stream_ = nullptr;
  OnEnd(why);
}

void Session::OnMessage(const v1::CoordinatorMessage& message) {
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kRegistered:
      OnRegistered(message.registered());
      break;
    case v1::CoordinatorMessage::kRenewed:
      lease_.Confirm(message.renewed().sequence());
      ++renewals_;
      observer_.OnLeaseExtended(lease_.deadline());
      break;
    case v1::CoordinatorMessage::kAssignments:
      observer_.OnAssignments(message.assignments());
      break;
    case v1::CoordinatorMessage::kInventoryRequest:
      observer_.OnInventoryRequest(message.inventory_request());
      break;
    case v1::CoordinatorMessage::kResync:
      observer_.OnResync();
      break;
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      break;
  }
}

void Session::OnRegistered(const v1::Registered& registered) {
  if (registered.ttl_ms() == 0) {
    Drop(absl::InternalError("the coordinator gave a lease of no time"));
    return;
  }
  spdlog::info("registered session={} ttl_ms={} coordinator={} version={} continued={}",
               registered.session_id(), registered.ttl_ms(), transport_.address(),
               registered.coordinator_version(), registered.session_id() == session_id_);
  registered_ = true;
  failures_ = 0;
  session_id_ = registered.session_id();
  // Before the dead-man is armed for it: what waits for that may be of an earlier session.
  observer_.OnRegistered(registered);
  lease_.Begin(register_sent_, absl::Milliseconds(registered.ttl_ms()));
  observer_.OnLeaseExtended(lease_.deadline());
  if (std::exchange(expiry_told_, false)) WatchDeadline();
  executor_.PostAt(clock_.BootNow() + lease_.renew_interval(),
                   [self = self_, number = stream_number_] {
                     if (*self != nullptr) (*self)->Renew(number);
                   });
}

void Session::Renew(uint64_t stream_number) {
  if (stream_number != stream_number_ || !registered_) return;
  const BootTime now = clock_.BootNow();
  v1::NodeMessage message;
  *message.mutable_renew() = lease_.MakeRenew(now);
  stream_->Send(std::move(message));
  // Early enough to find another coordinator before the lease ends.
  executor_.PostAt(now + lease_.renew_interval() / 2,
                   [self = self_, stream_number, before = renewals_] {
                     if (*self != nullptr) (*self)->CheckRenewed(stream_number, before);
                   });
  executor_.PostAt(now + lease_.renew_interval(), [self = self_, stream_number] {
    if (*self != nullptr) (*self)->Renew(stream_number);
  });
}

void Session::CheckRenewed(uint64_t stream_number, uint64_t renewals_before) {
  if (stream_number != stream_number_ || renewals_ != renewals_before) return;
  Drop(Silent());
}

void Session::WatchDeadline() {
  if (clock_.BootNow() >= lease_.deadline()) {
    spdlog::error("lease_expired session={}", session_id_);
    expiry_told_ = true;
    observer_.OnLeaseExpired();
    if (registered_) Drop(Silent());
    return;
  }
  executor_.PostAt(lease_.deadline(), [self = self_] {
    if (*self != nullptr) (*self)->WatchDeadline();
  });
}

void Session::OnEnd(const absl::Status& status) {
  registered_ = false;
  stream_ = nullptr;
  ++stream_number_;
  lease_.ForgetUnconfirmed();
  observer_.OnDisconnected();
  if (IsFinal(status)) {
    observer_.OnRefused(status);
    return;
  }
  // It knows better.
  if (!LeaderOf(status).empty()) failures_ = 0;
  const absl::Duration pause = NextPause();
  spdlog::warn("disconnected coordinator={} reason={} error=\"{}\" retry_in={}",
               transport_.address(), v1::Reason_Name(ReasonOf(status)), Text(status),
               absl::FormatDuration(pause));
  executor_.PostAt(clock_.BootNow() + pause, [self = self_, number = stream_number_] {
    if (*self != nullptr && (*self)->stream_number_ == number) (*self)->Connect();
  });
}

// Doubles with each failure, and half of it is by chance: daemons that lost the same
// coordinator do not come back all at once.
absl::Duration Session::NextPause() {
  const absl::Duration longest =
      std::min(kLongestPause, kFirstPause * (int64_t{1} << std::min(failures_++, 10)));
  uint8_t dice = 0;
  random_.Fill(absl::MakeSpan(&dice, 1));
  return longest / 2 + longest / 2 * (dice / 255.0);
}

}  // namespace weft
