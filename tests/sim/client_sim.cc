#include "tests/sim/client_sim.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft::sim {
namespace {

constexpr char kPool[] = "pools/p";
constexpr uint64_t kUnit = kExtentUnit.value();
constexpr uint64_t kLinesPerUnit = kUnit / kLineBytes;
constexpr absl::Duration kTouchPause = absl::Milliseconds(400);

std::string Resource(const std::string& segment) {
  return absl::StrCat(kPool, "/segments/", segment);
}

absl::Status Unreachable() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "no connection to weftd");
}

absl::Status FromFdError(const v1::FdError& error) {
  v1::Reason reason = v1::REASON_UNSPECIFIED;
  v1::Reason_Parse(error.reason(), &reason);
  return MakeError(static_cast<absl::StatusCode>(error.code()), reason, error.message());
}

// What a failure says about the segment.
OpResult ResultOf(const absl::Status& error) {
  switch (ReasonOf(error)) {
    case v1::SEGMENT_NOT_FOUND:
      return OpResult::kAbsent;
    case v1::ALREADY_EXISTS:
    case v1::HELD:
    case v1::IN_USE:
      return OpResult::kPresent;
    default:
      break;
  }
  const bool open = absl::IsUnavailable(error) || absl::IsDeadlineExceeded(error) ||
                    absl::IsInternal(error) || absl::IsCancelled(error) || absl::IsUnknown(error);
  return open ? OpResult::kUnknown : OpResult::kRefused;
}

}  // namespace

struct ClientSim::Call {
  Call(size_t op_in, absl::Duration deadline_in, std::function<double()> random)
      : op(op_in), deadline(deadline_in), policy(sdk::BackoffOptions{}, std::move(random)) {}

  size_t op;
  OpKind kind = OpKind::kGet;
  Method method = Method::kGetSegment;
  std::string request;
  absl::Duration deadline;
  sdk::RetryPolicy policy;
  int attempts = 0;
};

ClientSim::ClientSim(World& world, HostSim& host, History& history, ClientOptions options,
                     uint64_t number)
    : world_(world),
      host_(host),
      history_(history),
      options_(std::move(options)),
      number_(number),
      rng_(world.rng.Fork()) {}

ClientSim::~ClientSim() = default;

void ClientSim::After(absl::Duration pause, std::function<void()> task) {
  host_.After(pause, [alive = std::weak_ptr<int>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  });
}

void ClientSim::Start() {
  host_.Join(this);
  Connect();
  StepSoon();
  TouchNowAndThen();
}

// ---- The connection to weftd

void ClientSim::Connect() {
  connection_ = host_.Connect(this);
  if (connection_ == 0) {
    After(rng_.Between(absl::Milliseconds(10), absl::Milliseconds(300)), [this] { Connect(); });
    return;
  }
  v1::ClientMessage message;
  *message.mutable_hello() = handles_.MakeHello();
  SendRequest(std::move(message), [this](absl::StatusOr<v1::ServerMessage> reply, auto) {
    if (!reply.ok()) return;
    ticket_ = reply->welcome().ticket();
    for (const uint64_t stale : reply->welcome().stale()) {
      world_.Probe("handle stale after the daemon's restart");
      handles_.MarkGone(stale, "stale");
      if (mapped_.contains(stale)) mapped_.at(stale).told_to_let_go = true;
    }
    if (reply->welcome().stale_size() == 0 && !mapped_.empty()) {
      world_.Probe("handle adopted by the daemon's next run");
    }
  });
}

void ClientSim::SendRequest(v1::ClientMessage message, FdDone done) {
  if (connection_ == 0) {
    done(Unreachable(), {});
    return;
  }
  message.set_sequence(++last_sequence_);
  waiting_[last_sequence_] = std::move(done);
  host_.Send(connection_, message.SerializeAsString());
}

void ClientSim::OnPacket(const std::string& packet, const std::vector<HandleId>& handles) {
  v1::ServerMessage message;
  message.ParseFromString(packet);
  if (message.has_revoke()) {
    world_.Probe("revoke notice");
    handles_.MarkRevoking(message.revoke().handle_id(), message.revoke().detail());
    const auto mapped = mapped_.find(message.revoke().handle_id());
    if (mapped == mapped_.end()) return;
    mapped->second.told_to_let_go = true;
    if (!rng_.OneIn(3)) {  // else it does not listen
      After(rng_.Between(absl::ZeroDuration(), absl::Milliseconds(800)),
            [this, id = message.revoke().handle_id()] { CloseOne(id); });
    }
    return;
  }
  if (message.has_poison()) {
    world_.Probe("client told of bad memory");
    return;
  }
  const auto found = waiting_.find(message.sequence());
  if (found == waiting_.end()) {
    for (const HandleId handle : handles) host_.Release(handle);
    return;
  }
  FdDone done = std::move(found->second);
  waiting_.erase(found);
  if (message.has_error()) {
    done(FromFdError(message.error()), handles);
  } else {
    done(std::move(message), handles);
  }
}

void ClientSim::OnSocketClosed() {
  connection_ = 0;
  ticket_.clear();
  for (auto& [sequence, done] : std::exchange(waiting_, {})) done(Unreachable(), {});
  After(rng_.Between(absl::Milliseconds(5), absl::Milliseconds(100)), [this] { Connect(); });
}

void ClientSim::OnPowerOff() {
  alive_.reset();
  over_ = true;
}

// ---- Its end

void ClientSim::Die(bool child) {
  if (over_) return;
  world_.Log(host_.name(), ": client ", number_, " dies", child ? ", its child lives" : "");
  world_.Probe(child ? "client dies, a child has its mappings" : "client dies");
  End();
  for (const auto& [id, mapped] : mapped_) {
    if (child) {
      host_.After(rng_.Between(absl::ZeroDuration(), absl::Seconds(3)),
                  [&host = host_, handle = mapped.handle] { host.Release(handle); });
    } else {
      host_.Release(mapped.handle);
    }
  }
}

void ClientSim::End() {
  if (connection_ != 0) host_.Disconnect(std::exchange(connection_, 0));
  host_.Leave(this);
  alive_.reset();
  over_ = true;
}

void ClientSim::Finish() { finishing_ = true; }

// ---- What it does

void ClientSim::StepSoon() {
  const absl::Duration longest =
      finishing_ ? std::min(kTouchPause, options_.pause_max) : options_.pause_max;
  After(rng_.Between(absl::Milliseconds(1), longest), [this] { NextStep(); });
}

void ClientSim::TouchNowAndThen() {
  TouchMemory();
  After(rng_.Between(absl::Milliseconds(1), kTouchPause), [this] { TouchNowAndThen(); });
}

void ClientSim::NextStep() {
  if (finishing_ && !busy_ && mapped_.empty()) {
    End();
    return;
  }
  StepSoon();
  if (busy_ || (resting_ && !finishing_)) return;
  if (!mapped_.empty() && (finishing_ || rng_.OneIn(4))) {
    CloseOne(mapped_.begin()->first);
    return;
  }
  if (finishing_) return;
  const std::string& name = options_.segments[rng_.Below(options_.segments.size())];
  switch (rng_.Below(12)) {
    case 0:
    case 1:
    case 2:
      return Create(name);
    case 3:
      return Grow(name);
    case 4:
      return Get(name);
    case 5:
      return Delete(name);
    default:
      return Open(name);
  }
}

void ClientSim::TouchMemory() {
  for (auto& [id, mapped] : mapped_) {
    const uint64_t lines = host_.LinesOf(mapped.handle);
    if (lines == 0) continue;
    for (int i = 0; i < 3; ++i) {
      // The same few places in every unit, so that tenants meet.
      const uint64_t line = rng_.Below(lines / kLinesPerUnit) * kLinesPerUnit +
                            (rng_.Below(4) * 8191) % kLinesPerUnit;
      if (mapped.writable && rng_.OneIn(2)) {
        Line value{};
        const uint64_t stamp[3] = {mapped.segment_id, number_, ++stamps_};
        std::memcpy(value.data(), stamp, sizeof(stamp));
        host_.Store(mapped.handle, line, value);
        if (rng_.OneIn(4)) host_.Flush(mapped.handle, line);
      } else {
        host_.Load(mapped.handle, line);
      }
    }
  }
}

std::string ClientSim::NewRequestId() { return absl::StrCat("c", number_, "-", ++last_request_); }

void ClientSim::Create(const std::string& name) {
  v1::CreateSegmentRequest request;
  request.set_parent(kPool);
  request.set_segment_id(name);
  request.set_request_id(NewRequestId());
  v1::Segment& segment = *request.mutable_segment();
  segment.set_size_bytes((1 + rng_.Below(options_.max_units)) * kUnit);
  segment.set_sharing(static_cast<v1::SharingMode>(1 + rng_.Below(3)));
  if (rng_.OneIn(4)) segment.set_placement(v1::SPREAD);
  Op op{.kind = OpKind::kCreate, .segment = name, .wanted_bytes = segment.size_bytes()};
  Ask(std::move(op), Method::kCreateSegment, request.SerializeAsString());
}

void ClientSim::Grow(const std::string& name) {
  v1::GrowSegmentRequest request;
  request.set_name(Resource(name));
  request.set_request_id(NewRequestId());
  request.set_size_bytes((1 + rng_.Below(options_.max_units + 1)) * kUnit);
  Op op{.kind = OpKind::kGrow, .segment = name, .wanted_bytes = request.size_bytes()};
  Ask(std::move(op), Method::kGrowSegment, request.SerializeAsString());
}

void ClientSim::Get(const std::string& name) {
  v1::GetSegmentRequest request;
  request.set_name(Resource(name));
  Ask({.kind = OpKind::kGet, .segment = name}, Method::kGetSegment, request.SerializeAsString());
}

void ClientSim::Delete(const std::string& name) {
  v1::DeleteSegmentRequest request;
  request.set_name(Resource(name));
  request.set_request_id(NewRequestId());
  request.set_force(rng_.OneIn(2));
  Op op{.kind = OpKind::kDelete, .segment = name, .force = request.force()};
  Ask(std::move(op), Method::kDeleteSegment, request.SerializeAsString());
}

void ClientSim::Ask(Op op, Method method, std::string request) {
  busy_ = true;
  const OpKind kind = op.kind;
  auto call = std::make_shared<Call>(history_.Call(std::move(op)),
                                     world_.loop.now() + options_.call_timeout,
                                     [this] { return rng_.Fraction(); });
  call->kind = kind;
  call->method = method;
  call->request = std::move(request);
  Try(call);
}

// As SegmentClient and Session::Call.
void ClientSim::Try(const std::shared_ptr<Call>& call) {
  const absl::Duration left = call->deadline - world_.loop.now();
  if (left <= absl::ZeroDuration()) {
    Conclude(call, Unreachable());
    return;
  }
  if (ticket_.empty()) {  // waits for a connection
    After(absl::Milliseconds(20), [this, call] { Try(call); });
    return;
  }
  ++call->attempts;
  host_.Forward(ticket_, call->method, call->request, left, alive_,
                [this, call](const absl::StatusOr<std::string>& result) {
                  if (result.ok()) {
                    Conclude(call, result);
                    return;
                  }
                  absl::Status error = result.status();
                  if (ReasonOf(error) == v1::NO_IDENTITY) error = Unreachable();
                  Retry(call, error, [this, call] { Try(call); });
                });
}

void ClientSim::Retry(const std::shared_ptr<Call>& call, const absl::Status& error,
                      std::function<void()> again) {
  const absl::Duration left = call->deadline - world_.loop.now();
  const std::optional<absl::Duration> pause =
      call->policy.NextPause(error, std::max(left, absl::ZeroDuration()));
  if (!pause) {
    Conclude(call, error);
    return;
  }
  world_.Probe("call retried");
  After(*pause, std::move(again));
}

void ClientSim::Conclude(const std::shared_ptr<Call>& call,
                         const absl::StatusOr<std::string>& result) {
  busy_ = false;
  if (call->attempts > 1 || host_.network_duplicates()) history_.SetMayBeLate(call->op);
  if (!result.ok()) {
    world_.Log(host_.name(), ": client ", number_, " op ", call->op, ": ",
               v1::Reason_Name(ReasonOf(result.status())), " ",
               std::string(result.status().message()));
    history_.Return(call->op, ResultOf(result.status()));
    return;
  }
  v1::Segment segment;
  if (call->kind != OpKind::kDelete) segment.ParseFromString(*result);
  world_.Log(host_.name(), ": client ", number_, " op ", call->op, ": OK, segment ", segment.id());
  history_.Return(call->op, OpResult::kOk, segment.id(), segment.size_bytes());
}

// ---- Handles

void ClientSim::Open(const std::string& name) {
  busy_ = true;
  v1::OpenRequest request;
  request.set_segment(Resource(name));
  request.set_mode(rng_.OneIn(3) ? v1::READ_ONLY : v1::READ_WRITE);
  request.set_allow_poisoned(rng_.OneIn(4));
  auto call = std::make_shared<Call>(history_.Call({.kind = OpKind::kOpen, .segment = name}),
                                     world_.loop.now() + options_.call_timeout,
                                     [this] { return rng_.Fraction(); });
  call->kind = OpKind::kOpen;
  TryOpen(call, request);
}

// As Session::Open.
void ClientSim::TryOpen(const std::shared_ptr<Call>& call, const v1::OpenRequest& request) {
  if (call->deadline <= world_.loop.now()) {
    Conclude(call, Unreachable());
    return;
  }
  if (ticket_.empty()) {
    After(absl::Milliseconds(20), [this, call, request] { TryOpen(call, request); });
    return;
  }
  ++call->attempts;
  v1::ClientMessage message;
  *message.mutable_open() = request;
  SendRequest(std::move(message), [this, call, request](absl::StatusOr<v1::ServerMessage> reply,
                                                        const std::vector<HandleId>& handles) {
    if (!reply.ok()) {
      if (ReasonOf(reply.status()) == v1::POISONED) world_.Probe("open refused POISONED");
      Retry(call, reply.status(), [this, call, request] { TryOpen(call, request); });
      return;
    }
    const v1::OpenReply& open = reply->open();
    handles_.Add(open);
    mapped_[open.handle_id()] = {host_.Map(open, handles), open.segment().name(),
                                 open.segment().id(), open.mode() == v1::READ_WRITE, false};
    Conclude(call, open.segment().SerializeAsString());
  });
}

// As Handle::Close: first the mapping and the file, then weftd is told.
void ClientSim::CloseOne(uint64_t handle_id) {
  const auto mapped = mapped_.find(handle_id);
  if (mapped == mapped_.end()) return;
  host_.Release(mapped->second.handle);
  mapped_.erase(mapped);
  if (!handles_.Remove(handle_id) || ticket_.empty()) return;
  v1::ClientMessage message;
  message.mutable_close()->set_handle_id(handle_id);
  SendRequest(std::move(message), [](auto, auto) {});
}

}  // namespace weft::sim
