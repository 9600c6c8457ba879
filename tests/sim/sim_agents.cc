#include "tests/sim/sim_agents.h"

#include <utility>

#include "server/core/check.h"

namespace weft::sim {
namespace {

// After this a coordinator kills its agent.
constexpr absl::Duration kTimeout = absl::Seconds(6);

}  // namespace

SimAgents::Course SimAgents::AnyCourse() {
  if (!faulty) return Course::kSucceeds;
  switch (rng_.Below(6)) {
    case 0:
      return Course::kFails;
    case 1:
      return Course::kHangs;
    case 2:
      return Course::kFailsAfterActing;
    default:
      return Course::kSucceeds;
  }
}

void SimAgents::Run(Process& starter, const std::string& host, const Done& done) {
  WEFT_CHECK(Has(host), host);
  const Course course = AnyCourse();
  const bool succeeds = course == Course::kSucceeds;
  const bool acts = (succeeds && !world_.bugs.fence_nothing) || course == Course::kFailsAfterActing;
  const absl::Duration acts_after =
      rng_.Between(absl::Milliseconds(50), faulty ? absl::Seconds(5) : absl::Milliseconds(500));
  absl::Duration ends_after =
      course == Course::kHangs
          ? kTimeout
          : acts_after + rng_.Between(absl::ZeroDuration(), absl::Milliseconds(800));
  if (succeeds && world_.bugs.fence_too_early) ends_after = absl::Milliseconds(1);
  // With its coordinator it may die, or have told the switch what to do.
  if (acts && rng_.OneIn(2)) {
    world_.loop.After(acts_after, [this, host, alive = starter.alive()] {
      if (!alive()) world_.Probe("fence agent outlives its coordinator");
      cycle_power_(host);
    });
  } else if (acts) {
    starter.After(acts_after, [this, host] { cycle_power_(host); });
  }
  const char* const end = succeeds                              ? "fence agent succeeds"
                          : course == Course::kHangs            ? "fence agent hangs"
                          : course == Course::kFailsAfterActing ? "fence agent fails after it acted"
                                                                : "fence agent fails";
  world_.Log("the agent of ", host, " starts: ", end, " in ", absl::FormatDuration(ends_after));
  starter.After(ends_after, [this, end, succeeds, done] {
    world_.Probe(end);
    done(succeeds ? "" : end);
  });
  world_.loop.After(ends_after, [this, alive = starter.alive()] {
    if (!alive()) world_.Probe("coordinator dies while a fence agent runs");
  });
}

}  // namespace weft::sim
