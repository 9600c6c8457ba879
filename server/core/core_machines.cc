#include "server/core/core_machines.h"

#include <iterator>

#include "gtest/gtest.h"
#include "server/core/lookup.h"

namespace weft {
namespace {

// What a host has mapped, as only it knows after a restore, is nobody else's and not zeroed.
void CheckUntouched(const State& state, const std::string& host, const Machine& machine) {
  const auto overlaps = [](const Extent& a, const Extent& b) {
    return a.device == b.device && a.offset < b.end() && b.offset < a.end();
  };
  for (const auto& [segment, mapping] : machine.mapped) {
    for (const Extent& mapped : machine.extents.at(segment)) {
      for (const auto& [id, scrub] : state.scrubs) {
        if (scrub.host().empty()) continue;
        for (const v1::Extent& extent : scrub.extents()) {
          EXPECT_FALSE(overlaps(mapped, FromProto(extent))) << host << " maps what is zeroed";
        }
      }
      for (const auto& [key, record] : state.grants) {
        if (key.first.value() == segment || !IsAlive(state, key.second)) continue;
        if (state.hosts.at(key.second).releasing.contains(key.first)) continue;
        for (const Extent& extent : ExtentsOf(SegmentById(state, key.first).segment())) {
          EXPECT_FALSE(overlaps(mapped, extent)) << host << " maps what " << key.second << " has";
        }
      }
    }
  }
}

bool Exclude(const v1::Segment& segment, const Mapping& a, const Mapping& b) {
  if (segment.sharing() == v1::SHARED) return false;
  return segment.sharing() == v1::EXCLUSIVE ||
         (a.mode == v1::READ_WRITE && b.mode == v1::READ_WRITE);
}

void CheckExclusion(const State& state, const Machines& machines) {
  std::map<uint64_t, std::map<std::string, Mapping>> by_segment;
  for (const auto& [host, machine] : machines) {
    for (const auto& [segment, mapping] : machine.mapped) by_segment[segment][host] = mapping;
  }
  for (const auto& [id, by_host] : by_segment) {
    if (!state.segment_by_id.contains(SegmentId(id))) continue;
    const v1::Segment& segment = SegmentById(state, SegmentId(id)).segment();
    for (auto a = by_host.begin(); a != by_host.end(); ++a) {
      for (auto b = std::next(a); b != by_host.end(); ++b) {
        EXPECT_FALSE(Exclude(segment, a->second, b->second))
            << a->first << " and " << b->first << " both have " << segment.name() << " mapped";
      }
    }
  }
}

}  // namespace

void ForgetWhatWasTakenBack(const State& state, Machines& machines) {
  for (auto& [host, machine] : machines) {
    if (IsAlive(state, host)) continue;
    std::erase_if(machine.mapped, [&all = machine.unrevocable](const auto& entry) {
      return !all.contains(entry.first);
    });
  }
}

void CheckMapped(const State& state, Machines& machines, const std::set<std::string>& awaited) {
  CheckExclusion(state, machines);
  for (auto& [host, machine] : machines) {
    std::erase_if(machine.unrevocable, [&mapped = machine.mapped](uint64_t segment) {
      return !mapped.contains(segment);
    });
    const auto known = state.hosts.find(host);
    const bool strays = known != state.hosts.end() && !known->second.strays.empty();
    if (awaited.contains(host) || strays) CheckUntouched(state, host, machine);
    if (awaited.contains(host)) continue;
    for (const auto& [segment, mapping] : machine.mapped) {
      const GrantKey key(segment, host);
      EXPECT_TRUE(state.grants.contains(key) || state.strays.contains(key))
          << host << " has segment " << segment << " mapped and no grant";
      const auto grant = state.grants.find(key);
      if (grant == state.grants.end()) continue;
      EXPECT_GE(grant->second.grant().mode(), mapping.mode) << host << " has more than its grant";
      EXPECT_GE(FromProto(grant->second.grant().token()), FromProto(mapping.token))
          << grant->second.grant().name() << " is older than what the host has";
    }
  }
}

}  // namespace weft
