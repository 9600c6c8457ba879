#include "tests/sim/coordinator_sim.h"

#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/core/token_proto.h"
#include "server/rpc/session_conversation.h"
#include "server/rpc/status.h"
#include "tests/sim/coordinator_running.h"
#include "tests/sim/truth.h"

namespace weft::sim {

// One session's stream. Takes messages from the wire as gRPC's does. Lives until the process ends,
// which hangs up: the wire and the loop do not own it.
class CoordinatorSim::Conversation final : public SessionConversation {
 public:
  Conversation(Running& running, std::shared_ptr<Wire> wire)
      : SessionConversation({running.executor, running.machine.clock_, running.recorder},
                            running.registry, Peer()),
        running_(running),
        wire_(std::move(wire)) {}

  void Start() {
    wire_->Attach(1, {[this](std::string bytes) {
                        Post([this, bytes = std::move(bytes)] { OnBytes(bytes); });
                      },
                      [this](const absl::Status&) { Post([this] { OnBroken(); }); }});
  }
  // The wire says nothing more to this side.
  void HangUp() { wire_->Close(1, NobodyListens()); }

  void Send(v1::CoordinatorMessage message) override {
    if (ended_) return;
    running_.Say(
        [this, message = std::move(message)] {
          JudgeTokens(message);
          wire_->Send(1, message.SerializeAsString());
        },
        world().bugs.token_before_durable);
  }

  void End(const absl::Status& status) override {
    if (std::exchange(ended_, true)) return;
    if (!host().empty() && ReasonOf(status) == v1::STORE_FULL) {
      running_.machine.world_.Fail(0, "a session's stream ends since the store is full");
    }
    running_.machine.world_.Log(running_.machine.name_, ": ends the session of ", host(), ": ",
                                std::string(status.message()));
    running_.Say([this, status] { wire_->Close(1, OverGrpc(status)); });
    Leave();
  }

 private:
  static constexpr size_t kMaxCommands = 64;  // as SessionStream

  void Post(Loop::Task task) { running_.process.At(world().loop.now(), std::move(task)); }

  void OnBytes(const std::string& bytes) {
    v1::NodeMessage message;
    message.ParseFromString(bytes);
    inbox_.push_back(std::move(message));
    Pump();
  }

  void OnBroken() {
    ended_ = true;
    Leave();
  }

  void Pump() {
    while (!ended_ && !inbox_.empty() && commands_ < max_commands_) {
      v1::NodeMessage message = std::move(inbox_.front());
      inbox_.pop_front();
      ++commands_;
      if (world().logging()) {
        world().Log(running_.machine.name_, ": from \"", host(),
                    "\": ", message.ShortDebugString());
      }
      SpeakForHost(message);
      Take(std::move(message));
      running_.WakeSoon();
    }
  }
  void OnAnswered() override {
    --commands_;
    Pump();
    Leave();
  }
  void OnRegistered() override { max_commands_ = kMaxCommands; }

  // Once no command can come back to it.
  void Leave() {
    if (ended_ && commands_ == 0) registry().Detach(*this);
  }
  const World& world() const { return running_.machine.world_; }

  void JudgeTokens(const v1::CoordinatorMessage& message) {
    Truth& truth = running_.machine.truth_;
    for (const v1::Assignment& one : message.assignments().upserts()) {
      if (one.has_grant()) truth.OnTokenLeaves(FromProto(one.grant().grant().token()));
      if (one.has_scrub()) truth.OnTokenLeaves(FromProto(one.scrub().token()));
      if (one.has_copy()) truth.OnTokenLeaves(FromProto(one.copy().token()));
    }
    if (world().logging()) {
      world().Log(running_.machine.name_, ": to \"", host(), "\": ", message.ShortDebugString());
    }
  }

  // The planted bugs "no challenge": whatever was read, it is what should have been; and "trust
  // timer".
  void SpeakForHost(v1::NodeMessage& message) {
    if (world().bugs.trust_timer && message.has_register_()) {
      message.mutable_register_()->set_can_revoke(true);
    }
    if (!world().bugs.no_challenge || !message.has_exchange_result()) return;
    v1::ExchangeResult& result = *message.mutable_exchange_result();
    const std::string nonce = running_.machine.NonceOf(result.device());
    if (!nonce.empty()) result.set_nonce(nonce);
  }

  Running& running_;
  const std::shared_ptr<Wire> wire_;
  std::deque<v1::NodeMessage> inbox_;
  size_t commands_ = 0;
  size_t max_commands_ = 1;
  bool ended_ = false;
};

CoordinatorSim::Running::~Running() {
  for (const std::shared_ptr<Conversation>& each : conversations) each->HangUp();
}

CoordinatorSim::CoordinatorSim(World& world, Network& network, Disk& disk, Truth& truth,
                               SimAgents& agents, std::string name, CoreOptions options)
    : world_(world),
      network_(network),
      disk_(disk),
      truth_(truth),
      agents_(agents),
      name_(std::move(name)),
      options_(std::move(options)),
      clock_(world.loop,
             absl::Hours(1) + absl::Seconds(static_cast<int64_t>(world.rng.Below(100)))) {
  if (world.bugs.expire_early) clock_.SetRate(500'000);
}

CoordinatorSim::~CoordinatorSim() = default;

std::string CoordinatorSim::NonceOf(const std::string& device) const {
  const absl::StatusOr<DeviceId> id = ParseDeviceName(device);
  if (running_->loaded == nullptr || !id.ok()) return "";
  const auto found = running_->loaded->devices.find(*id);
  if (found == running_->loaded->devices.end() || !found->second.exchange) return "";
  const auto& bytes = found->second.exchange->nonce.bytes();
  return std::string(bytes.begin(), bytes.end());
}

void CoordinatorSim::Start() {
  if (running_ != nullptr) return;
  world_.Log(name_, ": starts");
  running_ = std::make_unique<Running>(*this, options_);
  const absl::Status loaded = running_->runner.Load();
  if (absl::IsDataLoss(loaded))
    world_.Fail(4, absl::StrCat("the store does not load: ", std::string(loaded.message())));
  running_->WakeSoon();
}

void CoordinatorSim::Kill() {
  if (running_ == nullptr) return;
  world_.Log(name_, ": killed");
  running_.reset();
}

void CoordinatorSim::Stop() {
  if (running_ != nullptr) running_->process.Stop();
}

void CoordinatorSim::Continue() {
  if (running_ != nullptr) running_->process.Continue();
}

bool CoordinatorSim::Accept(const std::shared_ptr<Wire>& wire) {
  if (running_ == nullptr) return false;
  running_->conversations.push_back(std::make_shared<Conversation>(*running_, wire));
  running_->conversations.back()->Start();
  return true;
}

}  // namespace weft::sim
