#include "server/coordinator/fence_agents.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr absl::Duration kMinTimeout = absl::Seconds(1);
constexpr absl::Duration kMaxTimeout = absl::Hours(1);

absl::Status Bad(const std::string& where, const std::string& what) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                   absl::StrCat(where, ": ", what));
}

bool IsLine(const std::string& text) { return text.find_first_of("\n\r") == std::string::npos; }

// Weft says these itself.
bool IsReserved(const std::string& option) { return option == "action" || option == "nodename"; }

absl::Status ReadOptions(const std::string& where, const json& value, FenceAgent& agent) {
  if (!value.is_object()) return Bad(where, "\"options\" is not an object");
  for (const auto& [name, option] : value.items()) {
    const bool named = !name.empty() && IsLine(name) && name.find('=') == std::string::npos;
    if (!named || IsReserved(name)) {
      return Bad(where, absl::StrCat("\"", name, "\" cannot be an option"));
    }
    if (!option.is_string() || !IsLine(option.get<std::string>())) {
      return Bad(where, absl::StrCat("option \"", name, "\" is not a text of one line"));
    }
    agent.options[name] = option.get<std::string>();
  }
  return absl::OkStatus();
}

absl::Status ReadMember(const std::string& where, const std::string& name, const json& value,
                        FenceAgent& agent) {
  if (name == "options") return ReadOptions(where, value, agent);
  if (!value.is_string()) return Bad(where, absl::StrCat("\"", name, "\" is not a text"));
  const std::string text = value.get<std::string>();
  if (name == "command") {
    if (!text.starts_with('/')) return Bad(where, "\"command\" is not an absolute path");
    agent.command = text;
  } else if (name == "action") {
    if (text != "off" && text != "reboot") return Bad(where, "\"action\" is not off or reboot");
    agent.action = text;
  } else if (name == "timeout") {
    if (!absl::ParseDuration(text, &agent.timeout) || agent.timeout < kMinTimeout ||
        agent.timeout > kMaxTimeout) {
      return Bad(where, "\"timeout\" is not a duration from 1s to 1h");
    }
  } else {
    return Bad(where,
               absl::StrCat("\"", name, "\" is none of command, action, timeout and options"));
  }
  return absl::OkStatus();
}

absl::StatusOr<FenceAgent> ReadAgent(const std::string& host, const json& value) {
  const std::string where = absl::StrCat("fence agent of ", host);
  if (absl::Status s = CheckId("host", host); !s.ok()) return s;
  if (!value.is_object()) return Bad(where, "it is not an object");
  FenceAgent agent;
  for (const auto& [name, member] : value.items()) {
    if (absl::Status s = ReadMember(where, name, member, agent); !s.ok()) return s;
  }
  if (agent.command.empty()) return Bad(where, "it has no \"command\"");
  if (ToProgram(host, agent, agent.action).input.size() > kMaxProgramInput) {
    return Bad(where, absl::StrCat("its options have over ", kMaxProgramInput, " bytes"));
  }
  return agent;
}

}  // namespace

absl::StatusOr<FenceAgents> ParseFenceAgents(std::string_view text) {
  const std::string where = "the configuration of fence agents";
  const json root = json::parse(text, /*cb=*/nullptr, /*allow_exceptions=*/false,
                                /*ignore_comments=*/true);
  if (root.is_discarded()) return Bad(where, "it is not JSON");
  if (!root.is_object() || root.size() != 1 || !root.contains("agents") ||
      !root["agents"].is_object()) {
    return Bad(where, "it is not {\"agents\": {HOST: {...}, ...}}");
  }
  FenceAgents agents;
  for (const auto& [host, value] : root["agents"].items()) {
    absl::StatusOr<FenceAgent> agent = ReadAgent(host, value);
    if (!agent.ok()) return agent.status();
    agents[host] = *std::move(agent);
  }
  return agents;
}

ProgramSpec ToProgram(const std::string& host, const FenceAgent& agent, const std::string& action) {
  ProgramSpec spec;
  spec.arguments = {agent.command};
  spec.timeout = agent.timeout;
  absl::StrAppend(&spec.input, "action=", action, "\nnodename=", host, "\n");
  for (const auto& [name, value] : agent.options) {
    absl::StrAppend(&spec.input, name, "=", value, "\n");
  }
  return spec;
}

}  // namespace weft
