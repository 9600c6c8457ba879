// The fd socket's protocol, with the grants behind it, as a client sees it.

#include "server/node/fd_service.h"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/fake_transport.h"
#include "server/node/manual_executor.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_random.h"

namespace weft {
namespace {

constexpr char kName[] = "pools/p/segments/s";
constexpr ConnectionId kClient = 5;

class FakePackets final : public PacketServer {
 public:
  void Send(ConnectionId connection, std::string packet, std::vector<UniqueFd> fds) override {
    v1::ServerMessage message;
    ASSERT_TRUE(message.ParseFromString(packet));
    sent[connection].push_back(std::move(message));
    fds_sent += fds.size();
  }
  void Close(ConnectionId connection) override { closed.insert(connection); }

  std::map<ConnectionId, std::vector<v1::ServerMessage>> sent;
  size_t fds_sent = 0;
  std::set<ConnectionId> closed;
};

class FakeBackend final : public Backend {
 public:
  v1::Backend kind() const override { return v1::EMULATED; }
  bool can_revoke() const override { return false; }
  DeadMan* dead_man() override { return nullptr; }
  absl::StatusOr<std::vector<v1::GrantAssignment>> Recall() override { return recalled; }
  absl::Status Prepare(const v1::GrantAssignment& grant) override {
    kept.insert(grant.grant().segment_id());
    return absl::OkStatus();
  }
  absl::StatusOr<HandleFiles> Open(const v1::GrantAssignment&, v1::AccessMode) override {
    if (!open_error.ok()) return open_error;
    HandleFiles files;
    files.fds.emplace_back(dup(0));
    files.devices = {"devices/d"};
    files.incarnation.emplace_back().set_device("devices/d");
    files.page_size = ByteCount(4096);
    return files;
  }
  absl::StatusOr<HandleFiles> Refresh(const v1::GrantAssignment&, v1::AccessMode,
                                      const std::set<std::string>& devices) override {
    refreshed_with = devices;
    return HandleFiles();
  }
  absl::StatusOr<std::set<SegmentId>> FindInUse(const std::vector<v1::GrantAssignment>&) override {
    ++inspections;
    return in_use;
  }
  absl::StatusOr<bool> TakeBack(const v1::GrantAssignment&) override { return false; }
  absl::Status Forget(const v1::GrantAssignment& grant) override {
    kept.erase(grant.grant().segment_id());
    return absl::OkStatus();
  }

  std::vector<v1::GrantAssignment> recalled;
  absl::Status open_error;
  std::set<uint64_t> kept;
  std::set<std::string> refreshed_with;
  std::set<SegmentId> in_use;
  int inspections = 0;
};

class FdServiceTest : public testing::Test {
 protected:
  FdServiceTest() {
    service_.SetKeeper(keeper_);
    keeper_.SetConnected(true);
    service_.OnConnected(kClient, {.pid = 10, .uid = 1000, .gid = 1000});
  }

  std::string HelloPacket() {
    v1::ClientMessage message;
    message.set_sequence(++sequence_);
    message.mutable_hello()->set_protocol_version(1);
    return message.SerializeAsString();
  }
  void Say(v1::ClientMessage message, ConnectionId connection = kClient) {
    message.set_sequence(++sequence_);
    service_.OnPacket(connection, message.SerializeAsString());
    executor_.Run();
  }
  void Hello(ConnectionId connection = kClient, const std::vector<v1::HandleState>& claims = {}) {
    v1::ClientMessage message;
    message.mutable_hello()->set_protocol_version(1);
    for (const v1::HandleState& claim : claims) *message.mutable_hello()->add_handles() = claim;
    Say(message, connection);
  }
  void Open(v1::AccessMode mode = v1::READ_WRITE, ConnectionId connection = kClient) {
    v1::ClientMessage message;
    message.mutable_open()->set_segment(kName);
    message.mutable_open()->set_mode(mode);
    Say(message, connection);
  }
  void Close(uint64_t handle) {
    v1::ClientMessage message;
    message.mutable_close()->set_handle_id(handle);
    Say(message);
  }
  v1::AcquireGrantResponse Granted() {
    v1::AcquireGrantResponse response;
    response.mutable_grant()->set_segment(kName);
    response.mutable_grant()->set_segment_id(7);
    response.mutable_grant()->set_mode(v1::READ_WRITE);
    response.mutable_grant()->mutable_token()->set_counter(1);
    response.mutable_segment()->set_name(kName);
    response.mutable_segment()->set_id(7);
    response.mutable_segment()->set_generation(1);
    response.mutable_segment()->set_coherence(v1::HARDWARE);
    response.set_revision(++revision_);
    return response;
  }
  // Answers the oldest acquire.
  void Grant(absl::StatusOr<v1::AcquireGrantResponse> response) {
    ASSERT_FALSE(transport_.acquires.empty());
    auto call = std::move(transport_.acquires.front());
    transport_.acquires.pop_front();
    call.done(std::move(response));
    executor_.Run();
  }
  void Released(const absl::Status& status = absl::OkStatus()) {
    ASSERT_FALSE(transport_.releases.empty());
    auto call = std::move(transport_.releases.front());
    transport_.releases.pop_front();
    call.done(status);
    executor_.Run();
  }
  uint64_t OpenHandle() {
    Open();
    Grant(Granted());
    return last().open().handle_id();
  }
  const v1::ServerMessage& last(ConnectionId connection = kClient) {
    return packets_.sent[connection].back();
  }

  FakeClock clock_;
  FakeRandom random_;
  ManualExecutor executor_{clock_};
  FakeTransport transport_;
  FakePackets packets_;
  FakeBackend backend_;
  NodeMetrics metrics_{clock_};
  Tickets tickets_{random_};
  absl::Status no_session_;
  FdService service_{{.host_id = "h",
                      .grpc_address = "unix:/x",
                      .max_unanswered = 3,
                      .max_acquires = 5,
                      .inbox = {.max_connections = 8}},
                     executor_,
                     clock_,
                     packets_,
                     tickets_,
                     metrics_};
  GrantKeeper keeper_{{executor_, executor_, clock_, transport_, backend_, metrics_},
                      {.max_handles_per_client = 2},
                      100,
                      [this](const std::string& principal) -> absl::StatusOr<CallIdentity> {
                        if (!no_session_.ok()) return no_session_;
                        return CallIdentity{"h", "1.1", principal};
                      },
                      [this](ConnectionId connection, const v1::ServerMessage& notice) {
                        service_.Notify(connection, notice);
                      }};
  uint64_t sequence_ = 0;
  uint64_t revision_ = 0;
};

TEST_F(FdServiceTest, WelcomesWithATicketBoundToTheConnection) {
  Hello();
  const v1::Welcome& welcome = last().welcome();
  EXPECT_EQ(welcome.principal(), "uid:1000@h");
  EXPECT_EQ(welcome.grpc_address(), "unix:/x");
  const auto user = tickets_.Find(welcome.ticket());
  ASSERT_TRUE(user.has_value());
  EXPECT_EQ(user->uid, 1000u);
  const std::string ticket = welcome.ticket();
  service_.OnClosed(kClient);
  executor_.Run();
  EXPECT_FALSE(tickets_.Find(ticket).has_value());
}

TEST_F(FdServiceTest, OpensInTheClientsNameAndGivesTheDescriptors) {
  Hello();
  Open();
  ASSERT_EQ(transport_.acquires.size(), 1u);
  EXPECT_EQ(transport_.acquires[0].caller.principal, "uid:1000@h");
  EXPECT_EQ(transport_.acquires[0].caller.session_id, "1.1");
  Grant(Granted());
  const v1::OpenReply& open = last().open();
  EXPECT_EQ(last().sequence(), sequence_);
  EXPECT_EQ(open.segment().id(), 7u);
  EXPECT_EQ(open.incarnation().devices(0).device(), "devices/d");
  EXPECT_EQ(open.page_size_bytes(), 4096u);
  EXPECT_EQ(packets_.fds_sent, 1u);
  EXPECT_EQ(backend_.kept, std::set<uint64_t>{7});
}

// Another acquire's answer may come late: the next daemon adopts the handle by the token under
// which it was opened.
TEST_F(FdServiceTest, TheReplyHasTheTokenUnderWhichTheSegmentIsOpened) {
  Hello();
  Open();
  const v1::AcquireGrantResponse early = Granted();
  v1::Assignments assignments;
  assignments.set_revision(++revision_);
  v1::Assignment& assignment = *assignments.add_upserts();
  assignment.set_key("grant/7");
  *assignment.mutable_grant()->mutable_grant() = early.grant();
  assignment.mutable_grant()->mutable_grant()->mutable_token()->set_counter(2);
  keeper_.Apply(assignments);
  Grant(early);
  EXPECT_EQ(last().open().token().counter(), 2u);
}

TEST_F(FdServiceTest, ACloseIsAnsweredOnceTheCoordinatorKnows) {
  Hello();
  const uint64_t handle = OpenHandle();
  const size_t sent = packets_.sent[kClient].size();
  Close(handle);
  ASSERT_EQ(transport_.releases.size(), 1u);
  EXPECT_EQ(packets_.sent[kClient].size(), sent);
  Released();
  EXPECT_TRUE(last().has_close());
  EXPECT_TRUE(backend_.kept.empty());
  EXPECT_EQ(backend_.inspections, 0);
}

TEST_F(FdServiceTest, AnOpenThatMeetsAReleaseWaitsForIt) {
  Hello();
  Close(OpenHandle());
  Open();
  EXPECT_TRUE(transport_.acquires.empty());
  Released();
  ASSERT_EQ(transport_.acquires.size(), 1u);
  Grant(Granted());
  EXPECT_TRUE(last().has_open());
}

TEST_F(FdServiceTest, AClientThatLeavesBeforeItsDescriptorLeavesNoGrant) {
  Hello();
  Open();
  service_.OnClosed(kClient);
  executor_.Run();
  Grant(Granted());
  EXPECT_EQ(keeper_.handles(), 0u);
  EXPECT_EQ(backend_.inspections, 1);
  Released();
  EXPECT_EQ(keeper_.grants(), 0u);
}

TEST_F(FdServiceTest, AGrantStaysWhileAChildOfADeadClientMapsIt) {
  Hello();
  OpenHandle();
  backend_.in_use = {SegmentId(7)};
  service_.OnClosed(kClient);
  executor_.Run();
  EXPECT_TRUE(transport_.releases.empty());
  backend_.in_use = {};
  executor_.Advance(absl::Seconds(2));
  Released();
  EXPECT_EQ(keeper_.grants(), 0u);
}

TEST_F(FdServiceTest, AnErrorOfTheCoordinatorIsTheClients) {
  Hello();
  Open();
  Grant(MakeError(absl::StatusCode::kFailedPrecondition, v1::HELD, "host-b has it"));
  EXPECT_EQ(last().error().reason(), "HELD");
  EXPECT_EQ(last().error().code(), static_cast<int>(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(last().error().message(), "host-b has it");
}

TEST_F(FdServiceTest, AnOpenThatFailsHereGivesTheGrantBack) {
  Hello();
  backend_.open_error = MakeError(absl::StatusCode::kDataLoss, v1::BACKING_FILE_DAMAGED, "short");
  Open();
  Grant(Granted());
  EXPECT_EQ(last().error().reason(), "BACKING_FILE_DAMAGED");
  Released();
  EXPECT_EQ(keeper_.grants(), 0u);
}

TEST_F(FdServiceTest, WithoutASessionNothingIsOpened) {
  no_session_ = MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "no session");
  Hello();
  Open();
  EXPECT_EQ(last().error().reason(), "UNREACHABLE");
  EXPECT_TRUE(transport_.acquires.empty());
}

TEST_F(FdServiceTest, AnotherIncarnationThanExpectedIsRefused) {
  Hello();
  v1::ClientMessage message;
  message.mutable_open()->set_segment(kName);
  message.mutable_open()->mutable_expected()->set_segment_id(7);
  message.mutable_open()->mutable_expected()->set_generation(9);
  Say(message);
  Grant(Granted());
  EXPECT_EQ(last().error().reason(), "STALE_GENERATION");
}

TEST_F(FdServiceTest, HardwareCoherenceThatIsNotThereIsRefused) {
  Hello();
  v1::ClientMessage message;
  message.mutable_open()->set_segment(kName);
  message.mutable_open()->set_require_hardware_coherence(true);
  Say(message);
  v1::AcquireGrantResponse response = Granted();
  response.mutable_segment()->set_coherence(v1::SOFTWARE);
  Grant(response);
  EXPECT_EQ(last().error().reason(), "NOT_COHERENT");
}

TEST_F(FdServiceTest, ARefreshAsksTheCoordinatorAndNamesNewDevicesOnly) {
  Hello();
  const uint64_t handle = OpenHandle();
  v1::ClientMessage message;
  message.mutable_refresh()->set_handle_id(handle);
  message.mutable_refresh()->add_devices("devices/d");
  Say(message);
  v1::AcquireGrantResponse response = Granted();
  response.mutable_segment()->set_size_bytes(4 << 20);
  Grant(response);
  EXPECT_EQ(last().refresh().segment().size_bytes(), uint64_t{4} << 20);
  EXPECT_EQ(backend_.refreshed_with, std::set<std::string>{"devices/d"});
}

TEST_F(FdServiceTest, AHandleOfAnotherClientIsNotReached) {
  Hello();
  const uint64_t handle = OpenHandle();
  service_.OnConnected(6, {.pid = 11, .uid = 1001, .gid = 1001});
  Hello(6);
  v1::ClientMessage refresh;
  refresh.mutable_refresh()->set_handle_id(handle);
  Say(refresh, 6);
  EXPECT_EQ(last(6).error().reason(), "STALE_GENERATION");
  v1::ClientMessage close;
  close.mutable_close()->set_handle_id(handle);
  Say(close, 6);
  EXPECT_TRUE(last(6).has_close());
  EXPECT_EQ(keeper_.handles(), 1u);
}

TEST_F(FdServiceTest, ARevokeIsToldToTheClient) {
  Hello();
  const uint64_t handle = OpenHandle();
  v1::Assignments assignments;
  assignments.set_revision(++revision_);
  v1::Assignment& assignment = *assignments.add_upserts();
  assignment.set_key("grant/7");
  *assignment.mutable_grant()->mutable_grant() = Granted().grant();
  assignment.mutable_grant()->mutable_grant()->set_state(v1::GRANT_REVOKING);
  assignment.mutable_grant()->set_grace_ms(30);
  keeper_.Apply(assignments);
  executor_.Run();
  EXPECT_EQ(last().sequence(), 0u);
  EXPECT_EQ(last().revoke().handle_id(), handle);
  EXPECT_EQ(last().revoke().grace_ms(), 30u);
  Close(handle);
  EXPECT_EQ(backend_.inspections, 1);
  Released();
  EXPECT_TRUE(last().has_close());
}

TEST_F(FdServiceTest, HandlesOfBeforeARestartAreAdoptedOrStale) {
  v1::GrantAssignment kept;
  *kept.mutable_grant() = Granted().grant();
  kept.set_generation(1);
  backend_.recalled = {kept};
  ASSERT_TRUE(keeper_.Recall().ok());
  v1::HandleState good;
  good.set_handle_id(1);
  good.set_segment(kName);
  good.set_segment_id(7);
  good.set_generation(1);
  *good.mutable_token() = kept.grant().token();
  good.set_mode(v1::READ_ONLY);
  v1::HandleState stale = good;
  stale.set_handle_id(2);
  stale.set_generation(0);
  Hello(kClient, {good, stale});
  ASSERT_EQ(last().welcome().stale_size(), 1);
  EXPECT_EQ(last().welcome().stale(0), 2u);
  EXPECT_EQ(keeper_.handles(), 1u);
}

TEST_F(FdServiceTest, GarbageEndsTheConnectionAndNothingElse) {
  service_.OnPacket(kClient, std::string("\xff\xff garbage"));
  executor_.Run();
  EXPECT_EQ(packets_.closed, std::set<ConnectionId>{kClient});
  EXPECT_TRUE(transport_.acquires.empty());
}

TEST_F(FdServiceTest, TheFirstMessageMustBeHelloAndOnlyTheFirst) {
  Open();
  EXPECT_EQ(packets_.closed.size(), 1u);
  service_.OnConnected(6, {});
  Hello(6);
  Hello(6);
  EXPECT_TRUE(packets_.closed.contains(6));
}

TEST_F(FdServiceTest, ANewerProtocolIsRefused) {
  v1::ClientMessage message;
  message.mutable_hello()->set_protocol_version(99);
  Say(message);
  EXPECT_EQ(last().error().reason(), "VERSION_TOO_NEW");
}

TEST_F(FdServiceTest, RequestsAndHandlesOfAClientAreBounded) {
  Hello();
  OpenHandle();
  OpenHandle();
  Open();
  EXPECT_EQ(last().error().reason(), "QUOTA");
  Close(last().sequence() + 12345);  // unknown: no error
  EXPECT_TRUE(last().has_close());
  service_.OnConnected(6, {});
  Hello(6);
  for (int i = 0; i < 3; ++i) Open(v1::READ_ONLY, 6);
  EXPECT_FALSE(packets_.closed.contains(6));
  Open(v1::READ_ONLY, 6);
  EXPECT_TRUE(packets_.closed.contains(6));
}

TEST_F(FdServiceTest, APoisonedSegmentIsOpenedOnlyByWhomItIsNoSurprise) {
  Hello();
  v1::AcquireGrantResponse poisoned = Granted();
  poisoned.mutable_segment()->add_bad_ranges()->set_offset_bytes(8192);
  poisoned.mutable_segment()->mutable_bad_ranges(0)->set_length_bytes(4096);
  Open();
  Grant(poisoned);
  EXPECT_EQ(last().error().reason(), "POISONED");
  EXPECT_EQ(keeper_.handles(), 0u);
  Released();
  v1::ClientMessage message;
  message.mutable_open()->set_segment(kName);
  message.mutable_open()->set_allow_poisoned(true);
  Say(message);
  poisoned.set_revision(++revision_);
  Grant(poisoned);
  const std::vector<v1::ServerMessage>& sent = packets_.sent[kClient];
  ASSERT_GE(sent.size(), 2u);
  const v1::ServerMessage& reply = sent[sent.size() - 2];
  EXPECT_EQ(reply.open().segment().bad_ranges(0).offset_bytes(), 8192u);
  EXPECT_EQ(last().sequence(), 0u);
  EXPECT_EQ(last().poison().handle_id(), reply.open().handle_id());
  EXPECT_EQ(last().poison().ranges(0).offset_bytes(), 8192u);
}

TEST_F(FdServiceTest, AClientThatFloodsIsDisconnectedAndOthersAreNot) {
  service_.OnConnected(6, {});
  for (int i = 0; i < 10'000 && packets_.closed.empty(); ++i) service_.OnPacket(6, "packet");
  EXPECT_EQ(packets_.closed, std::set<ConnectionId>{6});
  Hello();
  EXPECT_TRUE(last().has_welcome());
}

// However much clients have sent, the executor has one packet of it at a time.
TEST_F(FdServiceTest, ClientsHoldUpNoTimer) {
  size_t heard = 0;
  service_.OnPacket(kClient, HelloPacket());
  for (uint32_t uid = 1; uid <= 6; ++uid) {
    service_.OnConnected(10 + uid, {.pid = 1, .uid = uid});
    service_.OnPacket(10 + uid, HelloPacket());
  }
  executor_.Post([&] { heard = packets_.sent.size(); });
  executor_.Run();
  EXPECT_EQ(packets_.sent.size(), 7u);
  EXPECT_EQ(heard, 1u);
}

TEST_F(FdServiceTest, AConnectionBeyondItsUsersShareIsToldSoAndOthersAreWelcome) {
  // kClient has one of 8.
  for (ConnectionId id = 10; id < 14; ++id) service_.OnConnected(id, {.pid = 1, .uid = 7});
  EXPECT_TRUE(packets_.closed.empty());
  service_.OnConnected(14, {.pid = 1, .uid = 7});
  EXPECT_EQ(packets_.closed, std::set<ConnectionId>{14});
  EXPECT_EQ(last(14).sequence(), 0u);
  EXPECT_EQ(last(14).error().reason(), "OVERLOADED");
  service_.OnClosed(14);
  service_.OnConnected(15, {.pid = 1, .uid = 8});
  Hello(15);
  EXPECT_TRUE(last(15).has_welcome());
  for (const ConnectionId id : {10, 11}) service_.OnClosed(id);
  executor_.Run();
  service_.OnConnected(16, {.pid = 1, .uid = 7});
  Hello(16);
  EXPECT_TRUE(last(16).has_welcome());
}

TEST_F(FdServiceTest, AnOpenBeyondItsUsersShareIsToldToComeLater) {
  Hello();
  for (int i = 0; i < 3; ++i) Open();
  EXPECT_EQ(transport_.acquires.size(), 3u);
  service_.OnConnected(6, {.pid = 1, .uid = 1000});
  Hello(6);
  Open(v1::READ_WRITE, 6);
  EXPECT_EQ(last(6).error().reason(), "OVERLOADED");
  EXPECT_EQ(last(6).error().code(), static_cast<int>(absl::StatusCode::kResourceExhausted));
  service_.OnConnected(7, {.pid = 1, .uid = 7});
  Hello(7);
  Open(v1::READ_WRITE, 7);
  EXPECT_EQ(transport_.acquires.size(), 4u);
  Grant(Granted());
  Grant(Granted());
  Open(v1::READ_WRITE, 6);
  EXPECT_EQ(transport_.acquires.size(), 3u);
}

}  // namespace
}  // namespace weft
