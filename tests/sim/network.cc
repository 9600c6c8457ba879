#include "tests/sim/network.h"

#include <algorithm>

#include "server/core/errors.h"

namespace weft::sim {
namespace {

// How often a packet that cannot come through is tried again.
constexpr absl::Duration kRetransmit = absl::Milliseconds(200);
// After this long without a sign the connection is given up (gRPC's keepalive).
constexpr absl::Duration kGivenUpAfter = absl::Seconds(6);

absl::Status Broken() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "the connection broke");
}

}  // namespace

void Network::Send(const std::string& from, const std::string& to, std::function<void()> deliver,
                   const std::function<void()>& lost) {
  if (IsDark(from)) return;
  if (IsCut(from, to) || Drops()) {
    world_.Probe("message lost");
    lost();
    return;
  }
  Order& order = orders_[{from, to}];
  const uint64_t number = ++order.sent;
  const bool twice = faults.duplicate_one_in > 0 && rng_.OneIn(faults.duplicate_one_in);
  for (int copy = 0; copy < (twice ? 2 : 1); ++copy) {
    absl::Duration delay = Delay();
    if (faults.delay_one_in > 0 && rng_.OneIn(faults.delay_one_in)) {
      delay += rng_.Between(absl::ZeroDuration(), faults.long_delay_max);
      world_.Probe("message much delayed");
    }
    if (copy == 1) world_.Probe("message duplicated");
    ++on_the_way_;
    world_.loop.After(delay, [this, deliver, number, &order] {
      --on_the_way_;
      if (number < order.newest) world_.Probe("message overtaken");
      order.newest = std::max(order.newest, number);
      deliver();
    });
  }
}

void Wire::Attach(int side, End end) {
  sides_[side].end = std::move(end);
  sides_[side].open = true;
}

void Wire::Send(int side, std::string message) {
  if (sides_[side].open) Push(1 - side, {std::move(message)});
}

void Wire::Close(int side, const absl::Status& why) {
  if (!std::exchange(sides_[side].open, false)) return;
  sides_[side].inbox.clear();
  Push(1 - side, {"", true, why});
}

void Wire::Push(int to, Packet packet) {
  Side& side = sides_[to];
  if (network_.IsDark(sides_[1 - to].machine)) return;
  if (network_.Drops()) {
    network_.world().Probe("connection broken");
    packet = {"", true, Broken()};
    // The sender finds out by itself, some time later.
    network_.world().loop.After(network_.rng().Between(absl::Milliseconds(1), absl::Seconds(2)),
                                [self = shared_from_this(), to] { self->Break(1 - to, Broken()); });
  }
  packet.due = std::max(side.last_due, network_.world().loop.now() + network_.Delay());
  side.last_due = packet.due;
  side.inbox.push_back(std::move(packet));
  Poll(to);
}

void Wire::Poll(int number) {
  Side& side = sides_[number];
  if (side.polling || side.inbox.empty()) return;
  side.polling = true;
  absl::Duration when = std::max(side.inbox.front().due, network_.world().loop.now());
  if (side.stalled_since != absl::InfiniteDuration()) when += kRetransmit;
  network_.world().loop.At(when, [self = shared_from_this(), number] { self->Deliver(number); });
}

void Wire::Deliver(int number) {
  Side& side = sides_[number];
  side.polling = false;
  if (!side.open) {
    const bool asked = !side.inbox.empty() && !side.inbox.front().is_close;
    side.inbox.clear();
    if (asked && sides_[1 - number].open) Push(1 - number, {"", true, Broken()});
    return;
  }
  const absl::Duration now = network_.world().loop.now();
  if (network_.IsCut(sides_[1 - number].machine, side.machine)) {
    side.stalled_since = std::min(side.stalled_since, now);
    if (now - side.stalled_since > kGivenUpAfter) {
      side.inbox.clear();
      Break(0, Broken());
      Break(1, Broken());
      return;
    }
    Poll(number);
    return;
  }
  if (side.stalled_since != absl::InfiniteDuration())
    network_.world().Probe("stalled packet comes late");
  side.stalled_since = absl::InfiniteDuration();
  if (side.inbox.empty()) return;
  Packet packet = std::move(side.inbox.front());
  side.inbox.pop_front();
  Poll(number);
  if (packet.is_close) {
    Break(number, packet.why);
  } else {
    side.end.on_message(std::move(packet.bytes));
  }
}

void Wire::Break(int number, const absl::Status& why) {
  Side& side = sides_[number];
  if (!std::exchange(side.open, false)) return;
  side.inbox.clear();
  auto on_broken = std::move(side.end.on_broken);
  if (on_broken) on_broken(why);
}

}  // namespace weft::sim
