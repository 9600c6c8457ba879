#include "server/node/flags.h"

#include <fstream>
#include <vector>

#include "gtest/gtest.h"

namespace weft {
namespace {

std::optional<int> Parse(std::vector<const char*> arguments, NodeFlags* flags) {
  arguments.insert(arguments.begin(), "weftd");
  return ParseFlags(static_cast<int>(arguments.size()), arguments.data(), "node7", flags);
}

TEST(FlagsTest, Defaults) {
  NodeFlags flags;
  EXPECT_EQ(Parse({}, &flags), std::nullopt);
  EXPECT_EQ(flags.host_id, "node7");
  EXPECT_EQ(flags.backend, v1::EMULATED);
  EXPECT_EQ(flags.coordinators, std::vector<std::string>{"127.0.0.1:9460"});
  EXPECT_EQ(flags.socket_mode, 0666u);
  EXPECT_FALSE(flags.trust_expiry);
}

TEST(FlagsTest, ReadsWhatIsGiven) {
  NodeFlags flags;
  EXPECT_EQ(
      Parse({"--host-id=h", "--coordinator=a:1", "--coordinator=b:2", "--socket-mode=0660",
             "--emulated-device=path=/x,size=1G,coherence=software",
             "--emulated-device=path=/y,size=1G", "--scrub-rate=100M", "--rescan-interval=1s"},
            &flags),
      std::nullopt);
  EXPECT_EQ(flags.coordinators.size(), 2u);
  EXPECT_EQ(flags.socket_mode, 0660u);
  ASSERT_EQ(flags.emulated.size(), 2u);
  EXPECT_TRUE(flags.emulated[0].software_coherent);
  EXPECT_FALSE(flags.emulated[1].software_coherent);
  EXPECT_EQ(flags.scrub_rate, ByteCount(100 * kMiB.value()));
  EXPECT_EQ(flags.rescan_interval, absl::Seconds(1));
}

TEST(FlagsTest, ConfigurationFileAndCommandLineOverIt) {
  const std::string path = testing::TempDir() + "/weftd.toml";
  std::ofstream(path) << "host-id = \"file\"\nscrub-rate = \"5M\"\ntrust-expiry = true\n"
                         "emulated-device = [\"path=/x,size=1G\", \"path=/y,size=1G\"]\n";
  NodeFlags flags;
  const std::string config = "--config=" + path;
  EXPECT_EQ(Parse({config.c_str(), "--host-id=line"}, &flags), std::nullopt);
  EXPECT_EQ(flags.host_id, "line");
  EXPECT_EQ(flags.scrub_rate, ByteCount(5 * kMiB.value()));
  EXPECT_TRUE(flags.trust_expiry);
  EXPECT_EQ(flags.emulated.size(), 2u);
}

TEST(FlagsTest, MetricsCanBeTurnedOff) {
  NodeFlags flags;
  EXPECT_EQ(Parse({"--metrics-address=none", "--host-id=h"}, &flags), std::nullopt);
  EXPECT_EQ(flags.metrics_address, "");
  EXPECT_EQ(flags.host_id, "h");
}

TEST(FlagsTest, WhatTheKernelDoesNotSayOfDevices) {
  NodeFlags flags;
  EXPECT_EQ(Parse({"--backend=kmod", "--device=name=dax0.0,coherence=software",
                   "--device=name=dax1.0,use=no", "--release-devices", "--host-id=h"},
                  &flags),
            std::nullopt);
  ASSERT_EQ(flags.devices.size(), 2u);
  EXPECT_TRUE(flags.devices[0].software_coherent);
  EXPECT_FALSE(flags.devices[1].use);
  EXPECT_TRUE(flags.release_devices);
}

TEST(FlagsTest, WhatCannotBeMeantIsRefused) {
  for (const std::vector<const char*>& wrong : std::vector<std::vector<const char*>>{
           {"--host-id=Not A Name"},
           {"--emulated-device=path=/x,size=3"},
           {"--emulated-device=path=/x,size=1G,coherence=perhaps"},
           {"--backend=kmodd"},
           {"--backend=devdax"},
           {"--backend=devdax", "--allow-raw-devdax", "--trust-expiry"},
           {"--socket-mode=999"},
           {"--scrub-rate=fast"},
           {"--backend=kmod", "--device=dax0.0"},
           {"--device=name=dax0.0,use=no"},
           {"--release-devices"},
           {"--rescan-interval=never"},
           {"--tls-cert=x"},
           {"--socket-group=", "--trust-expiry"},
           {"--metrics-address=", "--state-dir=/x"},
           {"extra"}}) {
    NodeFlags flags;
    EXPECT_EQ(Parse(wrong, &flags), 2) << wrong[0];
  }
}

}  // namespace
}  // namespace weft
