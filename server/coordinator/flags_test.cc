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
  EXPECT_EQ(flags.store.sqlite_path, "/var/lib/weft/coordinator.db");
  EXPECT_THAT(flags.listen, ElementsAre("127.0.0.1:9460"));
  EXPECT_EQ(flags.metrics_address, "127.0.0.1:9461");
  EXPECT_EQ(flags.session_ttl, absl::Seconds(10));
  EXPECT_EQ(flags.remembered_requests, 10'000u);
  EXPECT_FALSE(flags.insecure);
}

TEST(FlagsTest, Etcd) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({"--store=etcd://a:2379,[::1]:2379/fam/one", "--leader-ttl=5s",
                   "--listen=0.0.0.0:9460", "--advertise=host-a:9460"},
                  &flags),
            std::nullopt);
  EXPECT_EQ(flags.store.sqlite_path, "");
  EXPECT_THAT(flags.store.etcd_endpoints, ElementsAre("a:2379", "[::1]:2379"));
  EXPECT_EQ(flags.store.etcd_prefix, "/fam/one");
  EXPECT_EQ(flags.store.text(), "etcd://a:2379,[::1]:2379/fam/one");
  EXPECT_EQ(flags.leader_ttl, absl::Seconds(5));
}

TEST(FlagsTest, EtcdMistakes) {
  for (const auto& mistake :
       std::vector<std::vector<const char*>>{{"--store=etcd://"},
                                             {"--store=etcd://a"},
                                             {"--store=etcd://a:1,"},
                                             {"--store=etcd://a:1/"},
                                             {"--etcd-ca=/x"},
                                             {"--store=etcd://a:1", "--etcd-cert=/x"},
                                             {"--store=etcd://a:1", "--listen=0.0.0.0:9460"},
                                             {"--store=etcd://a:1", "--leader-ttl=6s"},
                                             {"--leader-ttl=2500ms"},
                                             {"--leader-ttl=1s"}}) {
    CoordinatorFlags flags;
    EXPECT_EQ(Parse(mistake, &flags), 2) << mistake.back();
  }
}

TEST(FlagsTest, CommandLine) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({"--store=sqlite:/tmp/x.db", "--listen=127.0.0.1:0", "--listen=unix:/tmp/s",
                   "--session-ttl=1500ms", "--log-level=warning", "--metrics-address=none",
                   "--remembered-requests=30000"},
                  &flags),
            std::nullopt);
  EXPECT_EQ(flags.store.sqlite_path, "/tmp/x.db");
  EXPECT_THAT(flags.listen, ElementsAre("127.0.0.1:0", "unix:/tmp/s"));
  EXPECT_EQ(flags.session_ttl, absl::Milliseconds(1500));
  EXPECT_EQ(flags.log_level, spdlog::level::warn);
  EXPECT_EQ(flags.metrics_address, "");
  EXPECT_EQ(flags.remembered_requests, 30'000u);
}

TEST(FlagsTest, ConfigurationFileAndCommandLineOverIt) {
  const std::string path = testing::TempDir() + "/coordinator.toml";
  std::ofstream(path) << "store = \"sqlite:/tmp/file.db\"\nsession-ttl = \"5s\"\n"
                         "listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n";
  CoordinatorFlags flags;
  const std::string config = "--config=" + path;
  EXPECT_EQ(Parse({config.c_str(), "--session-ttl=7s"}, &flags), std::nullopt);
  EXPECT_EQ(flags.store.sqlite_path, "/tmp/file.db");
  EXPECT_EQ(flags.session_ttl, absl::Seconds(7));
  EXPECT_THAT(flags.listen, ElementsAre("127.0.0.1:1", "127.0.0.1:2"));
}

TEST(FlagsTest, Mistakes) {
  for (const char* mistake :
       {"--store=postgres:x", "--store=sqlite:", "--session-ttl=10", "--session-ttl=1ms",
        "--session-ttl=1h", "--log-level=loud", "--tls-cert=/x", "--no-such-flag",
        "--check-fence-agents", "--migrate-from=/x", "--remembered-requests=10"}) {
    CoordinatorFlags flags;
    EXPECT_EQ(Parse({mistake}, &flags), 2) << mistake;
  }
}

TEST(FlagsTest, AnOptionIsNoValue) {
  for (const auto& mistake :
       std::vector<std::vector<const char*>>{{"--metrics-address=", "--store=sqlite:/x"},
                                             {"--listen", "--insecure"},
                                             {"--advertise=", "--listen=127.0.0.1:1"}}) {
    CoordinatorFlags flags;
    EXPECT_EQ(Parse(mistake, &flags), 2) << mistake.front();
  }
}

TEST(FlagsTest, AStoreIsMadeOfOneThing) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({"--migrate-from=sqlite:/a.db", "--store=sqlite:/b.db"}, &flags), std::nullopt);
  ASSERT_TRUE(flags.migrate_from.has_value());
  EXPECT_EQ(flags.migrate_from->sqlite_path, "/a.db");
  EXPECT_EQ(Parse({"--migrate-from=sqlite:/a.db", "--restore=/c"}, &flags), 2);
}

TEST(FlagsTest, HelpAndVersionEndWell) {
  CoordinatorFlags flags;
  EXPECT_EQ(Parse({"--help"}, &flags), 0);
  EXPECT_EQ(Parse({"--version"}, &flags), 0);
}

}  // namespace
}  // namespace weft
