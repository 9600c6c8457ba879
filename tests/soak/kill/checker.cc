#include "tests/soak/kill/checker.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/soak/kill/pattern.h"

namespace weft::soak {
namespace {

uint64_t End(const v1::Extent& extent) { return extent.offset_bytes() + extent.length_bytes(); }

std::string Describe(const Claim& claim) {
  return absl::StrCat(claim.owner, " has [", claim.extent.offset_bytes(), ", ", End(claim.extent),
                      ") of ", claim.extent.device());
}

std::string Describe(const Acknowledged& counts) {
  return absl::StrCat(counts.creates, " creates, ", counts.grows, " grows, ", counts.deletes,
                      " deletes");
}

uint64_t TotalBytes(const v1::Segment& segment) {
  uint64_t total = 0;
  for (const Claim& claim : ClaimsOf({segment})) total += claim.extent.length_bytes();
  return total;
}

// What is wrong with one segment, as far as it alone shows.
Violations CheckSegment(const Promise& promise, const v1::Segment& segment) {
  Violations violations;
  if (segment.id() != promise.id) {
    violations.push_back(absl::StrCat(segment.name(), " has id ", segment.id(), ", but id ",
                                      promise.id, " was acknowledged"));
  }
  if (segment.size_bytes() != promise.size_bytes) {
    violations.push_back(absl::StrCat(segment.name(), " has ", segment.size_bytes(), " bytes, but ",
                                      promise.size_bytes, " were acknowledged"));
  }
  if (TotalBytes(segment) != segment.size_bytes()) {
    violations.push_back(absl::StrCat(segment.name(), " has ", segment.size_bytes(),
                                      " bytes in extents of ", TotalBytes(segment)));
  }
  if (segment.state() != v1::SEGMENT_ACTIVE) {
    violations.push_back(
        absl::StrCat(segment.name(), " is ", v1::SegmentState_Name(segment.state())));
  }
  return violations;
}

void CheckZero(const v1::Device& device, std::span<const std::byte> bytes, uint64_t begin,
               uint64_t end, Violations& violations) {
  if (begin >= end) return;
  const std::string difference = Differs(bytes.subspan(begin, end - begin), begin, Stamp());
  if (difference.empty()) return;
  violations.push_back(
      absl::StrCat("free bytes of ", device.name(), " are not zero: ", difference));
}

}  // namespace

Violations CheckSegments(const Promises& promises, const std::vector<v1::Segment>& segments) {
  Violations violations;
  std::set<std::string> seen;
  for (const v1::Segment& segment : segments) {
    seen.insert(segment.name());
    const auto promise = promises.find(segment.name());
    if (promise == promises.end()) {
      violations.push_back(
          absl::StrCat(segment.name(), " is there, but its deletion was acknowledged"));
    } else {
      Append(CheckSegment(promise->second, segment), violations);
    }
  }
  for (const auto& [name, promise] : promises) {
    if (!seen.contains(name)) {
      violations.push_back(absl::StrCat(name, " (id ", promise.id,
                                        ") is not there, but its creation was acknowledged"));
    }
  }
  return violations;
}

Violations CheckEvents(const std::map<std::string, Acknowledged>& acknowledged,
                       const std::vector<v1::Event>& events) {
  std::map<std::string, Acknowledged> happened;
  for (const v1::Event& event : events) {
    if (event.type() == v1::POOL_CREATED) ++happened[event.resource()].creates;
    if (event.type() == v1::POOL_DELETED) ++happened[event.resource()].deletes;
    if (event.type() == v1::SEGMENT_CREATED) ++happened[event.resource()].creates;
    if (event.type() == v1::SEGMENT_GROWN) ++happened[event.resource()].grows;
    if (event.type() == v1::SEGMENT_DELETED) ++happened[event.resource()].deletes;
  }
  Violations violations;
  const auto compare = [&](const std::string& name) {
    const auto was = happened.find(name);
    const auto told = acknowledged.find(name);
    const Acknowledged applied = was == happened.end() ? Acknowledged() : was->second;
    const Acknowledged promised = told == acknowledged.end() ? Acknowledged() : told->second;
    if (applied == promised) return;
    violations.push_back(absl::StrCat(name, ": applied were ", Describe(applied),
                                      "; acknowledged were ", Describe(promised)));
  };
  for (const auto& [name, counts] : acknowledged) compare(name);
  for (const auto& [name, counts] : happened) {
    if (!acknowledged.contains(name)) compare(name);
  }
  return violations;
}

Violations CheckOverlaps(std::vector<Claim> claims) {
  const auto key = [](const Claim& claim) {
    return std::make_pair(claim.extent.device(), claim.extent.offset_bytes());
  };
  std::sort(claims.begin(), claims.end(),
            [&](const Claim& a, const Claim& b) { return key(a) < key(b); });
  Violations violations;
  // The claim that reaches farthest of those before.
  const Claim* last = nullptr;
  for (const Claim& claim : claims) {
    const bool same_device = last != nullptr && last->extent.device() == claim.extent.device();
    if (same_device && End(last->extent) > claim.extent.offset_bytes()) {
      violations.push_back(absl::StrCat(Describe(*last), ", and ", Describe(claim)));
    }
    if (!same_device || End(claim.extent) > End(last->extent)) last = &claim;
  }
  return violations;
}

Violations CheckUsage(const std::vector<v1::Device>& devices,
                      const std::vector<v1::Segment>& segments) {
  std::map<std::string, uint64_t> used;
  for (const Claim& claim : ClaimsOf(segments)) {
    used[claim.extent.device()] += claim.extent.length_bytes();
  }
  Violations violations;
  for (const v1::Device& device : devices) {
    const uint64_t accounted = device.free_bytes() + device.used_bytes() +
                               device.scrubbing_bytes() + device.quarantined_bytes();
    if (accounted != device.data_bytes()) {
      violations.push_back(absl::StrCat(device.name(), " accounts for ", accounted, " of ",
                                        device.data_bytes(), " bytes"));
    }
    if (device.used_bytes() != used[device.name()]) {
      violations.push_back(absl::StrCat(device.name(), " says that ", device.used_bytes(),
                                        " bytes are used; segments have ", used[device.name()]));
    }
  }
  return violations;
}

Violations CheckFreeBytes(const v1::Device& device, std::span<const std::byte> bytes,
                          const std::vector<v1::Segment>& segments) {
  std::map<uint64_t, uint64_t> taken;  // From, to.
  for (const Claim& claim : ClaimsOf(segments)) {
    if (claim.extent.device() == device.name()) {
      taken[claim.extent.offset_bytes()] = End(claim.extent);
    }
  }
  Violations violations;
  uint64_t position = device.data_offset_bytes();
  for (const auto& [begin, end] : taken) {
    CheckZero(device, bytes, position, begin, violations);
    position = std::max(position, end);
  }
  CheckZero(device, bytes, position, device.data_offset_bytes() + device.data_bytes(), violations);
  return violations;
}

std::vector<Claim> ClaimsOf(const std::vector<v1::Segment>& segments) {
  std::vector<Claim> claims;
  for (const v1::Segment& segment : segments) {
    for (const v1::Run& run : segment.runs()) {
      for (const v1::Extent& extent : run.extents()) claims.push_back({segment.name(), extent});
    }
  }
  return claims;
}

void Append(Violations more, Violations& violations) {
  violations.insert(violations.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
}

}  // namespace weft::soak
