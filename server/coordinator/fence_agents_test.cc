#include "server/coordinator/fence_agents.h"

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

TEST(FenceAgentsTest, ReadsWhatAnAdministratorWrites) {
  const auto agents = ParseFenceAgents(R"({
    // Passwords are in here: mode 0600.
    "agents": {
      "host-a": {
        "command": "/usr/sbin/fence_ipmilan",
        "action": "off",
        "timeout": "90s",
        "options": {"ip": "10.0.0.7", "password": "a=b c"}
      },
      "host-b": {"command": "/usr/sbin/fence_dummy"}
    }
  })");
  ASSERT_TRUE(agents.ok()) << agents.status();
  ASSERT_EQ(agents->size(), 2u);
  const FenceAgent& a = agents->at("host-a");
  EXPECT_EQ(a.timeout, absl::Seconds(90));
  const ProgramSpec spec = ToProgram("host-a", a, a.action);
  EXPECT_EQ(spec.arguments, std::vector<std::string>{"/usr/sbin/fence_ipmilan"});
  EXPECT_EQ(spec.input, "action=off\nnodename=host-a\nip=10.0.0.7\npassword=a=b c\n");
  EXPECT_EQ(spec.timeout, absl::Seconds(90));
  EXPECT_EQ(agents->at("host-b").action, "reboot");
}

TEST(FenceAgentsTest, RefusesWhatItDoesNotUnderstandAndSaysWhere) {
  const auto message = [](const std::string& text) {
    const auto agents = ParseFenceAgents(text);
    EXPECT_EQ(ReasonOf(agents.status()),
              text.find("Host") != std::string::npos ? v1::BAD_NAME : v1::BAD_ARGUMENT)
        << text;
    return std::string(agents.status().message());
  };
  const auto agent = [](const std::string& members) {
    return R"({"agents": {"h1": {"command": "/bin/f", )" + members + "}}}";
  };
  EXPECT_NE(message("{").find("JSON"), std::string::npos);
  message("[]");
  message(R"({"agent": {}})");
  message(R"({"agents": {"Host": {"command": "/bin/f"}}})");
  message(R"({"agents": {"h1": {}}})");
  message(R"({"agents": {"h1": {"command": "fence_dummy"}}})");
  EXPECT_NE(message(agent(R"("comand": "/x")")).find("comand"), std::string::npos);
  EXPECT_NE(message(agent(R"("action": "on")")).find("h1"), std::string::npos);
  message(agent(R"("timeout": "2h")"));
  message(agent(R"("timeout": 60)"));
  message(agent(R"("options": {"action": "off"})"));
  message(agent(R"("options": {"a=b": "c"})"));
  message(agent(R"("options": {"ip": "1\naction=status"})"));
  message(agent(R"("options": {"ip": 7})"));
  message(agent(R"("options": {"key": ")" + std::string(kMaxProgramInput, 'x') + "\"}"));
}

}  // namespace
}  // namespace weft
