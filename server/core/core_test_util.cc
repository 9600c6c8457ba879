#include "server/core/core_test_util.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "server/core/check.h"
#include "server/core/dump.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/names.h"
#include "server/core/pools.h"
#include "server/core/recovery.h"
#include "server/core/segments.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

}  // namespace

TestCluster::TestCluster(CoreOptions options) : options_(std::move(options)) {
  options_.version = "test";
  options_.random_uuid = [this] {
    return *Uuid::Parse(absl::StrFormat("00000000-0000-4000-8000-%012d", next_uuid_++));
  };
  Restart();
}

void TestCluster::Commit(Changes changes) {
  for (auto& [key, value] : changes.mutations) {
    if (value.has_value()) {
      store[key] = *value;
    } else {
      store.erase(key);
    }
  }
  std::move(changes.events.begin(), changes.events.end(), std::back_inserter(events));
  for (const auto& [order, wanted] : changes.fences) {
    if (wanted) {
      fences.insert(order);
    } else {
      fences.erase(order);
    }
  }
  for (auto& [host, by_key] : changes.assignments) {
    for (auto& [key, assignment] : by_key) {
      if (assignment.has_value()) {
        assigned[host][key] = *assignment;
      } else {
        assigned[host].erase(key);
      }
    }
  }
}

absl::Status TestCluster::Report(const std::string& host, const v1::NodeMessage& message) {
  return Run([&](State& state, const Context& context, Changes& changes) {
    return TakeReport(state, context, host, sessions[host], message, changes);
  });
}

void TestCluster::Restart() {
  const bool is_new = store.empty();
  Changes changes;
  state_ = LoadInto(changes);
  WEFT_CHECK(is_new || changes.empty(), "loading wrote something");
  Commit(std::move(changes));
}

void TestCluster::Restore(std::map<std::string, std::string> backup) {
  store = std::move(backup);
  const std::unique_ptr<State> restored = Load();
  PrepareRestored(*restored, Admin());
  store = RecordsOf(*restored);
  assigned.clear();
  fences.clear();
  Restart();
}

std::unique_ptr<State> TestCluster::Load() const {
  Changes changes;
  std::unique_ptr<State> loaded = LoadInto(changes);
  WEFT_CHECK(changes.empty(), "loading wrote something");
  return loaded;
}

std::unique_ptr<State> TestCluster::LoadInto(Changes& changes) const {
  Loader loader(options_);
  for (const auto& [key, value] : store) {
    const absl::Status added = loader.Add(key, value);
    WEFT_CHECK(added.ok(), added.ToString());
  }
  absl::StatusOr<std::unique_ptr<State>> loaded = std::move(loader).Finish(now, &changes);
  WEFT_CHECK(loaded.ok(), loaded.status().ToString());
  return *std::move(loaded);
}

std::string TestCluster::AddDevice(uint64_t data_mib, v1::Coherence coherence) {
  v1::LocalDevice device;
  device.set_uuid(
      absl::StrFormat("dddddddd-0000-4000-8000-%012d", static_cast<int>(devices.size()) + 1));
  device.set_path(absl::StrCat("/dev/dax", devices.size(), ".0"));
  device.set_capacity_bytes((data_mib + 4) * kMi);
  device.set_data_offset_bytes(2 * kMi);
  device.set_data_bytes(data_mib * kMi);
  device.set_alignment_bytes(2 * kMi);
  device.set_coherence(coherence);
  device.set_exchange_slots(8);
  devices.push_back(device);
  return "devices/" + device.uuid();
}

v1::Register TestCluster::RegisterRequest(const std::string& host, int boot, int instance) const {
  v1::Register request;
  request.set_protocol_version(kSessionProtocolVersion);
  request.set_host_id(host);
  request.set_boot_id(absl::StrCat("boot-", boot));
  request.set_instance_id(absl::StrCat(host, "-instance-", boot, ".", instance));
  request.set_backend(v1::EMULATED);
  request.set_revoke_bound_ms(1000);
  for (const v1::LocalDevice& device : devices) {
    *request.mutable_devices()->add_devices() = device;
  }
  return request;
}

absl::StatusOr<v1::Registered> TestCluster::TryRegister(const v1::Register& request) {
  absl::StatusOr<v1::Registered> registered = Call(Register, request);
  if (!registered.ok()) return registered;
  sessions[request.host_id()] = registered->session_id();
  assigned[request.host_id()].clear();
  const v1::Assignments whole = WholeAssignments(*state_, request.host_id());
  for (const v1::Assignment& assignment : whole.upserts()) {
    assigned[request.host_id()][assignment.key()] = assignment;
  }
  return registered;
}

std::string TestCluster::RegisterHost(const std::string& host, int boot, int instance,
                                      const std::vector<v1::HeldGrant>& held, bool can_revoke) {
  v1::Register request = RegisterRequest(host, boot, instance);
  request.set_can_revoke(can_revoke);
  for (const v1::HeldGrant& grant : held) *request.add_held() = grant;
  absl::StatusOr<v1::Registered> registered = TryRegister(request);
  EXPECT_TRUE(registered.ok()) << registered.status();
  return registered.ok() ? registered->session_id() : "";
}

bool TestCluster::Work(const std::string& host, const v1::Assignment& assignment,
                       v1::NodeMessage& report) {
  if (assignment.has_scrub()) {
    uint64_t total = 0;
    for (const v1::Extent& extent : assignment.scrub().extents()) {
      total += extent.length_bytes();
      scrubbed.push_back(extent);
    }
    v1::ScrubProgress& progress = *report.mutable_scrub_progress();
    progress.set_scrub_id(assignment.scrub().scrub_id());
    *progress.mutable_token() = assignment.scrub().token();
    progress.set_done_bytes(total);
    return true;
  }
  if (assignment.has_copy()) {
    v1::CopyProgress& progress = *report.mutable_copy_progress();
    progress.set_id(assignment.copy().id());
    *progress.mutable_token() = assignment.copy().token();
    progress.set_done_bytes(assignment.copy().from().length_bytes());
    return true;
  }
  if (assignment.has_exchange()) {
    const v1::ExchangeTask& task = assignment.exchange();
    std::string& slot = slots[{task.device(), memory_of[{host, task.device()}], task.slot()}];
    if (!task.nonce().empty()) slot = task.nonce();
    v1::ExchangeResult& result = *report.mutable_exchange_result();
    result.set_device(task.device());
    result.set_slot(task.slot());
    result.set_step_id(task.step_id());
    result.set_nonce(slot);
    return true;
  }
  if (assignment.has_label()) {
    for (v1::LocalDevice& device : devices) {
      if ("devices/" + device.uuid() == assignment.label().device()) {
        device.set_pool_uuid(assignment.label().pool_uuid());
      }
    }
    report.mutable_label_written()->set_device(assignment.label().device());
    report.mutable_label_written()->set_pool_uuid(assignment.label().pool_uuid());
    return true;
  }
  return false;
}

void TestCluster::Settle() {
  for (bool worked = true; worked;) {
    worked = false;
    const auto todo = assigned;
    for (const auto& [host, by_key] : todo) {
      if (std::count(frozen.begin(), frozen.end(), host) > 0) continue;
      for (const auto& [key, assignment] : by_key) {
        v1::NodeMessage report;
        if (!Work(host, assignment, report)) continue;
        const absl::Status taken = Report(host, report);
        ASSERT_TRUE(taken.ok()) << taken;
        worked = true;
      }
    }
  }
}

void TestCluster::MakePool(const std::string& id) {
  v1::CreatePoolRequest request;
  request.set_pool_id(id);
  for (const v1::LocalDevice& device : devices) request.add_devices("devices/" + device.uuid());
  const auto created = Call(CreatePool, request);
  ASSERT_TRUE(created.ok()) << created.status();
  Settle();
}

absl::StatusOr<v1::Segment> TestCluster::Create(const std::string& pool, const std::string& segment,
                                                uint64_t size_mib) {
  v1::CreateSegmentRequest request;
  request.set_parent("pools/" + pool);
  request.set_segment_id(segment);
  request.mutable_segment()->set_size_bytes(size_mib * kMi);
  return Call(CreateSegment, request);
}

absl::StatusOr<v1::AcquireGrantResponse> TestCluster::Acquire(const std::string& host,
                                                              const std::string& segment,
                                                              v1::AccessMode mode) {
  v1::AcquireGrantRequest request;
  request.set_session_id(sessions[host]);
  request.set_segment(segment);
  request.set_mode(mode);
  return Run([&](State& state, const Context& context, Changes& changes) {
    return AcquireGrant(state, context, host, request, changes);
  });
}

absl::Status TestCluster::Release(const std::string& host, const v1::Grant& grant) {
  v1::ReleaseGrantRequest request;
  request.set_session_id(sessions[host]);
  request.set_segment(grant.segment());
  request.set_segment_id(grant.segment_id());
  *request.mutable_token() = grant.token();
  return Run([&](State& state, const Context& context, Changes& changes) {
    return ReleaseGrant(state, context, host, request, changes);
  });
}

absl::Status TestCluster::Delete(const std::string& segment, bool force) {
  v1::DeleteSegmentRequest request;
  request.set_name(segment);
  request.set_force(force);
  return Call(DeleteSegment, request);
}

void TestCluster::Advance(absl::Duration duration) {
  now.monotonic += duration;
  now.unix_ms += static_cast<uint64_t>(absl::ToInt64Milliseconds(duration));
}

void TestCluster::TickAll() {
  absl::Duration next;
  do {
    next = Run([](State& state, const Context& context, Changes& changes) {
      return Tick(state, context, changes);
    });
  } while (next <= now.monotonic);
}

}  // namespace weft
