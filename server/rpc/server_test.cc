#include "server/rpc/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"
#include "server/platform/unique_fd.h"
#include "server/rpc/standard_calls.h"

namespace weft {
namespace {

int PortOf(const std::string& address) { return std::stoi(address.substr(address.rfind(':') + 1)); }

// Whether whoever is at the other end has hung up. Blocks until it has, or says something.
bool IsClosed(const UniqueFd& socket) {
  char byte;
  return recv(socket.get(), &byte, 1, 0) <= 0;
}

class ServerTest : public testing::Test {
 protected:
  void Start(const std::string& address, size_t max_connections = 8,
             absl::Duration handshake_timeout = absl::Minutes(1)) {
    ServerOptions options;
    options.handshake_timeout = handshake_timeout;
    options.listen = {address};
    options.max_connections = max_connections;
    absl::StatusOr<RunningServer> running = StartServer(options, {});
    ASSERT_TRUE(running.ok()) << running.status();
    running_ = *std::move(running);
  }
  const std::string& address() const { return running_.addresses.front(); }

  // From another address of this machine than other tests and gRPC use.
  UniqueFd Dial(const char* from = "127.0.0.2") {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    inet_pton(AF_INET, from, &at.sin_addr);
    EXPECT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    at.sin_port = htons(static_cast<in_port_t>(PortOf(address())));
    EXPECT_EQ(connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
    return socket;
  }
  // Over a connection of its own.
  std::string HealthNow() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return Health(
        grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments));
  }

  RunningServer running_;
};

TEST_F(ServerTest, OneAddressHasNoMoreThanItsShareOfTheConnections) {
  Start("127.0.0.1:0");
  std::vector<UniqueFd> flood;
  for (int i = 0; i < 4; ++i) flood.push_back(Dial());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(IsClosed(Dial()));
  EXPECT_EQ(HealthNow(), kNotServing);
  flood.clear();
  while (IsClosed(Dial())) {
  }
}

// gRPC's own listener would be deaf from then on.
TEST_F(ServerTest, WithoutDescriptorsConnectionsAreTurnedAwayAndWithThemTakenAgain) {
  Start("127.0.0.1:0");
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd lowest_free(dup(0));
  const rlimit none = {.rlim_cur = static_cast<rlim_t>(lowest_free.get()),
                       .rlim_max = old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_in at = {};
  at.sin_family = AF_INET;
  inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
  at.sin_port = htons(static_cast<in_port_t>(PortOf(address())));
  EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&at), sizeof(at)), 0);
  EXPECT_TRUE(IsClosed(client));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(HealthNow(), kNotServing);
}

TEST_F(ServerTest, UnixSocketsWithAndWithoutANameServe) {
  TempDir folder;
  Start("unix:" + folder.File("sock"));
  EXPECT_EQ(HealthNow(), kNotServing);
  Start("unix-abstract:weft-server-test-" + std::to_string(getpid()));
  EXPECT_EQ(HealthNow(), kNotServing);
}

TEST_F(ServerTest, ASilentConnectionIsClosed) {
  Start("127.0.0.1:0", /*max_connections=*/8, absl::Milliseconds(50));
  const UniqueFd silent = Dial();
  while (!IsClosed(silent)) {  // until all that the server says at first is read
  }
}

TEST_F(ServerTest, AUnixSocketLetsInWhomItIsMeantFor) {
  TempDir folder;
  const std::string path = folder.File("sock");
  ServerOptions options;
  options.listen = {"unix:" + path};
  options.access.mode = 0620;
  const absl::StatusOr<RunningServer> running = StartServer(options, {});
  ASSERT_TRUE(running.ok()) << running.status();
  EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms{0620});
}

TEST_F(ServerTest, AnotherFileInTheSocketsPlaceIsLeftAlone) {
  TempDir folder;
  const std::string path = folder.File("precious");
  std::ofstream(path) << "data";
  ServerOptions options;
  options.listen = {"unix:" + path};
  EXPECT_EQ(StartServer(options, {}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(std::filesystem::is_regular_file(path));
}

TEST_F(ServerTest, ANameServesAtItsAddresses) {
  Start("localhost:0");
  EXPECT_GT(PortOf(address()), 0);
  EXPECT_FALSE(IsClosed(Dial()));
}

TEST_F(ServerTest, AnAddressThatIsTakenOrIsNoneIsRefused) {
  Start("127.0.0.1:0");
  ServerOptions options;
  options.listen = {address()};
  const absl::Status taken = StartServer(options, {}).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kFailedPrecondition) << taken;
  EXPECT_NE(taken.message().find(address()), absl::string_view::npos) << taken;
  options.listen = {"127.0.0.1"};
  EXPECT_EQ(ReasonOf(StartServer(options, {}).status()), v1::BAD_ARGUMENT);
}

}  // namespace
}  // namespace weft
