#include "server/core/core_checks.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/core/devices.h"
#include "server/core/dump.h"
#include "server/core/grants.h"
#include "server/core/lookup.h"
#include "server/core/pools.h"
#include "server/core/scrubs.h"
#include "server/core/status.h"

namespace weft {
namespace {

const uint64_t kUnit = kExtentUnit.value();

bool Excludes(const v1::Segment& segment, const v1::Grant& a, const v1::Grant& b) {
  if (segment.sharing() == v1::SHARED) return false;
  if (segment.sharing() == v1::EXCLUSIVE) return true;
  return a.mode() == v1::READ_WRITE && b.mode() == v1::READ_WRITE;
}

// What an assignment says that its host does not know by itself.
std::string Wording(v1::Assignment assignment) {
  if (assignment.has_scrub()) assignment.mutable_scrub()->clear_done_bytes();
  if (assignment.has_copy()) assignment.mutable_copy()->clear_done_bytes();
  return assignment.DebugString();
}

// All that can be read of `state`, but for proofs under way, which are not durable.
std::string Describe(const State& state) {
  std::string text = StatusOf(state).DebugString();
  for (const auto& [id, pool] : state.pools) {
    v1::GetPoolRequest get;
    get.set_name(pool->record.pool().name());
    absl::StrAppend(&text, GetPool(state, get)->DebugString());
  }
  for (const auto& [id, device] : state.devices) {
    v1::GetDeviceRequest get;
    get.set_name(device.record.device().name());
    absl::StrAppend(&text, GetDevice(state, get)->DebugString(), device.record.DebugString());
    for (const uint64_t scrub : device.unassigned_scrubs) absl::StrAppend(&text, scrub, " ");
  }
  for (const auto& [key, record] : state.segments) absl::StrAppend(&text, record.DebugString());
  for (const auto& [id, key] : state.segment_by_id) absl::StrAppend(&text, id.value(), key.second);
  for (const auto& [key, record] : state.grants) absl::StrAppend(&text, record.DebugString());
  for (const auto& [id, record] : state.scrubs) absl::StrAppend(&text, record.DebugString());
  for (const auto& [id, host] : state.hosts) {
    absl::StrAppend(&text, host.record.DebugString(), host.session.has_value(), "\n");
    v1::Assignments assignments = WholeAssignments(state, id);
    for (const v1::Assignment& one : assignments.upserts()) {
      if (!one.has_exchange()) absl::StrAppend(&text, one.DebugString());
    }
  }
  for (const v1::Event& event : state.events) absl::StrAppend(&text, event.revision(), " ");
  return text;
}

// The free bytes of the data areas, unit by unit.
std::string DescribeFree(const State& state) {
  std::string text;
  for (const auto& [pool_id, pool] : state.pools) {
    Allocator copy = pool->allocator;
    for (const DeviceId& id : pool->devices) {
      const v1::Device& device = state.devices.at(id).record.device();
      absl::StrAppend(&text, "\n", device.name(), " ");
      for (uint64_t at = 0; at < device.capacity_bytes(); at += kUnit) {
        text += copy.Reserve({id, ByteOffset(at), kExtentUnit}).ok() ? "." : "x";
      }
    }
  }
  return text;
}

}  // namespace

bool CoreChecks::IsTheMemory(const std::string& device, int memory) const {
  const DeviceId id = *FindDevice(cluster_.state(), device);
  const auto& attachments = cluster_.state().devices.at(id).attachments;
  return std::all_of(attachments.begin(), attachments.end(), [&](const auto& entry) {
    return entry.second.attachment().state() != v1::ATTACHMENT_ATTACHED ||
           cluster_.memory_of[{entry.first, device}] == memory;
  });
}

void CoreChecks::Zeroed(const std::string& device, int memory, uint64_t unit) {
  if (IsTheMemory(device, memory)) dirty_[*FindDevice(cluster_.state(), device)].erase(unit);
}

void CoreChecks::Copied(const std::string& device, int memory, uint64_t unit) {
  if (IsTheMemory(device, memory)) copied_[*FindDevice(cluster_.state(), device)].insert(unit);
}

void CoreChecks::Restored() {
  owners_before_ = Owners();
  pool_before_.clear();
  for (const auto& [id, units] : owners_before_) {
    pool_before_[id] = cluster_.state().devices.at(id).record.device().pool();
    dirty_[id].clear();
    for (uint64_t unit = 0; unit < units.size(); ++unit) {
      if (units[unit] != Owner::kSegment) dirty_[id].insert(unit);
    }
  }
  token_of_.clear();
  for (const auto& [key, record] : cluster_.state().grants) {
    token_of_[{key.first.value(), key.second}] = FromProto(record.grant().token());
  }
  copied_.clear();
  fences_before_.clear();
  draining_before_.clear();
}

std::map<DeviceId, CoreChecks::Units> CoreChecks::Owners() const {
  std::map<DeviceId, Units> owners;
  const State& state = cluster_.state();
  for (const auto& [id, device] : state.devices) {
    owners[id].resize(device.record.device().data_bytes() / kUnit, Owner::kFree);
  }
  const auto take = [&](const Extent& extent, Owner owner) {
    const uint64_t start = state.devices.at(extent.device).record.device().data_offset_bytes();
    for (uint64_t at = extent.offset.value(); at < extent.end().value(); at += kUnit) {
      Owner& unit = owners.at(extent.device).at((at - start) / kUnit);
      EXPECT_EQ(unit, Owner::kFree) << extent << " has two owners";
      unit = owner;
    }
  };
  for (const auto& [key, record] : state.segments) {
    uint64_t size = 0;
    for (const Extent& extent : ExtentsOf(record.segment())) {
      take(extent, Owner::kSegment);
      size += extent.length.value();
      EXPECT_EQ(PoolIdOf(state.devices.at(extent.device)), key.first);
    }
    EXPECT_EQ(size, record.segment().size_bytes()) << record.segment().name();
  }
  for (const auto& [id, record] : state.scrubs) {
    const Owner owner = record.has_copy() ? Owner::kCopy : Owner::kScrub;
    for (const Extent& extent : RemainingOf(record)) take(extent, owner);
  }
  for (const auto& [id, device] : state.devices) {
    for (const ByteRange& range : device.quarantined) {
      take({id, range.offset, range.length}, Owner::kQuarantine);
    }
    for (const ByteRange& range : device.strayed) {
      take({id, range.offset, range.length}, Owner::kStray);
    }
  }
  return owners;
}

void CoreChecks::CheckBytes() {
  const State& state = cluster_.state();
  const std::map<DeviceId, Units> owners = Owners();
  for (const auto& [id, units] : owners) {
    const DeviceState& device = state.devices.at(id);
    const auto bytes = [&, &all = units](Owner owner) {
      return static_cast<uint64_t>(std::count(all.begin(), all.end(), owner)) * kUnit;
    };
    EXPECT_EQ(device.used_bytes, bytes(Owner::kSegment));
    EXPECT_EQ(device.scrubbing_bytes, bytes(Owner::kScrub) + bytes(Owner::kCopy));
    CheckQuarantine(device, units);
    if (device.record.device().pool().empty()) {
      EXPECT_EQ(bytes(Owner::kFree), device.record.device().data_bytes());
      continue;
    }
    Allocator copy = state.pools.at(PoolIdOf(device))->allocator;
    EXPECT_EQ(copy.device_stats(id).free.value(), bytes(Owner::kFree));
    for (uint64_t unit = 0; unit < units.size(); ++unit) {
      const ByteOffset at(device.record.device().data_offset_bytes() + unit * kUnit);
      EXPECT_EQ(copy.Reserve({id, at, kExtentUnit}).ok(), units[unit] == Owner::kFree)
          << device.record.device().name() << " unit " << unit;
    }
  }
  for (const auto& [id, pool] : state.pools) {
    const v1::Usage usage = UsageOf(state, *pool);
    EXPECT_EQ(usage.capacity_bytes(), usage.free_bytes() + usage.used_bytes() +
                                          usage.scrubbing_bytes() + usage.quarantined_bytes());
  }
  CheckScrubbed(owners);
}

// No unit with bad bytes is free, and only such are quarantined.
void CoreChecks::CheckQuarantine(const DeviceState& device, const Units& units) {
  const v1::Device& record = device.record.device();
  const bool has_owners = !record.pool().empty() && record.state() != v1::DEVICE_LOST;
  const ByteRanges bad = ToUnits(device.bad);
  for (uint64_t unit = 0; unit < units.size(); ++unit) {
    const ByteOffset at(record.data_offset_bytes() + unit * kUnit);
    const bool is_bad = !Intersection(bad, {{at, kExtentUnit}}).empty();
    EXPECT_FALSE(has_owners && is_bad && units[unit] == Owner::kFree)
        << record.name() << " unit " << unit << " is bad and free";
    EXPECT_TRUE((is_bad && has_owners) || units[unit] != Owner::kQuarantine)
        << record.name() << " unit " << unit << " is quarantined and good";
  }
}

void CoreChecks::CheckScrubbed(const std::map<DeviceId, Units>& owners) {
  for (const auto& [id, units] : owners) {
    const v1::Device& device = cluster_.state().devices.at(id).record.device();
    CheckCopied(id, units);
    const bool joined = !device.pool().empty() && pool_before_[id] != device.pool();
    pool_before_[id] = device.pool();
    for (uint64_t unit = 0; unit < units.size(); ++unit) {
      const bool taken = owners_before_.contains(id) &&
                         owners_before_.at(id)[unit] == Owner::kFree &&
                         (units[unit] == Owner::kSegment || units[unit] == Owner::kCopy);
      EXPECT_FALSE(taken && device.state() != v1::DEVICE_ACTIVE)
          << device.name() << " takes new extents while it is "
          << v1::DeviceState_Name(device.state());
      const bool freed = owners_before_.contains(id) &&
                         owners_before_.at(id)[unit] == Owner::kSegment &&
                         units[unit] != Owner::kSegment;
      if (joined || freed) dirty_[id].insert(unit);
      if (device.pool().empty() || device.state() == v1::DEVICE_LOST || device.recovering()) {
        continue;
      }
      const bool waits = units[unit] != Owner::kFree && units[unit] != Owner::kSegment;
      EXPECT_TRUE(waits || !dirty_[id].contains(unit))
          << device.name() << " unit " << unit << " is free or used, and was not scrubbed";
    }
  }
  owners_before_ = owners;
}

void CoreChecks::CheckCopied(const DeviceId& id, const Units& units) {
  for (uint64_t unit = 0; unit < units.size(); ++unit) {
    if (units[unit] == Owner::kCopy) {
      dirty_[id].insert(unit);
      continue;
    }
    const bool was_copied = copied_[id].erase(unit) > 0;
    const bool was_copy =
        owners_before_.contains(id) && owners_before_.at(id)[unit] == Owner::kCopy;
    if (!was_copy || units[unit] != Owner::kSegment) continue;
    EXPECT_TRUE(was_copied) << id << " unit " << unit << " is used, and was not copied to";
    dirty_[id].erase(unit);
  }
}

void CoreChecks::CheckMoves() {
  const State& state = cluster_.state();
  size_t copies = 0;
  for (const auto& [id, record] : state.scrubs) {
    if (!record.has_copy()) continue;
    ++copies;
    const SegmentId segment(record.copy().segment_id());
    EXPECT_EQ(state.copies.at(segment), id);
    EXPECT_FALSE(HasGrants(state, segment)) << "segment " << segment << " is held and copied";
    const Extent from = FromProto(record.copy().from());
    const std::vector<Extent> extents = ExtentsOf(SegmentById(state, segment).segment());
    EXPECT_TRUE(std::any_of(extents.begin(), extents.end(), [&](const Extent& extent) {
      return extent.device == from.device && extent.offset <= from.offset &&
             from.end() <= extent.end();
    })) << "what is copied is not the segment's";
  }
  EXPECT_EQ(state.copies.size(), copies);
  for (const auto& [id, device] : state.devices) {
    const bool draining = device.record.device().state() == v1::DEVICE_DRAINING;
    EXPECT_EQ(state.draining.contains(id), draining) << id;
    absl::btree_set<SegmentId> there;
    for (const auto& [key, record] : state.segments) {
      for (const Extent& extent : ExtentsOf(record.segment())) {
        if (draining && extent.device == id) there.insert(SegmentId(record.segment().id()));
      }
    }
    EXPECT_EQ(device.drain.left, there) << id;
  }
  for (const auto& [segment, device] : state.taking) {
    EXPECT_TRUE(state.devices.at(device).drain.left.contains(segment)) << segment;
  }
}

void CoreChecks::CheckGrants() {
  const State& state = cluster_.state();
  for (const auto& [key, record] : state.grants) {
    const v1::Grant& grant = record.grant();
    if (state.hosts.at(key.second).releasing.contains(key.first)) continue;
    const v1::HostState host = state.hosts.at(key.second).record.host().state();
    EXPECT_NE(host, v1::HOST_DOWN) << grant.name();
    EXPECT_TRUE(state.hosts.at(key.second).grants.contains(key.first)) << grant.name();
    ASSERT_TRUE(state.segment_by_id.contains(key.first)) << grant.name();
    for (const std::string& other : HoldersOf(state, key.first)) {
      if (other == key.second) continue;
      EXPECT_FALSE(Excludes(SegmentById(state, key.first).segment(), grant,
                            state.grants.at({key.first, other}).grant()))
          << grant.name() << " and " << other;
    }
  }
  for (const auto& [id, host] : state.hosts) {
    EXPECT_EQ(host.session.has_value(), host.record.host().state() == v1::HOST_ALIVE) << id;
    EXPECT_TRUE(host.scrubs.empty() || host.record.host().state() != v1::HOST_DOWN) << id;
  }
}

void CoreChecks::CheckDrains() {
  const State& state = cluster_.state();
  std::set<std::string> draining;
  for (const auto& [id, host] : state.hosts) {
    EXPECT_TRUE(host.record.host().draining() || !state.revoking_hosts.contains(id)) << id;
    if (!host.record.host().draining()) continue;
    draining.insert(id);
    if (state.revoking_hosts.contains(id)) continue;
    for (const SegmentId segment : host.grants) {
      EXPECT_TRUE(host.releasing.contains(segment) ||
                  state.grants.at({segment, id}).grant().state() == v1::GRANT_REVOKING)
          << id << " was not told to let go of segment " << segment;
    }
  }
  for (const auto& [key, record] : state.grants) {
    const std::pair grant(key.first.value(), key.second);
    if (!draining.contains(key.second) || !draining_before_.contains(key.second)) continue;
    // After a restore a host may bring what it has: it has to let go of it.
    EXPECT_TRUE(
        record.grant().state() == v1::GRANT_REVOKING ||
        (token_of_.contains(grant) && token_of_.at(grant) == FromProto(record.grant().token())))
        << record.grant().name() << " was granted during the drain of its host";
  }
  draining_before_ = std::move(draining);
}

void CoreChecks::CheckFences() {
  const State& state = cluster_.state();
  std::vector<FenceOrder> fences;
  for (const auto& [id, host] : state.hosts) {
    const v1::Host& record = host.record.host();
    EXPECT_EQ(record.has_fence(), record.state() == v1::HOST_FENCING) << id;
    if (!record.has_fence()) continue;
    EXPECT_LE(record.fence().id(), state.cluster.last_fence_id()) << id;
    const bool known = std::count(fences_before_.begin(), fences_before_.end(),
                                  FenceOrder{id, record.fence().id()}) > 0;
    EXPECT_TRUE(known || record.fence().id() > last_fence_id_) << id << ": an id is used again";
    fences.push_back({id, record.fence().id()});
  }
  EXPECT_EQ(FenceOrders(state), fences);
  EXPECT_EQ(std::vector(cluster_.fences.begin(), cluster_.fences.end()), fences);
  fences_before_ = std::move(fences);
  last_fence_id_ = state.cluster.last_fence_id();
}

void CoreChecks::CheckTokens() {
  std::map<std::pair<uint64_t, std::string>, Token> tokens;
  for (const auto& [key, record] : cluster_.state().grants) {
    const std::pair grant(key.first.value(), key.second);
    const Token token = FromProto(record.grant().token());
    tokens[grant] = token;
    const auto before = token_of_.find(grant);
    if (before != token_of_.end() && before->second == token) continue;
    if (!given_.emplace(grant, token).second) continue;
    EXPECT_GT(token, newest_token_[grant.first]) << record.grant().name();
    newest_token_[grant.first] = token;
  }
  token_of_ = std::move(tokens);
}

void CoreChecks::CheckAttachments() {
  for (const auto& [id, device] : cluster_.state().devices) {
    const std::string& name = device.record.device().name();
    std::set<int> memories;
    for (const auto& [host, record] : device.attachments) {
      if (record.attachment().state() != v1::ATTACHMENT_ATTACHED) continue;
      EXPECT_TRUE(IsAlive(cluster_.state(), host)) << host << " " << name;
      memories.insert(cluster_.memory_of[{host, name}]);
    }
    EXPECT_LE(memories.size(), 1u) << "a copy is attached as " << name;
  }
}

void CoreChecks::CheckLoaded(const std::set<std::string>& in_step) {
  const State& state = cluster_.state();
  const std::unique_ptr<State> loaded = cluster_.Load();
  EXPECT_EQ(Describe(*loaded), Describe(state));
  EXPECT_EQ(DescribeFree(*loaded), DescribeFree(state));
  EXPECT_EQ(RecordsOf(state), cluster_.store);
  for (const std::string& host : in_step) {
    std::map<std::string, std::string> whole;
    std::map<std::string, std::string> accumulated;
    const v1::Assignments assignments = WholeAssignments(state, host);
    for (const v1::Assignment& one : assignments.upserts()) whole[one.key()] = Wording(one);
    for (const auto& [key, one] : cluster_.assigned[host]) accumulated[key] = Wording(one);
    EXPECT_EQ(accumulated, whole) << host;
  }
}

void CoreChecks::Check(const std::set<std::string>& in_step) {
  CheckBytes();
  CheckGrants();
  CheckMoves();
  CheckFences();
  CheckDrains();
  CheckTokens();
  CheckAttachments();
  CheckLoaded(in_step);
}

}  // namespace weft
