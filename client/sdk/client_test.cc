// Connecting, opening and closing, against a weftd of the test's own. What goes over gRPC
// is in segments_test.cc.

#include "client/sdk/client.h"

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "client/sdk/testing/client_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft::sdk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(ClientTest, ConnectGivesUpAtOnceIfAsked) {
  weftd_.Stop();
  const absl::Status status = Client::Connect({.socket_path = weftd_.socket_path(),
                                               .connect_timeout = absl::ZeroDuration()})
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonName(status), "UNREACHABLE");
  EXPECT_THAT(std::string(status.message()), HasSubstr(weftd_.socket_path()));
}

TEST_F(ClientTest, ConnectFindsTheSocketByEnvironment) {
  setenv("WEFT_SOCKET", weftd_.socket_path().c_str(), 1);
  auto client = Client::Connect();
  unsetenv("WEFT_SOCKET");
  ASSERT_TRUE(client.ok()) << client.status();
  const auto endpoint = (*client)->GetEndpoint();
  ASSERT_TRUE(endpoint.ok());
  EXPECT_EQ(endpoint->ticket, weftd_.ticket());
  EXPECT_EQ(endpoint->host_id, "host-a");
  EXPECT_EQ(endpoint->principal, "uid:1@host-a");
  EXPECT_EQ(endpoint->grpc_address, "unix:" + weftd_.grpc_path());
}

TEST_F(ClientTest, ATicketThatCannotTravelIsRefused) {
  weftd_.Intercept([](const auto& peer, const v1::ClientMessage& message) {
    v1::ServerMessage reply;
    reply.set_sequence(message.sequence());
    reply.mutable_welcome()->set_ticket("\x01\x02");
    peer->Send(reply);
    return true;
  });
  EXPECT_EQ(Client::Connect({.socket_path = weftd_.socket_path()}).status().code(),
            absl::StatusCode::kInternal);
}

TEST_F(ClientTest, BadNamesNeverLeave) {
  Connect();
  for (const char* name : {"", "s", "p/", "/s", "p/s/t", "P/s", "pools/p/segments/s"}) {
    EXPECT_EQ(ReasonName(client_->Open(name, AccessMode::kReadOnly).status()), "BAD_NAME") << name;
  }
}

TEST_F(ClientTest, OpenGivesWeftdsError) {
  Connect();
  const absl::Status status = client_->Open(kName, AccessMode::kReadOnly).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonName(status), "SEGMENT_NOT_FOUND");
  EXPECT_THAT(std::string(status.message()), HasSubstr("open p/s: "));
}

TEST_F(ClientTest, AHandleSaysWhatItIs) {
  SetSimple(3);
  Connect();
  const Handle handle = Open();
  EXPECT_EQ(handle.mode(), AccessMode::kReadWrite);
  EXPECT_EQ(handle.backend(), Backend::kEmulated);
  EXPECT_EQ(handle.token(), (Token{1, handle.id()}));
  EXPECT_EQ(handle.page_size_bytes(), kPage);
  EXPECT_EQ(handle.size_bytes(), 3 * kUnit);
  EXPECT_EQ(handle.state(), HandleState::kLive);
  EXPECT_EQ(handle.fd(), -1);
  EXPECT_EQ(handle.segment().name, kName);
  EXPECT_EQ(handle.segment().coherence, Coherence::kSoftware);
  const std::string device = weftd_.last_open().devices(0);
  EXPECT_THAT(handle.segment().runs, ElementsAre(sdk::Run{{{device, 0, 3 * kUnit}}, 0}));
  EXPECT_EQ(handle.incarnation(), (Incarnation{7, 1, {{device, 1}}}));
}

TEST_F(ClientTest, OpenAsksForWhatTheOptionsSay) {
  SetSimple();
  Connect();
  const Incarnation incarnation = Open().incarnation();
  v1::OpenRequest request;
  weftd_.Intercept([&](const auto&, const v1::ClientMessage& message) {
    if (message.has_open()) request = message.open();
    return false;
  });
  ASSERT_TRUE(
      client_
          ->Open(
              kName, AccessMode::kReadOnly,
              {.require_hardware_coherence = true, .expected = incarnation, .allow_poisoned = true})
          .ok());
  EXPECT_EQ(request.mode(), v1::READ_ONLY);
  EXPECT_TRUE(request.require_hardware_coherence());
  EXPECT_TRUE(request.allow_poisoned());
  EXPECT_EQ(request.expected().segment_id(), 7);
  EXPECT_EQ(request.expected().generation(), 1);
  EXPECT_EQ(request.expected().devices(0).device(), incarnation.devices[0].device);
}

TEST_F(ClientTest, AnotherGenerationMakesTheHandleStale) {
  v1::Segment segment = SetSimple();
  Connect();
  Handle handle = Open();
  segment.set_generation(2);
  weftd_.SetSegment(segment);
  EXPECT_EQ(ReasonName(handle.Refresh()), "STALE_GENERATION");
  EXPECT_EQ(handle.state(), HandleState::kStale);
  EXPECT_EQ(ReasonName(handle.Map().status()), "STALE_GENERATION");
}

TEST_F(ClientTest, CloseIsKnownToWeftdWhenItReturns) {
  SetSimple();
  Connect();
  Handle handle = Open();
  EXPECT_THAT(weftd_.handles(), ElementsAre(handle.id()));
  EXPECT_TRUE(handle.Close().ok());
  EXPECT_THAT(weftd_.handles(), IsEmpty());
}

TEST_F(ClientTest, AMappingKeepsItsHandleOpen) {
  SetSimple();
  Connect();
  Handle handle = Open();
  std::vector<Mapping> mappings;
  mappings.push_back(Map(handle));
  mappings.push_back(Map(handle));
  EXPECT_TRUE(handle.Close().ok());
  mappings.erase(mappings.begin());
  EXPECT_EQ(weftd_.handles().size(), 1);
  Fill(mappings[0]);
  mappings.clear();
  EXPECT_TRUE(weftd_.AwaitHandles(0));
}

TEST_F(ClientTest, AMappingCanBeAssignedOver) {
  SetSimple();
  Connect();
  Handle first = Open();
  Handle second = Open();
  Mapping mapping = Map(first);
  ASSERT_TRUE(first.Close().ok());
  mapping = Map(second);
  EXPECT_TRUE(weftd_.AwaitHandles(1));
  EXPECT_THAT(weftd_.handles(), ElementsAre(second.id()));
  Fill(mapping);
}

TEST_F(ClientTest, HandlesOutliveTheClient) {
  SetSimple();
  Connect();
  Handle handle = Open();
  client_.reset();
  Fill(Map(handle));
  EXPECT_TRUE(handle.Close().ok());
  EXPECT_THAT(weftd_.handles(), IsEmpty());
}

// What weftd may send wrongly; every one must leave no handle behind.
TEST_F(ClientTest, SenselessHandlesAreRefusedAndGivenBack) {
  const std::vector<std::pair<std::string, std::function<void(v1::OpenReply&)>>> cases = {
      {"page size", [](v1::OpenReply& reply) { reply.set_page_size_bytes(0); }},
      {"page size", [](v1::OpenReply& reply) { reply.set_page_size_bytes(12288); }},
      {"descriptors", [](v1::OpenReply& reply) { reply.add_devices("devices/9"); }},
      {"descriptors", [](v1::OpenReply& reply) { reply.clear_devices(); }},
      {"backend", [](v1::OpenReply& reply) { reply.set_backend(v1::BACKEND_UNSPECIFIED); }},
      {"impossible size", [](v1::OpenReply& reply) { reply.mutable_segment()->set_size_bytes(0); }},
      {"runs of", [](v1::OpenReply& reply) { reply.mutable_segment()->set_size_bytes(kPage); }},
  };
  SetSimple();
  Connect();
  Open().Close().IgnoreError();
  const v1::OpenReply good = weftd_.last_open();
  for (const auto& [what, spoil] : cases) {
    v1::ServerMessage reply;
    *reply.mutable_open() = good;
    spoil(*reply.mutable_open());
    reply.mutable_open()->set_handle_id(1000);
    {
      absl::MutexLock lock(&mu_);
      closed_ = false;
    }
    weftd_.Intercept([&](const auto& peer, const v1::ClientMessage& message) {
      if (message.has_open()) {
        reply.set_sequence(message.sequence());
        peer->Send(reply, {weftd_.device_fd(good.devices(0))});
        return true;
      }
      absl::MutexLock lock(&mu_);
      closed_ = message.close().handle_id() == 1000;
      return false;
    });
    const absl::Status status = client_->Open(kName, AccessMode::kReadOnly).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr(what));
    absl::MutexLock lock(&mu_);
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&closed_), absl::Minutes(1))) << what;
  }
}

TEST_F(ClientTest, AnOpenThatComesTooLateIsGivenBack) {
  SetSimple();
  auto client = ConnectWith({.call_timeout = absl::Milliseconds(50)});
  std::vector<std::function<void()>> late;
  weftd_.Intercept([&](const auto& peer, const v1::ClientMessage& message) {
    if (!message.has_open()) return false;
    absl::MutexLock lock(&mu_);
    late.push_back([peer, sequence = message.sequence()] {
      v1::ServerMessage reply;
      reply.set_sequence(sequence);
      reply.mutable_open()->set_handle_id(5);
      peer->Send(reply);
    });
    return true;
  });
  EXPECT_EQ(client->Open(kName, AccessMode::kReadOnly).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  const auto arrived = [&late] { return !late.empty(); };
  {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&arrived));
  }
  weftd_.Intercept([&](const auto&, const v1::ClientMessage& message) {
    absl::MutexLock lock(&mu_);
    closed_ = message.close().handle_id() == 5;
    return false;
  });
  absl::MutexLock lock(&mu_);
  for (const auto& send : late) send();
  EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&closed_), absl::Minutes(1)));
}

TEST_F(ClientTest, ManyThreadsShareAClient) {
  SetSimple();
  Connect();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      for (int round = 0; round < 20; ++round) {
        Handle handle = Open();
        {
          const Mapping mapping = Map(handle);
        }
        EXPECT_TRUE(handle.Close().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(weftd_.handles(), IsEmpty());
}

}  // namespace
}  // namespace weft::sdk
