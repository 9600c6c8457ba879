// What must hold of a TestCluster after every command, recomputed from the stored records.

#ifndef WEFT_SERVER_CORE_CORE_CHECKS_H_
#define WEFT_SERVER_CORE_CORE_CHECKS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/core/core_test_util.h"
#include "server/core/fencing.h"
#include "server/core/state.h"

namespace weft {

// Remembers what earlier steps showed. Failures are gtest's.
class CoreChecks {
 public:
  explicit CoreChecks(TestCluster& cluster) : cluster_(cluster) {}

  // To be called after every command. `in_step`: the hosts that have heard of all changes
  // since their last whole Assignments.
  void Check(const std::set<std::string>& in_step);

  // The cluster goes on from an older state: nobody knows who has had its free bytes since.
  void Restored();

  // The host has zeroed these bytes in its memory `memory`, or copied others there, and is about
  // to say so.
  void Zeroed(const std::string& device, int memory, uint64_t unit);
  void Copied(const std::string& device, int memory, uint64_t unit);

 private:
  enum class Owner { kFree, kSegment, kScrub, kCopy, kQuarantine, kStray };
  using Units = std::vector<Owner>;

  // Who has each unit of 2 MiB of each device's data area. Invariant 1.
  std::map<DeviceId, Units> Owners() const;
  void CheckBytes();
  bool IsTheMemory(const std::string& device, int memory) const;
  // Invariant 5: what leaves a segment, or joins a pool, is zeroed before it is free.
  void CheckQuarantine(const DeviceState& device, const Units& units);
  void CheckScrubbed(const std::map<DeviceId, Units>& owners);
  // What was copied to becomes a segment's only when all of it was copied.
  void CheckCopied(const DeviceId& device, const Units& units);
  // Nobody holds what is being copied; what a device still has to lose is known.
  void CheckMoves();
  void CheckGrants();
  void CheckFences();
  // To be called before CheckTokens, which forgets the tokens of the step before.
  void CheckDrains();
  // Invariant 3.
  void CheckTokens();
  void CheckAttachments();
  void CheckLoaded(const std::set<std::string>& in_step);

  TestCluster& cluster_;
  std::map<DeviceId, Units> owners_before_;
  std::map<DeviceId, std::string> pool_before_;
  // Units that are not known to be zero in the memory that the device's holders have.
  std::map<DeviceId, std::set<uint64_t>> dirty_;
  // Units of copies that were copied.
  std::map<DeviceId, std::set<uint64_t>> copied_;
  std::map<uint64_t, Token> newest_token_;  // by segment
  // All that were: after a restore a host brings what it was given before.
  std::set<std::pair<std::pair<uint64_t, std::string>, Token>> given_;
  std::map<std::pair<uint64_t, std::string>, Token> token_of_;  // by segment and host
  std::vector<FenceOrder> fences_before_;
  uint64_t last_fence_id_ = 0;
  std::set<std::string> draining_before_;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_CORE_CHECKS_H_
