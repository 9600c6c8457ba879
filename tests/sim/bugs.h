// Bugs that a test plants to see that the checkers find them. Each is a lie of something
// that the simulation plays: the product's code is the same with and without.

#ifndef WEFT_TESTS_SIM_BUGS_H_
#define WEFT_TESTS_SIM_BUGS_H_

#include <string_view>
#include <vector>

namespace weft::sim {

struct Bugs {
  // A device says that it zeroed, and did not.
  bool skip_scrub = false;
  // Or that it has what was copied to it.
  bool skip_copy = false;
  // The coordinator answers before the store has synced.
  bool acknowledge_before_commit = false;
  // It gives tokens away before the store has synced.
  bool token_before_durable = false;
  // The coordinator's clock runs at one and a half times its speed.
  bool expire_early = false;
  // Or a host's at half of it.
  bool slow_host_clock = false;
  // The counter of tokens is not stored.
  bool reuse_token = false;
  // The coordinator runs a repeated request again.
  bool forget_request_id = false;
  // The kernel does not let go at the deadline.
  bool no_dead_man = false;
  // Nor write back what it takes back.
  bool no_write_back = false;
  // What is made or resumed under a later token gives handles of earlier ones their access back.
  bool revive_handles = false;
  // What is to be zeroed is first zeroed under the token of the time before.
  bool zero_again = false;
  // Arming the dead-man gives back what it took, whatever the coordinator says.
  bool resume_unasked = false;
  // A host answers a challenge with what it should have read.
  bool no_challenge = false;
  // Records of scrubs are lost at a reload.
  bool forget_scrubs = false;
  // As are records of grants.
  bool forget_grants = false;
  // Those of segments, too.
  bool forget_segments = false;
  // The store has every segment as EXCLUSIVE.
  bool store_exclusive = false;
  // The coordinator answers that a grant is released, and goes on with it.
  bool ignore_releases = false;
  // The kernel says that it has taken a segment back, or destroyed it, and has not.
  bool confirm_unrevoked = false;
  // Deadlines are counted from the answer to a renewal.
  bool late_deadline = false;
  // A coordinator that was deposed confirms that it leads.
  bool confirm_deposed = false;
  // A fence agent says that it succeeded before it does anything.
  bool fence_too_early = false;
  // A fence agent succeeds with nothing done.
  bool fence_nothing = false;
  // Whatever a pool wants, leases are enough.
  bool ignore_fence_policy = false;
  // Leases are enough for hosts that cannot revoke.
  bool trust_timer = false;
  // The coordinator is due again as soon as it has done what was due.
  bool due_at_once = false;
};

struct BugName {
  std::string_view name;
  bool Bugs::* flag;
};

inline const std::vector<BugName>& AllBugs() {
  static const std::vector<BugName> all = {
      {"skip_scrub", &Bugs::skip_scrub},
      {"skip_copy", &Bugs::skip_copy},
      {"acknowledge_before_commit", &Bugs::acknowledge_before_commit},
      {"token_before_durable", &Bugs::token_before_durable},
      {"expire_early", &Bugs::expire_early},
      {"slow_host_clock", &Bugs::slow_host_clock},
      {"reuse_token", &Bugs::reuse_token},
      {"forget_request_id", &Bugs::forget_request_id},
      {"no_dead_man", &Bugs::no_dead_man},
      {"no_write_back", &Bugs::no_write_back},
      {"revive_handles", &Bugs::revive_handles},
      {"zero_again", &Bugs::zero_again},
      {"resume_unasked", &Bugs::resume_unasked},
      {"no_challenge", &Bugs::no_challenge},
      {"forget_scrubs", &Bugs::forget_scrubs},
      {"forget_grants", &Bugs::forget_grants},
      {"forget_segments", &Bugs::forget_segments},
      {"store_exclusive", &Bugs::store_exclusive},
      {"ignore_releases", &Bugs::ignore_releases},
      {"confirm_unrevoked", &Bugs::confirm_unrevoked},
      {"late_deadline", &Bugs::late_deadline},
      {"confirm_deposed", &Bugs::confirm_deposed},
      {"fence_too_early", &Bugs::fence_too_early},
      {"fence_nothing", &Bugs::fence_nothing},
      {"ignore_fence_policy", &Bugs::ignore_fence_policy},
      {"trust_timer", &Bugs::trust_timer},
      {"due_at_once", &Bugs::due_at_once},
  };
  return all;
}

// The bug of this name; none where there is no such bug.
inline Bugs Plant(std::string_view name) {
  Bugs bugs;
  for (const BugName& bug : AllBugs()) bugs.*bug.flag = bug.name == name;
  return bugs;
}

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_BUGS_H_
