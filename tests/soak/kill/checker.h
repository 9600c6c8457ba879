// What must be true after processes were killed: pure functions from what the owners of
// segments were promised, and what is there, to what is wrong.

#ifndef WEFT_TESTS_SOAK_KILL_CHECKER_H_
#define WEFT_TESTS_SOAK_KILL_CHECKER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "proto/weft/v1/device.pb.h"
#include "proto/weft/v1/event.pb.h"
#include "proto/weft/v1/segment.pb.h"

namespace weft::soak {

// Each a line for people; empty: all is well.
using Violations = std::vector<std::string>;

// What the owner of a segment that exists was told last.
struct Promise {
  uint64_t id = 0;
  uint64_t size_bytes = 0;
};
// By resource name.
using Promises = std::map<std::string, Promise>;

// How often operations on one name, of a segment or a pool, were acknowledged.
struct Acknowledged {
  int creates = 0;
  int grows = 0;
  int deletes = 0;

  friend bool operator==(const Acknowledged&, const Acknowledged&) = default;
};

// An extent and who has it.
struct Claim {
  std::string owner;
  v1::Extent extent;
};

// Nothing acknowledged is lost: exactly the promised segments are there, each under its id,
// with its size, in extents that add up to it.
Violations CheckSegments(const Promises& promises, const std::vector<v1::Segment>& segments);

// Nothing is applied twice, or without being acknowledged: the events of a span of time
// tell of exactly the acknowledged operations.
Violations CheckEvents(const std::map<std::string, Acknowledged>& acknowledged,
                       const std::vector<v1::Event>& events);

// No byte has two owners.
Violations CheckOverlaps(std::vector<Claim> claims);

// Each byte of a device is in one state, and those in use are the segments'.
Violations CheckUsage(const std::vector<v1::Device>& devices,
                      const std::vector<v1::Segment>& segments);

// A device of which nothing is left to scrub is zero wherever no segment is. `bytes` is the
// whole device.
Violations CheckFreeBytes(const v1::Device& device, std::span<const std::byte> bytes,
                          const std::vector<v1::Segment>& segments);

// The extents of all runs.
std::vector<Claim> ClaimsOf(const std::vector<v1::Segment>& segments);

void Append(Violations more, Violations& violations);

}  // namespace weft::soak

#endif  // WEFT_TESTS_SOAK_KILL_CHECKER_H_
