// The machines behind host ids, as the coordinator cannot see them.

#ifndef WEFT_SERVER_CORE_CORE_MACHINES_H_
#define WEFT_SERVER_CORE_CORE_MACHINES_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "proto/weft/v1/types.pb.h"
#include "server/core/state.h"

namespace weft {

struct Mapping {
  v1::Token token;
  v1::AccessMode mode = v1::READ_ONLY;
};

struct Machine {
  int boot = 1;
  int instance = 1;
  bool can_revoke = false;
  std::set<std::string> missing;  // device UUIDs
  // What clients have mapped, by segment id. The grant must outlive it.
  std::map<uint64_t, Mapping> mapped;
  // Of these, those that only the clients, or the machine's end, can give up: the backend
  // cannot revoke them, or their pool does not trust it.
  std::set<uint64_t> unrevocable;
  // Where what is mapped was when it was opened.
  std::map<uint64_t, std::vector<Extent>> extents;
};
using Machines = std::map<std::string, Machine>;

// A host that can revoke has nothing mapped once its session is over: its dead-man fired.
void ForgetWhatWasTakenBack(const State& state, Machines& machines);

// Invariant 2: what is mapped is granted, and no two hosts have mapped what excludes each other.
// `awaited`: the hosts that the coordinator has not heard of since it was restored; what they have
// mapped is nobody else's and not zeroed.
void CheckMapped(const State& state, Machines& machines, const std::set<std::string>& awaited);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_CORE_MACHINES_H_
