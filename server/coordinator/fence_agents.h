// Which fence agent stops which host, as an administrator configured it.

#ifndef WEFT_SERVER_COORDINATOR_FENCE_AGENTS_H_
#define WEFT_SERVER_COORDINATOR_FENCE_AGENTS_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/platform/program.h"

namespace weft {

// A program with the conventions of ClusterLabs' fence agents: it reads name=value lines
// from its standard input, and its exit status is 0 if it did what `action` says.
struct FenceAgent {
  std::string command;
  // What stops the host: `off` or `reboot`.
  std::string action = "reboot";
  absl::Duration timeout = absl::Minutes(1);
  // The agent's own: `ip`, `username`, `plug`, ... May hold passwords: never logged, and in
  // no command line.
  std::map<std::string, std::string> options = {};
};

using FenceAgents = std::map<std::string, FenceAgent>;  // by host

// Reads the text of a --fence-config file (docs/formats.md). INVALID_ARGUMENT
// BAD_ARGUMENT, with the host and the member that is wrong.
absl::StatusOr<FenceAgents> ParseFenceAgents(std::string_view json);

// How `agent` is run for `action`: its own, or `monitor`, which changes nothing.
ProgramSpec ToProgram(const std::string& host, const FenceAgent& agent, const std::string& action);

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_FENCE_AGENTS_H_
