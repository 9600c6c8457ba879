#include "server/node/session.h"

#include <optional>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/fake_transport.h"
#include "server/node/manual_executor.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_random.h"

namespace weft {
namespace {

class SessionTest : public testing::Test, protected SessionObserver {
 protected:
  SessionTest() : session_(executor_, clock_, random_, transport_, *this, nullptr) {
    session_.Start();
    executor_.Run();
  }

  v1::Register MakeRegister() override {
    v1::Register request;
    request.set_host_id("h");
    return request;
  }
  void OnRegistered(const v1::Registered&) override { ++registrations_; }
  void OnAssignments(const v1::Assignments&) override { ++assignments_; }
  void OnLeaseExtended(BootTime deadline) override { deadline_ = deadline; }
  void OnDisconnected() override { ++disconnects_; }
  void OnLeaseExpired() override { ++expiries_; }
  void OnRefused(const absl::Status& status) override { refused_ = status; }
  void OnInventoryRequest(const v1::InventoryRequest&) override {}
  void OnResync() override {}

  void Say(const v1::CoordinatorMessage& message) {
    transport_.stream().on_message(message);
    executor_.Run();
  }
  void Register(const std::string& session_id = "1.1") {
    v1::CoordinatorMessage message;
    message.mutable_registered()->set_session_id(session_id);
    message.mutable_registered()->set_ttl_ms(9000);
    Say(message);
  }
  void End(absl::StatusCode code, v1::Reason reason) {
    transport_.stream().on_end(MakeError(code, reason, "over"));
    executor_.Run();
  }
  // Confirms the renewal sent last.
  void Confirm() {
    v1::CoordinatorMessage message;
    message.mutable_renewed()->set_sequence(transport_.stream().sent.back().renew().sequence());
    Say(message);
  }

  FakeClock clock_;
  FakeRandom random_;
  ManualExecutor executor_{clock_};
  FakeTransport transport_;
  int registrations_ = 0;
  int assignments_ = 0;
  int disconnects_ = 0;
  int expiries_ = 0;
  BootTime deadline_;
  std::optional<absl::Status> refused_;
  Session session_;
};

TEST_F(SessionTest, RegistersFirstAndSaysNothingElseUntilItIs) {
  ASSERT_EQ(transport_.stream().sent.size(), 1u);
  EXPECT_EQ(transport_.stream().sent[0].register_().protocol_version(), kNodeProtocolVersion);
  session_.Send({});
  EXPECT_EQ(transport_.stream().sent.size(), 1u);
  EXPECT_FALSE(session_.alive());
  Register();
  EXPECT_TRUE(session_.alive());
  EXPECT_EQ(registrations_, 1);
  session_.Send({});
  EXPECT_EQ(transport_.stream().sent.size(), 2u);
}

TEST_F(SessionTest, RenewsAtAThirdOfTheLease) {
  const BootTime start = clock_.BootNow();
  Register();
  EXPECT_EQ(deadline_, start + absl::Milliseconds(8100));
  executor_.Advance(absl::Milliseconds(2999));
  EXPECT_EQ(transport_.stream().sent.size(), 1u);
  executor_.Advance(absl::Milliseconds(1));
  ASSERT_EQ(transport_.stream().sent.size(), 2u);
  Confirm();
  EXPECT_EQ(deadline_, start + absl::Milliseconds(3000 + 8100));
}

TEST_F(SessionTest, ALeaseThatNobodyRenewsExpiresAtItsDeadline) {
  Register();
  executor_.Advance(absl::Milliseconds(8099));
  EXPECT_EQ(expiries_, 0);
  EXPECT_TRUE(session_.alive());
  executor_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(expiries_, 1);
  EXPECT_FALSE(session_.alive());
}

TEST_F(SessionTest, ACoordinatorThatConfirmsNoRenewalIsLeftWhileThereIsTime) {
  Register();
  executor_.Advance(absl::Milliseconds(4499));
  EXPECT_EQ(transport_.streams.size(), 1u);
  executor_.Advance(absl::Milliseconds(100));
  ASSERT_EQ(transport_.streams.size(), 2u);
  Register();
  executor_.Advance(absl::Milliseconds(3600));
  EXPECT_EQ(expiries_, 0);
  EXPECT_TRUE(session_.alive());
}

TEST_F(SessionTest, GoesAtOnceToTheLeaderThatIsNamed) {
  for (int i = 0; i < 5; ++i) {
    End(absl::StatusCode::kUnavailable, v1::UNREACHABLE);
    executor_.Advance(absl::Seconds(1));
  }
  transport_.stream().on_end(NotLeader("other:1"));
  executor_.Run();
  executor_.Advance(absl::Milliseconds(50));
  EXPECT_EQ(transport_.streams.size(), 7u);
}

TEST_F(SessionTest, ABrokenStreamEndsNothingIfAnotherFollowsInTime) {
  Register();
  End(absl::StatusCode::kUnavailable, v1::UNREACHABLE);
  EXPECT_EQ(disconnects_, 1);
  EXPECT_TRUE(session_.alive());
  EXPECT_FALSE(session_.connected());
  executor_.Advance(absl::Seconds(1));
  ASSERT_EQ(transport_.streams.size(), 2u);
  Register();
  executor_.Advance(absl::Seconds(6));
  EXPECT_EQ(expiries_, 0);
  EXPECT_EQ(session_.session_id(), "1.1");
}

TEST_F(SessionTest, PausesGrowWithEachFailure) {
  for (int i = 0; i < 10; ++i) {
    End(absl::StatusCode::kUnavailable, v1::UNREACHABLE);
    executor_.Advance(absl::Seconds(2));
  }
  const size_t tried = transport_.streams.size();
  EXPECT_EQ(tried, 11u);
  End(absl::StatusCode::kUnavailable, v1::UNREACHABLE);
  executor_.Advance(absl::Milliseconds(450));  // of at least half of 1 s
  EXPECT_EQ(transport_.streams.size(), tried);
}

TEST_F(SessionTest, ACoordinatorThatDoesNotAnswerRegisterIsLeft) {
  executor_.Advance(absl::Seconds(6));
  EXPECT_EQ(transport_.streams.size(), 2u);
  EXPECT_FALSE(transport_.streams[0]->open);
}

TEST_F(SessionTest, AnExpiredSessionIsFollowedByAnother) {
  Register();
  End(absl::StatusCode::kFailedPrecondition, v1::SESSION_EXPIRED);
  executor_.Advance(absl::Seconds(1));
  Register("1.2");
  EXPECT_EQ(session_.session_id(), "1.2");
  EXPECT_EQ(registrations_, 2);
}

TEST_F(SessionTest, AnOlderCoordinatorRefusesForGood) {
  End(absl::StatusCode::kFailedPrecondition, v1::VERSION_TOO_NEW);
  ASSERT_TRUE(refused_.has_value());
  executor_.Advance(absl::Minutes(1));
  EXPECT_EQ(transport_.streams.size(), 1u);
}

TEST_F(SessionTest, WhatAnEarlierStreamStillSaysIsNotHeard) {
  Register();
  const auto first = transport_.streams[0];
  End(absl::StatusCode::kUnavailable, v1::UNREACHABLE);
  executor_.Advance(absl::Seconds(1));
  v1::CoordinatorMessage late;
  late.mutable_assignments();
  first->on_message(late);
  executor_.Run();
  EXPECT_EQ(assignments_, 0);
}

TEST_F(SessionTest, RegistersAnewWithinTheLeaseWhenWhatItSaysHasChanged) {
  session_.Reregister();  // not registered: it will say what is so then anyway
  EXPECT_EQ(transport_.streams.size(), 1u);
  Register();
  session_.Reregister();
  EXPECT_EQ(disconnects_, 1);
  ASSERT_EQ(transport_.streams.size(), 2u);
  EXPECT_TRUE(transport_.stream().sent[0].has_register_());
  EXPECT_TRUE(session_.alive());
  Register();
  EXPECT_EQ(registrations_, 2);
  EXPECT_EQ(expiries_, 0);
  executor_.Advance(absl::Seconds(3));
  EXPECT_TRUE(transport_.stream().sent.back().has_renew());
}

}  // namespace
}  // namespace weft
