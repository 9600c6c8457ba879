#include "server/coordinator/flags.h"

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

using testing::ElementsAre;

std::optional<int> Parse(std::vector<const char*> args, CoordinatorFlags* flags) {
  args.insert(args.begin(), "weft-coordinator");
  return ParseFlags(static_cast<int>(args.size()), args.data(), flags);
}

TEST(FlagsTest, Defaults) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({}, &flags), std::nullopt);
  EXPECT_EQ(flags.sqlite_path, "/var/lib/weft/coordinator.db");
  EXPECT_THAT(flags.listen, ElementsAre("127.0.0.1:9460"));
  EXPECT_EQ(flags.metrics_address, "127.0.0.1:9461");
  EXPECT_EQ(flags.session_ttl, absl::Seconds(10));
  EXPECT_FALSE(flags.insecure);
}

TEST(FlagsTest, CommandLine) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({"--store=sqlite:/tmp/x.db", "--listen=127.0.0.1:0", "--listen=unix:/tmp/s",
                   "--session-ttl=1500ms", "--log-level=warning", "--metrics-address=none"},
                  &flags),
            std::nullopt);
  EXPECT_EQ(flags.sqlite_path, "/tmp/x.db");
  EXPECT_THAT(flags.listen, ElementsAre("127.0.0.1:0", "unix:/tmp/s"));
  EXPECT_EQ(flags.session_ttl, absl::Milliseconds(1500));
  EXPECT_EQ(flags.log_level, spdlog::level::warn);
  EXPECT_EQ(flags.metrics_address, "");
}

TEST(FlagsTest, ConfigurationFileAndCommandLineOverIt) {
  const std::string path = testing::TempDir() + "/coordinator.toml";
  std::ofstream(path) << "store = \"sqlite:/tmp/file.db\"\nsession-ttl = \"5s\"\n"
                         "listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n";
  CoordinatorFlags flags;
  const std::string config = "--config=" + path;
  EXPECT_EQ(Parse({config.c_str(), "--session-ttl=7s"}, &flags), std::nullopt);
  EXPECT_EQ(flags.sqlite_path, "/tmp/file.db");
  EXPECT_EQ(flags.session_ttl, absl::Seconds(7));
  EXPECT_THAT(flags.listen, ElementsAre("127.0.0.1:1", "127.0.0.1:2"));
}

TEST(FlagsTest, Mistakes) {
  for (const char* mistake :
       {"--store=postgres:x", "--store=sqlite:", "--session-ttl=10", "--session-ttl=1ms",
        "--session-ttl=1h", "--log-level=loud", "--tls-cert=/x", "--no-such-flag",
        "--check-fence-agents", "--migrate-from=/x"}) {
    CoordinatorFlags flags;
    EXPECT_EQ(Parse({mistake}, &flags), 2) << mistake;
  }
}

TEST(FlagsTest, AStoreIsMadeOfOneThing) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({"--migrate-from=sqlite:/a.db", "--store=sqlite:/b.db"}, &flags), std::nullopt);
  EXPECT_EQ(flags.migrate_from, "/a.db");
  EXPECT_EQ(Parse({"--migrate-from=sqlite:/a.db", "--restore=/c"}, &flags), 2);
}

TEST(FlagsTest, HelpAndVersionEndWell) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({"--help"}, &flags), 0);
  EXPECT_EQ(Parse({"--version"}, &flags), 0);
}

}  // namespace
}  // namespace weft
