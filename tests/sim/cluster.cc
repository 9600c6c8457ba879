#include "tests/sim/cluster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/node/fake_signatures.h"
#include "server/node/format.h"
#include "tests/sim/linearizability.h"

namespace weft::sim {
namespace {

constexpr uint64_t kUnit = kExtentUnit.value();
constexpr uint64_t kLinesPerUnit = kUnit / kLineBytes;
// A whole run has some ten thousand.
constexpr uint64_t kMostTasksAtOneInstant = 100'000;

CoreOptions MakeCoreOptions(World& world, const SimAgents& agents, absl::Duration ttl) {
  CoreOptions options;
  options.session_ttl = ttl;
  options.version = "simulated";
  options.exchange_step_timeout = absl::Seconds(3);
  options.max_scrubs_per_host = 2;
  options.has_fence_agent = [&agents](const std::string& host) { return agents.Has(host); };
  options.random_uuid = [rng = std::make_shared<Rng>(world.rng.Fork())] { return NewUuid(*rng); };
  return options;
}

}  // namespace

Cluster::Cluster(World& world, const ClusterConfig& config)
    : world_(world),
      config_(config),
      rng_(world.rng.Fork()),
      session_ttl_(rng_.OneIn(3) ? absl::Seconds(10) : absl::Seconds(3)),
      client_pause_max_(rng_.OneIn(4) ? absl::Seconds(15) : absl::Milliseconds(400)),
      agents_(world, [this](const std::string& host) { CyclePower(HostOf(host)); }),
      network_(world),
      truth_(world,
             [this](const Memory& memory, uint64_t first, uint64_t last) {
               for (const auto& host : hosts_) {
                 if (host->HasDirty(memory, first, last)) return host->name();
               }
               return std::string();
             }),
      disk_(world, [this](const Transaction& transaction) {
        truth_.Apply(transaction);
        AgeCopies();
      }) {
  std::vector<std::string> names;
  const uint64_t hosts = 2 + rng_.Below(2);
  for (uint64_t i = 0; i < hosts; ++i) names.push_back(absl::StrCat("host-", i));
  for (const std::string& name : names) {
    if (config.fence_agents && !rng_.OneIn(4)) agents_.Add(name);
  }
  const CoreOptions options = MakeCoreOptions(world, agents_, session_ttl_);
  std::vector<CoordinatorSim*> coordinators;
  for (const char* name : {"coordinator-0", "coordinator-1"}) {
    coordinators_.push_back(
        std::make_unique<CoordinatorSim>(world, network_, disk_, truth_, agents_, name, options));
    coordinators.push_back(coordinators_.back().get());
  }
  for (const std::string& name : names) {
    const bool raw = config.raw_hosts && !rng_.OneIn(3);
    hosts_.push_back(std::make_unique<HostSim>(world, network_, truth_, coordinators, name,
                                               raw ? v1::DEVDAX : v1::KMOD));
  }
  AddDevices();
}

void Cluster::AddDevices() {
  const uint64_t devices = std::max<uint64_t>(1 + rng_.Below(2), config_.two_devices ? 2 : 1);
  for (uint64_t i = 0; i < devices; ++i) {
    PoolDevice device;
    const ByteCount size((5 + rng_.Below(5)) * kUnit);
    device.memory = std::make_shared<Memory>(
        ++last_memory_, size,
        [this](const Memory& memory, const Writer& writer, uint64_t first, uint64_t last) {
          truth_.OnWrite(memory, writer, first, last);
        });
    device.software_coherent = rng_.OneIn(2) && !config_.raw_hosts;
    devices_.push_back(std::move(device));
  }
}

HostSim& Cluster::HostOf(const std::string& name) {
  return **std::find_if(hosts_.begin(), hosts_.end(),
                        [&](const auto& host) { return host->name() == name; });
}

bool Cluster::all_hardware_coherent() const {
  return std::none_of(devices_.begin(), devices_.end(),
                      [](const PoolDevice& device) { return device.software_coherent; });
}

bool Cluster::any_lost() const {
  return std::any_of(devices_.begin(), devices_.end(),
                     [](const PoolDevice& device) { return device.lost; });
}

bool Cluster::IsOfPool(const Memory& memory) const {
  return std::any_of(devices_.begin(), devices_.end(), [&](const PoolDevice& device) {
    return device.memory->number() == memory.number();
  });
}

void Cluster::PlugIfMissing(HostSim& host, const std::string& name,
                            const std::shared_ptr<Memory>& memory, bool software_coherent) {
  const auto& plugged = host.hardware();
  const bool there = std::any_of(plugged.begin(), plugged.end(),
                                 [&](const auto& piece) { return piece.second.memory == memory; });
  if (!there) host.Plug(name, memory, software_coherent);
}

void Cluster::RestoreDevices() {
  for (const auto& host : hosts_) {
    if (any_lost() && host->backend() == v1::DEVDAX) host->PowerOff();
    for (const auto& [name, piece] : std::map(host->hardware())) {
      if (!IsOfPool(*piece.memory)) host->Unplug(name);
    }
    for (size_t i = 0; i < devices_.size(); ++i) {
      PlugIfMissing(*host, absl::StrCat("dax", i, ".7"), devices_[i].memory,
                    devices_[i].software_coherent);
    }
  }
}

CoordinatorSim* Cluster::Leader() {
  for (const auto& coordinator : coordinators_) {
    if (coordinator->running()) return coordinator.get();
  }
  return nullptr;
}

void Cluster::NowAndThen(absl::Duration pause_max, std::function<void()> fault) {
  world_.loop.After(rng_.Between(absl::Milliseconds(20), pause_max),
                    [this, pause_max, fault = std::move(fault)] {
                      if (faults_over_) return;
                      fault();
                      NowAndThen(pause_max, fault);
                    });
}

void Cluster::UndoAfter(absl::Duration pause, std::function<void()> undo) {
  auto shared = std::make_shared<std::function<void()>>(std::move(undo));
  undos_.push_back(shared);
  world_.loop.After(pause, [shared] {
    if (*shared) std::exchange(*shared, nullptr)();
  });
}

// ---- The beginning

void Cluster::Format(PoolDevice& device) {
  // What was in the memory before it became Weft's.
  for (uint64_t unit = 1; unit + 1 < device.memory->size().value() / kUnit; ++unit) {
    Line garbage;
    rng_.Fill(absl::MakeSpan(garbage));
    for (uint64_t i = 0; i < 4; ++i) {
      device.memory->Fill(unit * kLinesPerUnit + (i * 8191) % kLinesPerUnit, garbage);
    }
  }
  SimDax dax("factory");
  dax.Plug("dax0.0", device.memory, device.software_coherent);
  const absl::StatusOr<std::unique_ptr<Device>> opened = dax.Open(dax.List()->usable.at(0));
  FakeSignatureProbe probe;
  SimClock clock(world_.loop, absl::Hours(1));
  const absl::StatusOr<Label> label = FormatDevice(**opened, FormatOptions(), {clock, rng_, probe});
  WEFT_CHECK(label.ok(), std::string(label.status().message()));
  device.id = label->device;
  device.snapshot = device.memory->Clone(++last_memory_);
  truth_.SetMemory(device.id, device.memory);
}

void Cluster::SetUp() {
  for (PoolDevice& device : devices_) Format(device);
  for (const auto& host : hosts_) {
    for (size_t i = 0; i < devices_.size(); ++i) {
      host->Plug(absl::StrCat("dax", i, ".0"), devices_[i].memory, devices_[i].software_coherent);
    }
  }
  coordinators_[0]->Start();
  for (const auto& host : hosts_) host->PowerOn();
  CreatePoolWhenKnown();
  AwaitOrFail(absl::Seconds(60),
              [this] { return pool_created_ ? NotAttached() : "the pool is not created"; });
}

void Cluster::StartClient(HostSim& host) {
  if (!host.powered()) return;
  ClientOptions options;
  options.segments = {"a", "b", "c", "d"};
  options.pause_max = client_pause_max_;
  clients_.push_back(std::make_unique<ClientSim>(world_, host, history_, options, ++last_client_));
  clients_.back()->Start();
}

void Cluster::StartLoad() {
  for (const auto& host : hosts_) {
    const uint64_t clients = 1 + rng_.Below(2);
    for (uint64_t i = 0; i < clients; ++i) StartClient(*host);
  }
  // Others take the place of those that die.
  NowAndThen(absl::Seconds(4), [this] {
    for (const auto& host : hosts_) {
      const bool has_client = std::any_of(
          clients_.begin(), clients_.end(),
          [&](const auto& client) { return !client->over() && &client->host() == host.get(); });
      if (!has_client) StartClient(*host);
    }
  });
}

void Cluster::RunFor(absl::Duration time) {
  const absl::Duration end = world_.loop.now() + time;
  while (!world_.failed && world_.loop.RunOne(end)) {
    if (world_.loop.tasks_run_now() < kMostTasksAtOneInstant) continue;
    world_.Fail(0, "something is done again and again, and time stands still");
  }
}

// ---- The end

void Cluster::EndFaults() {
  world_.Log("the faults are over");
  faults_over_ = true;
  for (const auto& undo : undos_) {
    if (*undo) std::exchange(*undo, nullptr)();
  }
  network_.faults = LinkFaults();
  network_.HealAll();
  disk_.faults = Disk::Faults();
  disk_.cut_off = false;
  for (const auto& coordinator : coordinators_) coordinator->Continue();
  KeepLeader();
  RestoreDevices();
  agents_.faulty = false;
  for (const auto& host : hosts_) {
    host->PowerOn();
    host->Thaw(/*timers_first=*/true);
    host->ContinueDaemon();
    host->state_dir_faults = HostSim::StateDirFaults();
  }
}

void Cluster::KeepLeader() {
  if (Leader() == nullptr) coordinators_[0]->Start();
  world_.loop.After(absl::Seconds(1), [this] { KeepLeader(); });
}

void Cluster::AwaitOrFail(absl::Duration at_most,
                          const std::function<std::string()>& what_is_missing) {
  const absl::Duration end = world_.loop.now() + at_most;
  std::string missing = what_is_missing();
  while (!missing.empty() && !world_.failed) {
    if (world_.loop.now() >= end) {
      world_.Fail(0, absl::StrCat("after ", absl::FormatDuration(at_most), ": ", missing, ";",
                                  truth_.DescribeLeftovers()));
      return;
    }
    RunFor(absl::Milliseconds(500));
    missing = what_is_missing();
  }
}

std::string Cluster::NotAttached() const {
  for (const auto& host : hosts_) {
    for (const auto& [name, slot] : host->dax().slots()) {
      for (const PoolDevice& device : devices_) {
        if (device.memory != slot.memory || device.lost) continue;
        const auto it = truth_.attachments().find({device.id, host->name()});
        const bool attached = it != truth_.attachments().end() &&
                              it->second.attachment().state() == v1::ATTACHMENT_ATTACHED;
        if (!attached) return absl::StrCat(host->name(), " is not attached to its ", name);
      }
    }
  }
  return "";
}

std::string Cluster::NotResumed() const {
  for (const auto& host : hosts_) {
    for (const auto& [segment, token] : host->TakenBack()) {
      if (!truth_.IsHeld(segment, host->name(), token)) continue;
      return absl::StrCat(host->name(), " does not go on with segment ", segment.value());
    }
  }
  return "";
}

bool Cluster::AnyBad() const {
  return std::any_of(devices_.begin(), devices_.end(), [this](const PoolDevice& device) {
    return !device.lost && truth_.HasBad(device.id);
  });
}

std::string Cluster::NotReported() const {
  for (const PoolDevice& device : devices_) {
    if (device.lost) continue;
    for (const auto& host : hosts_) {
      for (const ByteRange& range : host->BadRangesOf(*device.memory)) {
        if (truth_.IsBad(device.id, range.offset.value() / kUnit)) continue;
        return absl::StrCat(host->name(), " has bad memory that is not recorded");
      }
    }
  }
  return "";
}

std::string Cluster::WhatIsLeft() const {
  for (const auto& client : clients_) {
    if (!client->over()) return "a client cannot finish";
  }
  if (truth_.grants() > 0) return "grants are left";
  for (const auto& host : hosts_) {
    if (!host->powered()) return absl::StrCat(host->name(), " has no power");
    const auto it = truth_.hosts().find(host->name());
    if (it == truth_.hosts().end() || it->second.host().state() != v1::HOST_ALIVE) {
      return absl::StrCat(host->name(), " is not alive");
    }
    if (host->grants_held() > 0) {
      return absl::StrCat(host->name(), "'s kernel still has segments");
    }
  }
  if (!any_lost() && truth_.scrubs() > 0) return "scrubs are left";
  const std::string not_reported = NotReported();
  return not_reported.empty() ? NotAttached() : not_reported;
}

void Cluster::Converge() {
  for (const auto& client : clients_) client->Rest();
  RunFor(absl::Seconds(1));
  AwaitOrFail(absl::Seconds(60), [this] { return NotResumed(); });
  for (const auto& client : clients_) client->Finish();
  // A request that was sent under a fault may come long after its sender gave it up, and is
  // then done like any other. What comes of the last of them is deleted below.
  AwaitOrFail(absl::Seconds(30),
              [this] { return network_.on_the_way() > 0 ? "messages are on their way" : ""; });
  RunFor(absl::Seconds(1));
  AwaitOrFail(absl::Seconds(120), [this] { return WhatIsLeft(); });
  if (world_.failed) return;
  DeleteAll();
  AwaitOrFail(absl::Seconds(60),
              [this] { return truth_.segments().empty() ? WhatIsLeft() : "segments are left"; });
  if (world_.failed) return;
  ClearAllPoison();
  AwaitOrFail(absl::Seconds(60),
              [this] { return AnyBad() ? "bad memory is not cleared" : WhatIsLeft(); });
  // What a cache kept too long would show now.
  for (const auto& host : hosts_) host->kmod().WriteBackAll();
}

void Cluster::JudgeHistory() {
  std::vector<Op> ops = history_.ops();
  for (Op& op : ops) op.id = truth_.OriginOf(SegmentId(op.id)).value();
  const Judgement judgement = Judge(ops);
  world_.Probe(kSearches, judgement.searches);
  world_.Probe(kSearchesGivenUp, judgement.given_up);
  if (!judgement.contradiction.empty()) world_.Fail(4, judgement.contradiction);
}

}  // namespace weft::sim
