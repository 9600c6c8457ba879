#include "client/sdk/internal/fd_channel.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/testing/fd_server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"

namespace weft::sdk {
namespace {

using ::testing::HasSubstr;
using PeerPtr = std::shared_ptr<FdServer::Peer>;

size_t OpenFds() {
  size_t count = 0;
  DIR* const directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

v1::ClientMessage OpenRequest(const std::string& segment) {
  v1::ClientMessage message;
  message.mutable_open()->set_segment(segment);
  return message;
}

v1::ServerMessage OpenReply(uint64_t sequence, uint64_t handle_id) {
  v1::ServerMessage message;
  message.set_sequence(sequence);
  message.mutable_open()->set_handle_id(handle_id);
  return message;
}

Deadline Minute() { return Deadline::After(absl::Minutes(1)); }

// A server, a channel to it, and the thread that runs the channel.
class FdChannelTest : public ::testing::Test {
 protected:
  ~FdChannelTest() override {
    if (channel_ != nullptr) channel_->Shutdown();
    if (runner_.joinable()) runner_.join();
    server_.reset();
  }

  // `serve` sees everything after Hello.
  void Start(FdServer::Handler serve) {
    server_ = std::make_unique<FdServer>(
        path_, [serve = std::move(serve)](PeerPtr peer, const v1::ClientMessage& message) {
          if (!message.has_hello()) return serve(peer, message);
          v1::ServerMessage welcome;
          welcome.set_sequence(message.sequence());
          welcome.mutable_welcome()->set_ticket("ticket");
          peer->Send(welcome);
        });
    auto channel = FdChannel::Dial(path_);
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *std::move(channel);
    const auto welcome = channel_->Greet(v1::Hello(), Minute());
    ASSERT_TRUE(welcome.ok()) << welcome.status();
    EXPECT_EQ(welcome->ticket(), "ticket");
    runner_ = std::thread([this] {
      const absl::Status end =
          channel_->Run([this](const v1::ServerMessage& message, bool awaited) {
            absl::MutexLock lock(&mu_);
            seen_.emplace_back(message, awaited);
          });
      absl::MutexLock lock(&mu_);
      end_ = end;
      ended_ = true;
    });
  }

  // Waits for the end of the connection.
  absl::Status End() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&ended_));
    return end_;
  }

  // The `count` messages that the observer saw first, with whether they were awaited.
  std::vector<std::pair<v1::ServerMessage, bool>> Seen(size_t count) {
    const auto reached = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return seen_.size() >= count; };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&reached));
    return seen_;
  }

  const TempDir folder_;
  const std::string path_ = folder_.File("fd.sock");
  std::unique_ptr<FdServer> server_;
  std::unique_ptr<FdChannel> channel_;
  std::thread runner_;
  absl::Mutex mu_;
  std::vector<std::pair<v1::ServerMessage, bool>> seen_ ABSL_GUARDED_BY(mu_);
  absl::Status end_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
};

TEST_F(FdChannelTest, DialSaysWhatToDo) {
  const absl::Status status = FdChannel::Dial(path_).status();
  EXPECT_EQ(ReasonOf(status), v1::UNREACHABLE);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  EXPECT_THAT(std::string(status.message()), HasSubstr("is weftd running"));
  EXPECT_EQ(ReasonOf(FdChannel::Dial(std::string(200, 'x')).status()), v1::UNREACHABLE);
}

TEST_F(FdChannelTest, RepliesFindTheirCallersInAnyOrder) {
  std::pair<PeerPtr, uint64_t> first;
  Start([&first](PeerPtr peer, const v1::ClientMessage& message) {
    if (first.first == nullptr) {
      first = {peer, message.sequence()};
      return;
    }
    peer->Send(OpenReply(message.sequence(), 2));
    first.first->Send(OpenReply(first.second, 1));
  });
  uint64_t ids[2] = {};
  std::thread other(
      [&] { ids[0] = channel_->Call(OpenRequest("a"), Minute())->message.open().handle_id(); });
  ids[1] = channel_->Call(OpenRequest("b"), Minute())->message.open().handle_id();
  other.join();
  EXPECT_EQ(ids[0] + ids[1], 3);
}

TEST_F(FdChannelTest, DescriptorsArriveCloseOnExec) {
  Start([](PeerPtr peer, const v1::ClientMessage& message) {
    int pipe_fds[2] = {};
    ASSERT_EQ(pipe(pipe_fds), 0);
    peer->Send(OpenReply(message.sequence(), 1), {pipe_fds[0], pipe_fds[1]});
    close(pipe_fds[0]);
    close(pipe_fds[1]);
  });
  const auto reply = channel_->Call(OpenRequest("a"), Minute());
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->fds.size(), 2);
  EXPECT_EQ(fcntl(reply->fds[0].get(), F_GETFD), FD_CLOEXEC);
  ASSERT_EQ(write(reply->fds[1].get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(reply->fds[0].get(), &byte, 1), 1);
}

TEST_F(FdChannelTest, ErrorsKeepCodeReasonAndMessage) {
  Start([](PeerPtr peer, const v1::ClientMessage& message) {
    v1::ServerMessage reply;
    reply.set_sequence(message.sequence());
    reply.mutable_error()->set_code(9);
    reply.mutable_error()->set_reason("HELD");
    reply.mutable_error()->set_message("host-b has it");
    peer->Send(reply);
  });
  const absl::Status status = channel_->Call(OpenRequest("a"), Minute()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(status), v1::HELD);
  EXPECT_EQ(status.message(), "host-b has it");
}

TEST_F(FdChannelTest, NoticesReachTheObserver) {
  Start([](PeerPtr peer, const v1::ClientMessage& message) {
    v1::ServerMessage notice;
    notice.mutable_revoke()->set_handle_id(7);
    peer->Send(notice);
    peer->Send(OpenReply(message.sequence(), 1));
  });
  ASSERT_TRUE(channel_->Call(OpenRequest("a"), Minute()).ok());
  const auto seen = Seen(2);
  EXPECT_EQ(seen[0].first.revoke().handle_id(), 7);
  EXPECT_FALSE(seen[0].second);
  EXPECT_EQ(seen[1].first.open().handle_id(), 1);
  EXPECT_TRUE(seen[1].second);
}

// Each ends the connection, fails the caller, and leaves no descriptor behind.
TEST_F(FdChannelTest, GarbageEndsTheConnection) {
  const std::vector<std::pair<std::string, FdServer::Handler>> cases = {
      {"cannot be parsed",
       [](PeerPtr peer, const v1::ClientMessage&) { peer->SendBytes("\xff\xff\xff", {0, 1}); }},
      {"nothing that was asked",
       [](PeerPtr peer, const v1::ClientMessage& message) {
         peer->Send(OpenReply(message.sequence() + 1, 1), {0, 1});
       }},
      {"more than 128 KiB",
       [](PeerPtr peer, const v1::ClientMessage&) {
         peer->SendBytes(std::string((128 << 10) + 1, 'x'), {0, 1});
       }},
      {"closed it", [](PeerPtr peer, const v1::ClientMessage&) { peer->HangUp(); }},
  };
  const size_t before = OpenFds();
  for (const auto& [what, handler] : cases) {
    {
      absl::MutexLock lock(&mu_);
      ended_ = false;
    }
    Start(handler);
    const absl::Status status = channel_->Call(OpenRequest("a"), Minute()).status();
    EXPECT_EQ(ReasonOf(status), v1::UNREACHABLE) << what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(what));
    EXPECT_THAT(std::string(End().message()), HasSubstr(what));
    EXPECT_EQ(ReasonOf(channel_->Call(OpenRequest("a"), Minute()).status()), v1::UNREACHABLE);
    runner_.join();
    channel_.reset();
    server_.reset();
    EXPECT_EQ(OpenFds(), before) << what;
  }
}

TEST_F(FdChannelTest, AReplyAfterTheDeadlineIsNotAwaited) {
  std::pair<PeerPtr, uint64_t> late;
  Start([&late](PeerPtr peer, const v1::ClientMessage& message) {
    late = {peer, message.sequence()};
    if (message.has_close()) {
      peer->Send(OpenReply(message.sequence() - 1, 5), {0, 1});
      v1::ServerMessage closed;
      closed.set_sequence(message.sequence());
      closed.mutable_close();
      peer->Send(closed);
    }
  });
  const size_t before = OpenFds();
  const absl::Status status =
      channel_->Call(OpenRequest("a"), Deadline::After(absl::Milliseconds(1))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  v1::ClientMessage close;
  close.mutable_close();
  ASSERT_TRUE(channel_->Call(close, Minute()).ok());
  const auto seen = Seen(2);
  EXPECT_EQ(seen[0].first.open().handle_id(), 5);
  EXPECT_FALSE(seen[0].second);
  EXPECT_EQ(OpenFds(), before);
}

TEST_F(FdChannelTest, NoMoreThanTheProtocolAllowsAreUnanswered) {
  Start([](PeerPtr, const v1::ClientMessage&) {});
  const Deadline passed = Deadline::After(absl::ZeroDuration());
  for (size_t i = 0; i < FdChannel::kMaxUnanswered; ++i) {
    EXPECT_THAT(std::string(channel_->Call(OpenRequest("a"), passed).status().message()),
                HasSubstr("does not answer"));
  }
  const absl::Status status = channel_->Call(OpenRequest("a"), passed).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(status.message()), HasSubstr("64 requests unanswered"));
}

TEST_F(FdChannelTest, DescriptorsThatDoNotFitAreQuota) {
  Start([](PeerPtr peer, const v1::ClientMessage& message) {
    peer->Send(OpenReply(message.sequence(), 5), {0, 1, 2});
  });
  rlimit old = {};
  getrlimit(RLIMIT_NOFILE, &old);
  // The lowest number that is free: one descriptor fits, three do not.
  const int next = dup(0);
  close(next);
  const rlimit tight = {.rlim_cur = static_cast<rlim_t>(next) + 1, .rlim_max = old.rlim_max};
  setrlimit(RLIMIT_NOFILE, &tight);
  const absl::Status status = channel_->Call(OpenRequest("a"), Minute()).status();
  setrlimit(RLIMIT_NOFILE, &old);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), v1::QUOTA);
  EXPECT_FALSE(Seen(1)[0].second);
  const int after = dup(0);
  EXPECT_EQ(after, next) << "a descriptor was left open";
  close(after);
}

TEST_F(FdChannelTest, GreetGivesWeftdsError) {
  server_ = std::make_unique<FdServer>(path_, [](PeerPtr peer, const v1::ClientMessage& message) {
    v1::ServerMessage reply;
    reply.set_sequence(message.sequence());
    reply.mutable_error()->set_code(9);
    reply.mutable_error()->set_reason("VERSION_TOO_NEW");
    peer->Send(reply);
  });
  auto channel = FdChannel::Dial(path_);
  ASSERT_TRUE(channel.ok());
  EXPECT_EQ(ReasonOf((*channel)->Greet(v1::Hello(), Minute()).status()), v1::VERSION_TOO_NEW);
}

TEST_F(FdChannelTest, GreetGivesTheErrorOfAConnectionThatIsRefused) {
  server_ = std::make_unique<FdServer>(path_, [](PeerPtr peer, const v1::ClientMessage&) {
    v1::ServerMessage refusal;
    refusal.mutable_error()->set_code(8);
    refusal.mutable_error()->set_reason("OVERLOADED");
    peer->Send(refusal);
    peer->HangUp();
  });
  auto channel = FdChannel::Dial(path_);
  ASSERT_TRUE(channel.ok());
  EXPECT_EQ(ReasonOf((*channel)->Greet(v1::Hello(), Minute()).status()), v1::OVERLOADED);
}

TEST_F(FdChannelTest, GreetKeepsItsDeadline) {
  server_ = std::make_unique<FdServer>(path_, [](PeerPtr, const v1::ClientMessage&) {});
  auto channel = FdChannel::Dial(path_);
  ASSERT_TRUE(channel.ok());
  EXPECT_EQ((*channel)->Greet(v1::Hello(), Deadline::After(absl::Milliseconds(1))).status().code(),
            absl::StatusCode::kDeadlineExceeded);
}

}  // namespace
}  // namespace weft::sdk
