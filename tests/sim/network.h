// The network between machines.

#ifndef WEFT_TESTS_SIM_NETWORK_H_
#define WEFT_TESTS_SIM_NETWORK_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "tests/sim/world.h"

namespace weft::sim {

// How one direction between two machines behaves.
struct LinkFaults {
  absl::Duration delay_min = absl::Microseconds(50);
  absl::Duration delay_max = absl::Microseconds(500);
  // Each in so many times, 0: never. A packet of a connection that is lost breaks it.
  uint64_t drop_one_in = 0;
  uint64_t duplicate_one_in = 0;
  // Takes up to this much longer, and others pass it (single messages only).
  uint64_t delay_one_in = 0;
  absl::Duration long_delay_max = absl::Seconds(3);
};

class Network {
 public:
  using Task = absl::AnyInvocable<void()>;

  explicit Network(World& world) : world_(world), rng_(world.rng.Fork()) {}

  LinkFaults faults;  // of all links

  // One way: nothing of `from` reaches `to`, until Heal.
  void Cut(const std::string& from, const std::string& to) { cut_.insert({from, to}); }
  void Heal(const std::string& from, const std::string& to) { cut_.erase({from, to}); }
  void HealAll() { cut_.clear(); }
  bool IsCut(const std::string& from, const std::string& to) const {
    return cut_.contains({from, to});
  }

  // The machine has no power: nothing comes from it, not even that a connection is over.
  void SetDark(const std::string& machine, bool dark) {
    if (dark) {
      dark_.insert(machine);
    } else {
      dark_.erase(machine);
    }
  }
  bool IsDark(const std::string& machine) const { return dark_.contains(machine); }

  // A message by itself: may be lost, come twice, and be overtaken. `lost` is called if it is
  // lost, but not if `from` has no power.
  void Send(const std::string& from, const std::string& to, std::function<void()> deliver,
            const std::function<void()>& lost);

  // Single messages that were sent and have not come yet.
  uint64_t on_the_way() const { return on_the_way_; }

  absl::Duration Delay() { return rng_.Between(faults.delay_min, faults.delay_max); }
  bool Drops() { return faults.drop_one_in > 0 && rng_.OneIn(faults.drop_one_in); }

  World& world() { return world_; }
  Rng& rng() { return rng_; }

 private:
  World& world_;
  Rng rng_;
  std::set<std::pair<std::string, std::string>> cut_;
  std::set<std::string> dark_;
  uint64_t on_the_way_ = 0;
  // Between two machines: how many messages were sent, and the newest of them that has come.
  struct Order {
    uint64_t sent = 0;
    uint64_t newest = 0;
  };
  std::map<std::pair<std::string, std::string>, Order> orders_;
};

// A connection between two machines: what one end sends comes to the other in order, or the
// connection breaks. While the way is cut nothing comes, and later all of it may.
class Wire : public std::enable_shared_from_this<Wire> {
 public:
  // Of one side. Both are called at most until Close of that side, or `on_broken`.
  struct End {
    absl::AnyInvocable<void(std::string)> on_message;
    // The other side has closed, or the connection broke.
    absl::AnyInvocable<void(absl::Status)> on_broken;
  };

  Wire(Network& network, std::string a, std::string b)
      : network_(network), sides_{Side{std::move(a)}, Side{std::move(b)}} {}

  // Side 0 is `a`. A side without an end hears nothing.
  void Attach(int side, End end);
  void Send(int side, std::string message);
  // The other side hears `why`, after what was sent before.
  void Close(int side, const absl::Status& why);
  // This side hears `why`: it ends here. The other side is not told.
  void Break(int side, const absl::Status& why);

 private:
  struct Packet {
    std::string bytes = {};
    bool is_close = false;
    absl::Status why = {};
    absl::Duration due = {};
  };
  struct Side {
    std::string machine;
    End end = {};
    bool open = false;
    std::deque<Packet> inbox = {};  // on the way to this side
    absl::Duration last_due = {};
    bool polling = false;
    absl::Duration stalled_since = absl::InfiniteDuration();
  };

  void Push(int to, Packet packet);
  void Poll(int side);
  void Deliver(int side);

  Network& network_;
  Side sides_[2];
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_NETWORK_H_
