#include "server/platform/linux/packet_socket.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "gtest/gtest.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

// Echoes packets, with a descriptor; counts what it is told.
class Echo final : public PacketHandler {
 public:
  void OnConnected(ConnectionId id, const PeerCredentials& peer) override {
    absl::MutexLock lock(&mu);
    connected = id;
    credentials = peer;
  }
  void OnPacket(ConnectionId id, std::string packet) override {
    {
      absl::MutexLock lock(&mu);
      ++packets;
    }
    if (packet == "farewell") server->Send(id, packet, {});
    if (packet == "bye" || packet == "farewell") {
      server->Close(id);
      return;
    }
    const size_t copies = packet == "flood" ? 100'000 : 1;
    for (size_t i = 0; i < copies; ++i) {
      std::vector<UniqueFd> fds;
      if (copies == 1 && packet != "plain") fds.emplace_back(dup(0));
      server->Send(id, packet, std::move(fds));
    }
  }
  void OnClosed(ConnectionId) override {
    absl::MutexLock lock(&mu);
    ++closed;
  }
  void AwaitClosed(int count) {
    absl::MutexLock lock(&mu);
    wanted = count;
    mu.Await(absl::Condition(this, &Echo::AreClosed));
  }
  bool AreClosed() const { return closed >= wanted; }

  PacketServer* server = nullptr;
  absl::Mutex mu;
  ConnectionId connected = 0;
  PeerCredentials credentials;
  int packets = 0;
  int closed = 0;
  int wanted = 0;
};

class PacketSocketTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.path = dir_.File("sock");
    options_.max_connections = 2;
    auto listening = PacketSocket::Listen(options_);
    ASSERT_TRUE(listening.ok()) << listening.status();
    socket_ = *std::move(listening);
    echo_.server = socket_.get();
    thread_ = std::thread([this] { socket_->Run(echo_); });
  }
  void TearDown() override {
    socket_->Stop();
    thread_.join();
  }

  UniqueFd Connect() {
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    Dial(fd);
    return fd;
  }
  void Dial(const UniqueFd& fd) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, options_.path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  static void Say(const UniqueFd& fd, const std::string& text) {
    EXPECT_EQ(send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // What comes next, and how many descriptors with it; "" at the end.
  static std::string Hear(const UniqueFd& fd, size_t* fds = nullptr) {
    std::string text(kMaxPacketBytes, '\0');
    alignas(cmsghdr) char control[256];
    iovec data = {.iov_base = text.data(), .iov_len = text.size()};
    msghdr header = {};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(fd.get(), &header, 0);
    if (fds != nullptr) {
      const cmsghdr* part = CMSG_FIRSTHDR(&header);
      *fds = part == nullptr ? 0 : (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    }
    text.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return text;
  }

  TempDir dir_;
  PacketSocketOptions options_;
  Echo echo_;
  std::unique_ptr<PacketSocket> socket_;
  std::thread thread_;
};

TEST_F(PacketSocketTest, CarriesPacketsAndDescriptorsAndTheKernelsWord) {
  const UniqueFd client = Connect();
  Say(client, "hello");
  size_t fds = 0;
  EXPECT_EQ(Hear(client, &fds), "hello");
  EXPECT_EQ(fds, 1u);
  absl::MutexLock lock(&echo_.mu);
  EXPECT_EQ(echo_.credentials.pid, getpid());
  EXPECT_EQ(echo_.credentials.uid, getuid());
}

TEST_F(PacketSocketTest, ClosingEndsTheConnectionForBoth) {
  const UniqueFd client = Connect();
  Say(client, "bye");
  EXPECT_EQ(Hear(client), "");
  echo_.AwaitClosed(1);
}

TEST_F(PacketSocketTest, AClientThatLeavesIsNoticed) {
  {
    const UniqueFd client = Connect();
  }
  echo_.AwaitClosed(1);
}

TEST_F(PacketSocketTest, AClientThatDoesNotReadIsDisconnectedAndOthersAreNot) {
  const UniqueFd slow = Connect();
  const UniqueFd other = Connect();
  Say(slow, "flood");
  echo_.AwaitClosed(1);
  Say(other, "still here");
  EXPECT_EQ(Hear(other), "still here");
}

TEST_F(PacketSocketTest, ATooLongPacketEndsTheConnection) {
  const UniqueFd client = Connect();
  const int size = 1 << 20;
  setsockopt(client.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
  Say(client, std::string(kMaxPacketBytes + 1, 'x'));
  EXPECT_EQ(Hear(client), "");
  absl::MutexLock lock(&echo_.mu);
  EXPECT_EQ(echo_.packets, 0);
}

TEST_F(PacketSocketTest, TheLastWordsBeforeClosingAreHeard) {
  for (int i = 0; i < 100; ++i) {
    const UniqueFd client = Connect();
    Say(client, "farewell");
    send(client.get(), "unheard", 7, MSG_NOSIGNAL);
    EXPECT_EQ(Hear(client), "farewell");
    EXPECT_EQ(Hear(client), "");
    echo_.AwaitClosed(i + 1);
  }
}

TEST_F(PacketSocketTest, DescriptorsOfClientsAreNotKept) {
  const UniqueFd client = Connect();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  char text[] = "plain";
  iovec data = {.iov_base = text, .iov_len = 5};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* const part = CMSG_FIRSTHDR(&header);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(part), &ends[1], sizeof(int));
  // Newer kernels refuse it.
  const bool sent = sendmsg(client.get(), &header, MSG_NOSIGNAL) == 5;
  EXPECT_TRUE(sent || errno == EPERM) << errno;
  close(ends[1]);
  if (sent) {
    EXPECT_EQ(Hear(client), "plain");
  }
  char byte;
  EXPECT_EQ(read(reader.get(), &byte, 1), 0);
  Say(client, "plain");
  EXPECT_EQ(Hear(client), "plain");
}

// Whoever comes when there are no descriptors is turned away, and the rest go on.
TEST_F(PacketSocketTest, WithoutDescriptorsTheLoopGoesOn) {
  const UniqueFd client = Connect();
  Say(client, "plain");
  EXPECT_EQ(Hear(client), "plain");
  UniqueFd late(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  rlimit old = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const UniqueFd lowest_free(dup(0));
  const rlimit none = {.rlim_cur = static_cast<rlim_t>(lowest_free.get()),
                       .rlim_max = old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  Dial(late);
  char byte;
  EXPECT_EQ(recv(late.get(), &byte, 1, 0), 0);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  Say(client, "plain");
  EXPECT_EQ(Hear(client), "plain");
}

TEST_F(PacketSocketTest, OneConnectionTooManyIsClosed) {
  const UniqueFd first = Connect();
  const UniqueFd second = Connect();
  Say(second, "a");
  EXPECT_EQ(Hear(second), "a");
  const UniqueFd third = Connect();
  EXPECT_EQ(Hear(third), "");
}

TEST(PacketSocketListenTest, ALeftoverSocketIsReplacedAndATooLongPathRefused) {
  TempDir dir;
  PacketSocketOptions options;
  options.path = dir.File("sock");
  {
    ASSERT_TRUE(PacketSocket::Listen(options).ok());
  }
  EXPECT_TRUE(PacketSocket::Listen(options).ok());
  options.path = dir.File(std::string(200, 'x'));
  EXPECT_FALSE(PacketSocket::Listen(options).ok());
}

}  // namespace
}  // namespace weft
