// A client that asks for all it can, within every limit, costs the host neither its lease nor
// its other clients.

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "server/core/types.h"
#include "server/platform/unique_fd.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

using sdk::AccessMode;

constexpr uint64_t kSize = 4 * kExtentUnit.value();
// Short, and so long that a busy machine renews in time.
constexpr absl::Duration kTtl = absl::Seconds(9);
// So many requests, and each so tedious, that the daemon has some to answer whenever it looks.
constexpr int kConnections = 64;
constexpr size_t kUnanswered = 60;
constexpr int kNames = 2000;
// Of three kinds: with the client's own below its share.
constexpr int kCalls = 32;

// Connections that always have kUnanswered requests under way, and a thread to see to it.
class FdFlood {
 public:
  explicit FdFlood(const std::string& path) {
    for (int i = 0; i < kConnections; ++i) Connect(path);
    thread_ = std::thread([this] { Run(); });
  }
  ~FdFlood() {
    stop_ = true;
    thread_.join();
  }

  size_t answers() const { return answers_; }
  // weftd hung up on one.
  bool dropped() const { return dropped_; }

 private:
  static std::string Packet(v1::ClientMessage message) {
    message.set_sequence(1);
    return message.SerializeAsString();
  }
  void Connect(const std::string& path) {
    UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    ASSERT_EQ(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    v1::ClientMessage hello;
    hello.mutable_hello()->set_protocol_version(1);
    const std::string packet = Packet(hello);
    ASSERT_EQ(send(fd.get(), packet.data(), packet.size(), 0), ssize_t(packet.size()));
    std::array<char, 1024> welcome;
    ASSERT_GT(recv(fd.get(), welcome.data(), welcome.size(), 0), 0);
    polls_.push_back({.fd = fd.get(), .events = POLLIN, .revents = 0});
    sockets_.push_back(std::move(fd));
  }

  void Run() {
    for (const pollfd& entry : polls_) Ask(entry.fd, kUnanswered);
    while (!stop_ && !dropped_) {
      poll(polls_.data(), polls_.size(), -1);
      for (const pollfd& entry : polls_) {
        if (entry.revents != 0) Ask(entry.fd, Hear(entry.fd));
      }
    }
  }
  // How many answers have come.
  size_t Hear(int fd) {
    std::array<std::array<char, 64>, kUnanswered> buffers;
    std::array<iovec, kUnanswered> data;
    std::array<mmsghdr, kUnanswered> messages = {};
    for (size_t i = 0; i < kUnanswered; ++i) {
      data[i] = {.iov_base = buffers[i].data(), .iov_len = buffers[i].size()};
      messages[i].msg_hdr.msg_iov = &data[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(fd, messages.data(), kUnanswered, MSG_DONTWAIT, nullptr);
    if (count < 0 || messages[0].msg_len == 0) {
      dropped_ = true;
      return 0;
    }
    answers_ += static_cast<size_t>(count);
    return static_cast<size_t>(count);
  }
  // To refresh handles that nobody has.
  void Ask(int fd, size_t count) {
    iovec data = {.iov_base = request_.data(), .iov_len = request_.size()};
    std::array<mmsghdr, kUnanswered> messages = {};
    for (mmsghdr& message : messages) {
      message.msg_hdr.msg_iov = &data;
      message.msg_hdr.msg_iovlen = 1;
    }
    for (size_t sent = 0; sent < count;) {
      const int now =
          sendmmsg(fd, &messages[sent], static_cast<unsigned>(count - sent), MSG_NOSIGNAL);
      if (now < 0) {
        dropped_ = true;
        return;
      }
      sent += static_cast<size_t>(now);
    }
  }

  std::string request_ = [] {
    v1::ClientMessage message;
    message.mutable_refresh()->set_handle_id(12345);
    for (int i = 0; i < kNames; ++i) message.mutable_refresh()->add_devices();
    return Packet(message);
  }();
  std::vector<UniqueFd> sockets_;
  std::vector<pollfd> polls_;
  std::atomic<bool> stop_ = false;
  std::atomic<bool> dropped_ = false;
  std::atomic<size_t> answers_ = 0;
  std::thread thread_;
};

// Calls that are made again as soon as they are answered.
class CallFlood {
 public:
  explicit CallFlood(const sdk::Client::Endpoint& endpoint)
      : ticket_(endpoint.ticket),
        channel_(grpc::CreateChannel(endpoint.grpc_address, grpc::InsecureChannelCredentials())),
        node_(v1::NodeService::NewStub(channel_)),
        segments_(v1::SegmentService::NewStub(channel_)) {
    get_.set_name("pools/p/segments/s");
    for (int i = 0; i < kCalls; ++i) {
      Repeat<v1::NodeStatus>([this](auto* context, auto* reply, auto done) {
        node_->async()->GetNodeStatus(context, &status_, reply, std::move(done));
      });
      Repeat<v1::ListLocalDevicesResponse>([this](auto* context, auto* reply, auto done) {
        node_->async()->ListLocalDevices(context, &list_, reply, std::move(done));
      });
      Repeat<v1::Segment>([this](auto* context, auto* reply, auto done) {
        segments_->async()->GetSegment(context, &get_, reply, std::move(done));
      });
    }
  }
  ~CallFlood() {
    stop_ = true;
    left_.Wait();
  }

  size_t answers() const { return answers_; }

 private:
  template <typename Reply, typename Start>
  void Repeat(Start start) {
    struct Call {
      grpc::ClientContext context;
      Reply reply;
    };
    auto call = std::make_shared<Call>();
    call->context.AddMetadata("weft-ticket", ticket_);
    start(&call->context, &call->reply, [this, call, start](const grpc::Status& status) {
      if (status.ok()) ++answers_;
      if (stop_) {
        left_.DecrementCount();
      } else {
        Repeat<Reply>(start);
      }
    });
  }

  const std::string ticket_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::NodeService::Stub> node_;
  const std::unique_ptr<v1::SegmentService::Stub> segments_;
  const v1::GetNodeStatusRequest status_;
  const v1::ListLocalDevicesRequest list_;
  v1::GetSegmentRequest get_;
  std::atomic<bool> stop_ = false;
  std::atomic<size_t> answers_ = 0;
  absl::BlockingCounter left_{3 * kCalls};
};

class FloodTest : public testing::Test {
 protected:
  std::unique_ptr<sdk::Client> Connect() {
    auto client =
        cluster_.Connect("host-a", {.connect_timeout = absl::Minutes(1), .call_timeout = kTtl});
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  // Each within the client's time for a call.
  static void OpenUseClose(sdk::Client& client, std::byte value) {
    auto handle = client.Open("p/s", AccessMode::kReadWrite);
    ASSERT_TRUE(handle.ok()) << handle.status();
    {
      auto mapping = handle->Map();
      ASSERT_TRUE(mapping.ok()) << mapping.status();
      mapping->data()[0] = value;
      EXPECT_EQ(mapping->data()[0], value);
    }
    const absl::Status closed = handle->Close();
    ASSERT_TRUE(closed.ok()) << closed;
  }

  Cluster cluster_{{.session_ttl = kTtl}};
};

TEST_F(FloodTest, AFloodWithinAllLimitsCostsNobodyAnything) {
  const absl::Status started = cluster_.StartWithPool();
  ASSERT_TRUE(started.ok()) << started;
  const auto client = Connect();
  ASSERT_NE(client, nullptr);
  const auto created = client->CreateSegment("p/s", kSize);
  ASSERT_TRUE(created.ok()) << created.status();
  const auto before = Cluster::StatusOf(*client);
  ASSERT_TRUE(before.ok()) << before.status();
  const std::string log_before = cluster_.Log("host-a");
  const auto greedy = Connect();
  ASSERT_NE(greedy, nullptr);
  const auto endpoint = greedy->GetEndpoint();
  ASSERT_TRUE(endpoint.ok()) << endpoint.status();

  size_t answers = 0;
  size_t rounds = 0;
  {
    FdFlood requests(cluster_.fd_socket("host-a"));
    CallFlood calls(*endpoint);
    const absl::Time end = absl::Now() + 1.5 * kTtl;
    for (; absl::Now() < end && !HasFatalFailure(); ++rounds) {
      OpenUseClose(*client, static_cast<std::byte>(rounds));
    }
    EXPECT_FALSE(requests.dropped());
    EXPECT_GT(calls.answers(), 0u);
    answers = requests.answers();
  }
  EXPECT_GT(answers, size_t{100} * kConnections);
  RecordProperty("answers", static_cast<int>(answers));
  RecordProperty("rounds", static_cast<int>(rounds));
  const auto after = Cluster::StatusOf(*client);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->session_id(), before->session_id());
  const std::string log = cluster_.Log("host-a").substr(log_before.size());
  for (const char* const event : {" registered ", " disconnected ", " lease_expired "}) {
    EXPECT_THAT(log, testing::Not(testing::HasSubstr(event)));
  }
}

}  // namespace
}  // namespace weft
