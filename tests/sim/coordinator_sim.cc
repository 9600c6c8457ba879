#include "tests/sim/coordinator_sim.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/empty.pb.h"
#include "server/coordinator/command_runner.h"
#include "server/coordinator/executor.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/grants.h"
#include "server/core/names.h"
#include "server/core/pools.h"
#include "server/core/segments.h"
#include "server/core/sessions.h"
#include "server/rpc/calls.h"
#include "server/rpc/identity.h"
#include "server/rpc/session_conversation.h"
#include "server/rpc/session_registry.h"
#include "server/rpc/status.h"
#include "tests/sim/truth.h"

namespace weft::sim {
namespace {

// What a client is told of `status` at the other end of gRPC.
absl::Status OverGrpc(const absl::Status& status) { return FromGrpcStatus(ToGrpcStatus(status)); }

absl::Status NobodyListens() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "connection refused");
}

Token TokenOf(const v1::Token& token) { return {token.epoch(), token.counter()}; }

class NoRecorder final : public CallRecorder {
 public:
  void RecordCall(std::string_view, const absl::Status&, absl::Duration) override {}
};

}  // namespace

// The process: gone with all it knows when it is killed.
struct CoordinatorSim::Running final : public RunnerObserver {
  Running(CoordinatorSim& machine_in, CoreOptions options)
      : machine(machine_in),
        process(machine.world_.loop),
        store(machine.world_, machine.disk_),
        runner(machine.clock_, std::move(options), *this),
        executor(runner, machine.clock_) {
    runner.BeginTerm(store);
  }

  ~Running() override {
    for (const std::shared_ptr<Wire>& wire : wires) wire->Close(1, NobodyListens());
  }

  // Says something: when all that was committed until now is durable.
  void Say(Loop::Task task) {
    const bool too_early = machine.world_.bugs.acknowledge_before_commit;
    process.At(too_early ? machine.world_.loop.now() : machine.disk_.synced_at(), std::move(task));
  }

  // Has a round run soon: not before the last one's commit is over.
  void Wake(absl::Duration when) {
    when = std::max({when, machine.disk_.synced_at(), machine.world_.loop.now()});
    if (when >= next_round) return;
    next_round = when;
    process.At(when, [this, when] {
      if (when == next_round) Round();
    });
  }
  void WakeSoon() {
    Wake(machine.world_.loop.now() +
         machine.world_.rng.Between(absl::ZeroDuration(), absl::Milliseconds(1)));
  }

  void Round() {
    next_round = absl::InfiniteDuration();
    executor.RunRound();
    if (!runner.deposed().ok()) {
      machine.world_.Log(machine.name_, ": deposed");
      machine.world_.Probe("coordinator deposed");
      process.At(machine.world_.loop.now(), [this] { machine.Kill(); });
      return;
    }
    const MonotonicTime due = runner.NextDue();
    if (due == MonotonicTime::InfiniteFuture()) return;
    Wake(machine.clock_.ToLoop(BootTime(due.since_start())));
  }

  void Submit(Lane lane, Command command) {
    executor.Submit(lane, std::move(command));
    WakeSoon();
  }

  void OnLoaded(const State& state) override {
    machine.world_.Log(machine.name_, ": loaded revision ", state.cluster.revision());
    loaded = &state;
    registry.EndAll(MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                              "the coordinator has loaded its state; register again"));
  }
  void OnUnloaded(const absl::Status& cause) override {
    loaded = nullptr;
    machine.world_.Log(machine.name_, ": state dropped: ", std::string(cause.message()));
  }
  void OnCommitted(const State& state, const Changes& changes, uint64_t revision) override {
    registry.Deliver(state, changes, revision);
  }

  CoordinatorSim& machine;
  Process process;
  SimStore store;
  CommandRunner runner;
  CommandExecutor executor;
  NoRecorder recorder;
  SessionRegistry registry;
  const State* loaded = nullptr;
  // Of sessions, in their order; they break when the process dies.
  std::vector<std::shared_ptr<Wire>> wires;
  absl::Duration next_round = absl::InfiniteDuration();
};

// One session's stream. Takes messages from the wire as gRPC's does.
class CoordinatorSim::Conversation final : public SessionConversation {
 public:
  Conversation(Running& running, std::shared_ptr<Wire> wire)
      : SessionConversation({running.executor, running.machine.clock_, running.recorder},
                            running.registry, Peer()),
        running_(running),
        wire_(std::move(wire)) {}

  void Start() {
    running_.wires.push_back(wire_);
    auto self = std::static_pointer_cast<Conversation>(shared_from_this());
    wire_->Attach(1, {[self, &process = running_.process](std::string bytes) {
                        process.At(process.loop().now(),
                                   [self, bytes = std::move(bytes)] { self->OnBytes(bytes); });
                      },
                      [self, &process = running_.process](const absl::Status&) {
                        process.At(process.loop().now(), [self] { self->OnBroken(); });
                      }});
  }

  void Send(v1::CoordinatorMessage message) override {
    if (ended_) return;
    running_.Say([this, self = shared_from_this(), message = std::move(message)] {
      JudgeTokens(message);
      wire_->Send(1, message.SerializeAsString());
    });
  }

  void End(const absl::Status& status) override {
    if (std::exchange(ended_, true)) return;
    running_.machine.world_.Log(running_.machine.name_, ": ends the session of ", host(), ": ",
                                std::string(status.message()));
    running_.Say([this, self = shared_from_this(), status] { wire_->Close(1, OverGrpc(status)); });
    Leave();
  }

 private:
  static constexpr size_t kMaxCommands = 64;  // as SessionStream

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
      AnswerForHost(message);
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
    for (const v1::Assignment& one : message.assignments().upserts()) {
      if (one.has_grant()) {
        running_.machine.truth_.OnTokenLeaves(TokenOf(one.grant().grant().token()));
      }
      if (one.has_scrub()) running_.machine.truth_.OnTokenLeaves(TokenOf(one.scrub().token()));
    }
    if (world().logging()) {
      world().Log(running_.machine.name_, ": to \"", host(), "\": ", message.ShortDebugString());
    }
  }

  // The planted bug "no challenge": whatever was read, it is what should have been.
  void AnswerForHost(v1::NodeMessage& message) {
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

CoordinatorSim::CoordinatorSim(World& world, Network& network, Disk& disk, Truth& truth,
                               std::string name, CoreOptions options)
    : world_(world),
      network_(network),
      disk_(disk),
      truth_(truth),
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
  std::make_shared<Conversation>(*running_, wire)->Start();
  return true;
}

namespace {

// What a unary call is made of, kept until it is answered.
template <typename Request, typename Reply>
struct Call {
  Request request;
  Reply reply;
};

}  // namespace

void CoordinatorSim::Handle(const CallerClaims& claims, Method method, const std::string& bytes,
                            Answer answer) {
  if (running_ == nullptr) {
    answer(NobodyListens());
    return;
  }
  Running& running = *running_;
  const absl::StatusOr<Caller> caller =
      IdentifyCaller(Peer(), Claims{claims.host, claims.session, claims.principal});
  if (!caller.ok()) {
    answer(OverGrpc(caller.status()));
    return;
  }
  // `make_body(request, reply)` gives the call's body.
  const auto submit = [&]<typename Request, typename Reply>(CommandKind kind, Access access,
                                                            Call<Request, Reply>, auto make_body) {
    auto call = std::make_shared<Call<Request, Reply>>();
    call->request.ParseFromString(bytes);
    if (world_.logging()) {
      world_.Log(name_, ": call of \"", claims.host, "\": ", call->request.GetDescriptor()->name(),
                 " ", call->request.ShortDebugString());
    }
    if constexpr (requires { call->request.set_request_id(""); }) {
      if (world_.bugs.forget_request_id) call->request.clear_request_id();
    }
    auto done = [&running, call, answer](const absl::Status& status) {
      running.Say([call, answer, status] {
        answer(status.ok() ? absl::StatusOr<std::string>(call->reply.SerializeAsString())
                           : absl::StatusOr<std::string>(OverGrpc(status)));
      });
    };
    running.Submit(Lane::kRequest,
                   ToCommand(*caller, access, kind, make_body(&call->request, &call->reply), done));
  };
  const auto mutation = [&]<typename Request, typename Reply>(const char* name, Access access,
                                                              Call<Request, Reply> call, auto fn) {
    submit(CommandKind::kMutation, access, call,
           [&](auto* request, auto* reply) { return MutationBody(name, request, reply, fn); });
  };
  const auto read = [&]<typename Request, typename Reply>(Call<Request, Reply> call, auto fn) {
    submit(CommandKind::kConfirmed, Access::kEveryone, call,
           [&](auto* request, auto* reply) { return ReadBody(request, reply, fn); });
  };
  using google::protobuf::Empty;
  switch (method) {
    case Method::kCreatePool:
      mutation("CreatePool", Access::kAdmin, Call<v1::CreatePoolRequest, v1::Pool>(),
               [](State& s, const Context& c, const Caller&, const v1::CreatePoolRequest& r,
                  Changes& changes) { return CreatePool(s, c, r, changes); });
      break;
    case Method::kCreateSegment:
      mutation("CreateSegment", Access::kEveryone, Call<v1::CreateSegmentRequest, v1::Segment>(),
               [](State& s, const Context& c, const Caller&, const v1::CreateSegmentRequest& r,
                  Changes& changes) { return CreateSegment(s, c, r, changes); });
      break;
    case Method::kGetSegment:
      read(Call<v1::GetSegmentRequest, v1::Segment>(),
           [](const State& s, const Now&, const v1::GetSegmentRequest& r) {
             return GetSegment(s, r);
           });
      break;
    case Method::kGrowSegment:
      mutation("GrowSegment", Access::kEveryone, Call<v1::GrowSegmentRequest, v1::Segment>(),
               [](State& s, const Context& c, const Caller&, const v1::GrowSegmentRequest& r,
                  Changes& changes) { return GrowSegment(s, c, r, changes); });
      break;
    case Method::kDeleteSegment:
      mutation("DeleteSegment", Access::kEveryone, Call<v1::DeleteSegmentRequest, Empty>(),
               [](State& s, const Context& c, const Caller&, const v1::DeleteSegmentRequest& r,
                  Changes& changes) { return DeleteSegment(s, c, r, changes); });
      break;
    case Method::kAcquireGrant:
      mutation("AcquireGrant", Access::kDaemon,
               Call<v1::AcquireGrantRequest, v1::AcquireGrantResponse>(),
               [](State& s, const Context& c, const Caller& who, const v1::AcquireGrantRequest& r,
                  Changes& changes) { return AcquireGrant(s, c, who.host, r, changes); });
      break;
    case Method::kReleaseGrant:
      mutation("ReleaseGrant", Access::kDaemon, Call<v1::ReleaseGrantRequest, Empty>(),
               [](State& s, const Context& c, const Caller& who, const v1::ReleaseGrantRequest& r,
                  Changes& changes) { return ReleaseGrant(s, c, who.host, r, changes); });
      break;
    case Method::kGetDevice:
      read(Call<v1::GetDeviceRequest, v1::Device>(),
           [](const State& s, const Now&, const v1::GetDeviceRequest& r) {
             return GetDevice(s, r);
           });
      break;
    case Method::kListDevices:
      read(Call<v1::ListDevicesRequest, v1::ListDevicesResponse>(),
           [](const State& s, const Now&, const v1::ListDevicesRequest& r) {
             return ListDevices(s, r);
           });
      break;
  }
}

}  // namespace weft::sim
