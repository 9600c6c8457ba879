// Long sequences of random commands on a TestCluster, with all of CoreChecks after each.
// A failure names the seed.

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/core/core_checks.h"
#include "server/core/core_machines.h"
#include "server/core/core_test_util.h"
#include "server/core/drain.h"
#include "server/core/fencing.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/pools.h"
#include "server/core/quarantine.h"
#include "server/core/segments.h"
#include "server/core/sessions.h"

namespace weft {
namespace {

const uint64_t kUnit = kExtentUnit.value();
constexpr int kSteps = 600;
constexpr int kMaxDevices = 4;

CoreOptions Options() {
  CoreOptions options;
  options.max_events = 40;
  options.max_scrubs_per_host = 2;
  options.max_segment_extents = 12;
  options.max_allocation_extents = 6;
  options.max_copy_bytes = ByteCount(3 * kUnit);
  options.has_fence_agent = [](const std::string& host) { return host != "h3"; };
  return options;
}

class CoreProperties : public testing::TestWithParam<uint64_t> {
 protected:
  CoreProperties()
      : calm_(GetParam() % 4 < 2), cluster_(Options()), checks_(cluster_), rng_(GetParam()) {}

  // Some hosts and a pool, so that most commands find what they need.
  void SetUp() override;
  // Properties of nothing would hold, too.
  static void TearDownTestSuite() {
    EXPECT_GT(granted_, 10);
    EXPECT_GT(moved_, 2);
  }
  void Step();
  void CheckAll() {
    ForgetWhatWasTakenBack(cluster_.state(), machines_);
    CheckMapped(cluster_.state(), machines_, awaited_);
    checks_.Check(in_step_);
  }

  uint64_t Below(uint64_t bound) { return rng_() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  std::string AnyHost() { return absl::StrCat("h", Below(4)); }
  std::string AnyPool() { return absl::StrCat("pools/p", OneIn(2) ? 0 : Below(3)); }
  // Mostly one that there is.
  std::string AnySegment() {
    const auto& all = cluster_.state().segments;
    if (all.empty() || OneIn(4)) return absl::StrCat(AnyPool(), "/segments/s", Below(6));
    return std::next(all.begin(), static_cast<int>(Below(all.size())))->second.segment().name();
  }
  std::string AnyDevice() {
    if (cluster_.devices.empty() || OneIn(20)) return "devices/" + Uuid().ToString();
    return "devices/" + cluster_.devices[Below(cluster_.devices.size())].uuid();
  }

  template <typename Request, typename Command>
  auto Run(Command command, const Request& request) {
    return cluster_.Run([&](State& state, const Context& context, Changes& changes) {
      Context on = context;
      if (OneIn(2)) on.host = AnyHost();
      return command(state, on, request, changes);
    });
  }
  template <typename Request, typename Command>
  void RunFor(Command command, const std::string& name) {
    Request request;
    request.set_name(name);
    (void)Run(command, request);
  }
  void Report(const std::string& host, const v1::NodeMessage& message) {
    (void)cluster_.Report(host, message);
  }

  // The units of the first `bytes` of `extents`, in the memory that the host has.
  template <typename Tell>
  void ForUnits(const std::string& host, const google::protobuf::RepeatedPtrField<v1::Extent>& all,
                uint64_t bytes, Tell tell) {
    for (const v1::Extent& extent : all) {
      for (uint64_t at = 0; at < extent.length_bytes() && bytes > 0; at += kUnit, bytes -= kUnit) {
        // TestCluster's devices have their data behind one unit of label.
        tell(extent.device(), cluster_.memory_of[{host, extent.device()}],
             (extent.offset_bytes() + at) / kUnit - 1);
      }
    }
  }

  v1::DeviceInventory InventoryOf(const std::string& host);
  void RegisterSome();
  void ReportInventory();
  void MakePool();
  void CreateSome();
  void GrowSome();
  void DeleteSome();
  void AcquireSome();
  void ReleaseSome();
  void WorkSome();
  void LieSome();
  void ClearSome();
  void FenceSome();
  void DrainSome();
  void RunFenceAgents();
  uint64_t FenceOf(const std::string& host);
  void StopMachine(const std::string& host);
  void LetTimePass();
  void ChangeHardware();
  void BackUpOrRestore();

  // Hardware seldom fails: commands get further than to errors.
  const bool calm_;
  TestCluster cluster_;
  CoreChecks checks_;
  std::mt19937_64 rng_;
  Machines machines_;
  std::set<std::string> in_step_;
  std::map<std::string, std::string> backup_;
  // Hosts that the coordinator has not heard of since it was restored.
  std::set<std::string> awaited_;
  // By all seeds.
  static int granted_;
  static int moved_;
};

int CoreProperties::granted_ = 0;
int CoreProperties::moved_ = 0;

void CoreProperties::SetUp() {
  for (int i = 1; i < kMaxDevices; ++i) {
    cluster_.AddDevice(2 * (8 + Below(12)), OneIn(3) ? v1::SOFTWARE : v1::HARDWARE);
  }
  for (int i = 0; i < 12; ++i) RegisterSome();
  v1::CreatePoolRequest request;
  request.set_pool_id("p0");
  request.mutable_pool()->set_fencing(OneIn(2) ? v1::LEASE : v1::AGENT);
  for (size_t i = 0; i < (calm_ ? 3 : 2); ++i)
    request.add_devices("devices/" + cluster_.devices[i].uuid());
  ASSERT_TRUE(Run(CreatePool, request).ok());
  CheckAll();
  for (int i = 0; i < 60; ++i) WorkSome();
}

v1::DeviceInventory CoreProperties::InventoryOf(const std::string& host) {
  const uint64_t rarity = calm_ ? 40 : 1;
  v1::DeviceInventory inventory;
  for (const v1::LocalDevice& device : cluster_.devices) {
    if (machines_[host].missing.contains(device.uuid())) continue;
    v1::LocalDevice& local = *inventory.add_devices() = device;
    if (OneIn(30 * rarity)) local.set_pool_uuid("");
    if (OneIn(30 * rarity)) local.set_path("/dev/dax9.9");
    if (OneIn(60 * rarity)) local.set_capacity_bytes(local.capacity_bytes() + kUnit);
    if (OneIn(200 * rarity)) local.set_power_epoch(local.power_epoch() + 1);
    if (OneIn(25 * rarity)) {
      local.add_bad_ranges()->set_offset_bytes(4096 * Below(local.capacity_bytes() / 4096));
      local.mutable_bad_ranges(0)->set_length_bytes(4096);
    }
    local.set_numa_distance(static_cast<uint32_t>(10 * Below(4)));
  }
  return inventory;
}

void CoreProperties::RegisterSome() {
  const std::string host = AnyHost();
  Machine next = machines_[host];
  const uint64_t rarity = calm_ ? 8 : 1;
  if (OneIn(4 * rarity)) {
    ++next.boot;
    next.mapped.clear();
    next.unrevocable.clear();
  } else if (OneIn(2 * rarity)) {
    ++next.instance;
  }
  const auto memory_before = cluster_.memory_of;
  const bool is_new =
      next.boot != machines_[host].boot || next.instance != machines_[host].instance;
  if (is_new) {
    next.can_revoke = OneIn(2);
    for (const v1::LocalDevice& device : cluster_.devices) {
      // Another file behind the same name: an old copy, or one that was just made.
      int& memory = cluster_.memory_of[{host, "devices/" + device.uuid()}];
      memory = !calm_ && OneIn(8) ? 1 : 0;
    }
  }
  v1::Register request = cluster_.RegisterRequest(host, next.boot, next.instance);
  request.set_can_revoke(next.can_revoke);
  request.set_revoke_bound_ms(static_cast<uint32_t>(1000 * Below(3)));
  *request.mutable_devices() = InventoryOf(host);
  std::set<uint64_t> held;
  const bool had_session = IsAlive(cluster_.state(), host);
  for (const auto& [segment, mapping] : next.mapped) {
    // What is a stray is let go of by not listing it, within a session too.
    const bool is_stray = cluster_.state().strays.contains({SegmentId(segment), host});
    if (OneIn(5) && !(is_stray && had_session)) continue;
    held.insert(segment);
    v1::HeldGrant& one = *request.add_held();
    one.set_segment_id(segment);
    *one.mutable_token() = mapping.token;
    one.set_mode(mapping.mode);
    for (const Extent& at : next.extents[segment]) *one.add_runs()->add_extents() = ToProto(at);
  }
  if (!cluster_.TryRegister(request).ok()) {
    cluster_.memory_of = memory_before;
    return;
  }
  // Within a session the host says what it let go of by releasing it, only after its end by
  // not listing it.
  if (!had_session) {
    std::erase_if(next.mapped, [&](const auto& entry) { return !held.contains(entry.first); });
  }
  machines_[host] = std::move(next);
  awaited_.erase(host);
  in_step_.insert(host);
  if (!awaited_.empty()) cluster_.TickAll();  // which ends recoveries
}

void CoreProperties::ReportInventory() {
  const std::string host = AnyHost();
  std::set<std::string>& missing = machines_[host].missing;
  for (const v1::LocalDevice& device : cluster_.devices) {
    if (!OneIn(calm_ && !missing.contains(device.uuid()) ? 60 : 4)) continue;
    if (!missing.erase(device.uuid())) missing.insert(device.uuid());
  }
  v1::NodeMessage message;
  *message.mutable_devices() = InventoryOf(host);
  Report(host, message);
}

void CoreProperties::MakePool() {
  if (OneIn(8)) {
    v1::DeletePoolRequest request;
    request.set_name(AnyPool());
    (void)Run(DeletePool, request);
  } else if (OneIn(2)) {
    v1::AddDeviceRequest request;
    request.set_pool(AnyPool());
    request.set_device(AnyDevice());
    (void)Run(AddDevice, request);
  } else {
    v1::CreatePoolRequest request;
    request.set_pool_id(AnyPool().substr(6));
    request.mutable_pool()->set_default_placement(static_cast<v1::Placement>(Below(6)));
    request.mutable_pool()->set_fencing(static_cast<v1::FencingPolicy>(Below(4)));
    for (uint64_t n = Below(3); n > 0; --n) request.add_devices(AnyDevice());
    (void)Run(CreatePool, request);
  }
}

void CoreProperties::CreateSome() {
  v1::CreateSegmentRequest request;
  request.set_parent(AnyPool());
  request.set_segment_id(absl::StrCat("s", Below(6)));
  v1::Segment& segment = *request.mutable_segment();
  segment.set_size_bytes(kUnit * Below(10) + (OneIn(20) ? 1 : 0));
  if (OneIn(50)) segment.set_size_bytes(uint64_t{1} << 63);
  segment.set_sharing(static_cast<v1::SharingMode>(Below(5)));
  segment.set_placement(static_cast<v1::Placement>(Below(6)));
  if (segment.placement() == v1::STRIPED) {
    segment.set_stripe_devices(static_cast<uint32_t>(2 + Below(2)));
    segment.set_chunk_bytes(kUnit);
    if (OneIn(2)) segment.set_size_bytes(segment.stripe_devices() * kUnit * (1 + Below(4)));
  } else if (OneIn(3)) {
    segment.set_size_bytes(0);
    for (uint64_t n = 1 + Below(3); n > 0; --n) {
      v1::Extent& extent = *request.add_extents();
      extent.set_device(AnyDevice());
      extent.set_offset_bytes(kUnit * Below(16));
      extent.set_length_bytes(OneIn(30) ? ~uint64_t{0} : kUnit * (1 + Below(3)));
      segment.set_size_bytes(segment.size_bytes() + extent.length_bytes());
    }
  }
  (void)Run(CreateSegment, request);
}

void CoreProperties::GrowSome() {
  v1::GrowSegmentRequest request;
  request.set_name(AnySegment());
  request.set_size_bytes(kUnit * Below(16));
  (void)Run(GrowSegment, request);
}

void CoreProperties::DeleteSome() {
  v1::DeleteSegmentRequest request;
  request.set_name(absl::StrCat(AnyPool(), "/segments/s", Below(6)));
  request.set_force(OneIn(2));
  (void)Run(DeleteSegment, request);
}

void CoreProperties::AcquireSome() {
  // What a backup knows of is to change hands before it is restored.
  if (!backup_.empty() && OneIn(2)) ReleaseSome();
  const std::string host = AnyHost();
  const auto acquired = cluster_.Acquire(host, AnySegment(), static_cast<v1::AccessMode>(Below(4)));
  if (!acquired.ok()) return;
  ++granted_;
  Machine& machine = machines_[host];
  const uint64_t segment = acquired->grant().segment_id();
  const PoolState& pool = **FindPool(
      cluster_.state(), FormatPoolName(ParseSegmentName(acquired->segment().name())->pool));
  const bool trusted = machine.can_revoke && pool.record.pool().fencing() == v1::LEASE;
  if (!machine.mapped.contains(segment) && !trusted) machine.unrevocable.insert(segment);
  // A reply that is lost on the way leaves the host with the token it had.
  machine.extents[segment] = ExtentsOf(acquired->segment());
  if (!machine.mapped.contains(segment) || OneIn(2)) {
    machine.mapped[segment] = {acquired->grant().token(), acquired->grant().mode()};
  }
}

void CoreProperties::ReleaseSome() {
  const State& state = cluster_.state();
  const bool stray = !state.strays.empty() && OneIn(4);
  if (!stray && state.grants.empty()) return;
  const auto any = [&](const auto& table) {
    return std::next(table.begin(), static_cast<int>(Below(table.size())))->second.grant();
  };
  v1::Grant grant = stray ? any(state.strays) : any(state.grants);
  const std::string host = *ParseHostName(grant.host());
  const bool stale = OneIn(4);
  if (stale) grant.mutable_token()->set_counter(grant.token().counter() - 1);
  if (!cluster_.Release(host, grant).ok() || stale) return;
  machines_[host].mapped.erase(grant.segment_id());
}

void CoreProperties::WorkSome() {
  for (int i = 0; i < 3; ++i) {
    const std::string host = AnyHost();
    const auto& assigned = cluster_.assigned[host];
    if (!in_step_.contains(host) || assigned.empty()) continue;
    const v1::Assignment work =
        std::next(assigned.begin(), static_cast<int>(Below(assigned.size())))->second;
    v1::NodeMessage report;
    if (!cluster_.Work(host, work, report)) continue;
    if (work.has_scrub()) {
      v1::ScrubProgress& progress = *report.mutable_scrub_progress();
      progress.set_done_bytes(std::min(progress.done_bytes(), kUnit * (1 + Below(12))));
      ForUnits(host, work.scrub().extents(), progress.done_bytes(),
               [&](const auto&... unit) { checks_.Zeroed(unit...); });
    }
    if (work.has_copy()) {
      v1::CopyProgress& progress = *report.mutable_copy_progress();
      progress.set_done_bytes(std::min(progress.done_bytes(), kUnit * (1 + Below(4))));
      if (OneIn(12)) progress.set_error("bad memory");
      ForUnits(host, work.copy().to(), progress.done_bytes(),
               [&](const auto&... unit) { checks_.Copied(unit...); });
    }
    if (work.has_exchange() && OneIn(20)) report.mutable_exchange_result()->set_error("EIO");
    Report(host, report);
    CheckAll();
  }
}

// Reports of what was not assigned, or not done.
void CoreProperties::LieSome() {
  v1::NodeMessage message;
  const State& state = cluster_.state();
  switch (Below(5)) {
    case 4: {
      v1::CopyProgress& progress = *message.mutable_copy_progress();
      progress.set_id(Below(state.cluster.last_scrub_id() + 2));
      progress.mutable_token()->set_epoch(1);
      progress.set_done_bytes(OneIn(2) ? ~uint64_t{0} : kUnit);
      break;
    }
    case 0: {
      v1::ScrubProgress& progress = *message.mutable_scrub_progress();
      progress.set_scrub_id(Below(state.cluster.last_scrub_id() + 2));
      progress.mutable_token()->set_epoch(1);
      progress.set_done_bytes(OneIn(2) ? ~uint64_t{0} : kUnit);
      break;
    }
    case 1: {
      v1::ExchangeResult& result = *message.mutable_exchange_result();
      result.set_device(AnyDevice());
      result.set_step_id(Below(state.cluster.last_exchange_step_id() + 1));
      result.set_nonce("short");
      break;
    }
    case 2:
      message.mutable_label_written()->set_device(AnyDevice());
      message.mutable_label_written()->set_pool_uuid(Uuid().ToString());
      break;
    default:
      message.mutable_device_refused()->set_device(AnyDevice());
      break;
  }
  Report(AnyHost(), message);
}

void CoreProperties::FenceSome() {
  const std::string host = AnyHost();
  v1::FenceHostRequest request;
  request.set_name("hosts/" + host);
  request.set_force(OneIn(4));
  request.set_confirm_powered_off(OneIn(3));
  // An operator confirms what is so.
  if (request.confirm_powered_off() && !IsAlive(cluster_.state(), host)) StopMachine(host);
  const bool was_alive = IsAlive(cluster_.state(), host);
  if (!Run(FenceHost, request).ok() || !was_alive) return;
  // Its lease still runs: nothing is taken back yet.
  for (const auto& [segment, mapping] : machines_[host].mapped) {
    machines_[host].unrevocable.insert(segment);
  }
}

void CoreProperties::DrainSome() {
  switch (calm_ && !OneIn(4) ? 3 + Below(2) : Below(6)) {
    case 0:
      return RunFor<v1::DrainHostRequest>(DrainHost, "hosts/" + AnyHost());
    case 1:
    case 2:
      return RunFor<v1::UndrainHostRequest>(UndrainHost, "hosts/" + AnyHost());
    case 3: {
      v1::DrainDeviceRequest request;
      request.set_name(AnyDevice());
      request.set_revoke(OneIn(2));
      return void(Run(DrainDevice, request));
    }
    case 4:
      return RunFor<v1::UndrainDeviceRequest>(UndrainDevice, AnyDevice());
    default:
      return RunFor<v1::RemoveDeviceRequest>(RemoveDevice, AnyDevice());
  }
}

void CoreProperties::RunFenceAgents() {
  const std::vector<FenceOrder> orders = FenceOrders(cluster_.state());
  if (orders.empty()) return;
  FenceOrder order = orders[Below(orders.size())];
  // An agent that an earlier leader started, or that another fence was for.
  if (OneIn(4)) order.fence_id = 1 + Below(order.fence_id);
  const std::string failure = OneIn(3) ? "no route" : "";
  if (failure.empty() && order.fence_id == FenceOf(order.host)) StopMachine(order.host);
  (void)cluster_.Run([&](State& state, const Context& context, Changes& changes) {
    TakeFenceResult(state, context, order, failure, changes);
    return absl::OkStatus();
  });
}

uint64_t CoreProperties::FenceOf(const std::string& host) {
  return cluster_.state().hosts.at(host).record.host().fence().id();
}

void CoreProperties::StopMachine(const std::string& host) {
  machines_[host].mapped.clear();
  machines_[host].unrevocable.clear();
  awaited_.erase(host);
}

void CoreProperties::ClearSome() {
  v1::ClearPoisonRequest request;
  request.set_name(AnyDevice());
  if (OneIn(3)) {
    request.add_ranges()->set_offset_bytes(kUnit * Below(8));
    request.mutable_ranges(0)->set_length_bytes(kUnit * (1 + Below(4)));
  }
  (void)Run(ClearPoison, request);
}

void CoreProperties::BackUpOrRestore() {
  if (backup_.empty()) {
    backup_ = cluster_.store;
    return;
  }
  // Of most interest is a host that has something mapped.
  const bool mapped = std::any_of(machines_.begin(), machines_.end(),
                                  [](const auto& entry) { return !entry.second.mapped.empty(); });
  if (!mapped && !OneIn(8)) return;
  cluster_.Restore(std::exchange(backup_, {}));
  checks_.Restored();
  in_step_.clear();
  awaited_.clear();
  for (const auto& [host, machine] : machines_) awaited_.insert(host);
  // What docs/operations.md asks for: hosts that came to a device since the backup are off.
  const auto knows = [&](const std::string& host, const DeviceId& id) {
    const auto device = cluster_.state().devices.find(id);
    return device != cluster_.state().devices.end() && device->second.attachments.contains(host);
  };
  for (const auto& [host, machine] : machines_) {
    bool known = true;
    for (const auto& [segment, mapping] : machine.mapped) {
      for (const Extent& extent : machine.extents.at(segment)) known &= knows(host, extent.device);
    }
    if (!known) StopMachine(host);
  }
}

void CoreProperties::LetTimePass() {
  cluster_.Advance(absl::Seconds(OneIn(4) ? 30 : 3));
  for (const auto& [host, machine] : machines_) {
    if (OneIn(4)) continue;
    (void)Renew(cluster_.state(), cluster_.now, host, cluster_.sessions[host]);
  }
  cluster_.TickAll();
}

void CoreProperties::ChangeHardware() {
  if (cluster_.devices.size() < kMaxDevices) {
    cluster_.AddDevice(2 * (4 + Below(12)), OneIn(3) ? v1::SOFTWARE : v1::HARDWARE);
    return;
  }
  v1::LocalDevice& device = cluster_.devices[Below(cluster_.devices.size())];
  if (OneIn(8)) device.set_power_epoch(device.power_epoch() + 1);
}

void CoreProperties::Step() {
  if (calm_ && OneIn(12)) return DrainSome();
  const uint64_t dice = Below(calm_ && !OneIn(4) ? 92 : 100);
  if (dice < 9) {
    RegisterSome();
  } else if (dice < 11) {
    ReportInventory();
  } else if (dice < 15) {
    MakePool();
  } else if (dice < 33) {
    CreateSome();
  } else if (dice < 40) {
    OneIn(2) ? GrowSome() : DeleteSome();
  } else if (dice < 55) {
    AcquireSome();
  } else if (dice < 58) {
    ReleaseSome();
  } else if (dice < 89) {
    WorkSome();
  } else if (dice < 92) {
    OneIn(2) ? LieSome() : ClearSome();
  } else if (dice < 95) {
    OneIn(2) ? DrainSome() : OneIn(2) ? FenceSome() : RunFenceAgents();
  } else if (dice < 96) {
    cluster_.Restart();
    in_step_.clear();
  } else if (dice < 98) {
    BackUpOrRestore();
  } else {
    OneIn(2) ? LetTimePass() : ChangeHardware();
  }
}

TEST_P(CoreProperties, HoldAfterEveryCommand) {
  for (int step = 0; step < kSteps; ++step) {
    Step();
    CheckAll();
    if (HasFailure()) FAIL() << "seed " << GetParam() << ", step " << step;
  }
  moved_ += static_cast<int>(
      std::count_if(cluster_.events.begin(), cluster_.events.end(),
                    [](const v1::Event& event) { return event.type() == v1::SEGMENT_MOVED; }));
}

INSTANTIATE_TEST_SUITE_P(Seeds, CoreProperties, testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace weft
