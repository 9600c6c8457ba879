#include "server/rpc/session_conversation.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/coordinator/runner_test_util.h"
#include "server/core/errors.h"
#include "server/platform/fake_clock.h"
#include "server/rpc/session_registry.h"

namespace weft {
namespace {

class NoRecorder final : public CallRecorder {
 public:
  void RecordCall(std::string_view, const absl::Status&, absl::Duration) override {}
};

// One that is carried nowhere.
class TestConversation final : public SessionConversation {
 public:
  using SessionConversation::SessionConversation;

  void Send(v1::CoordinatorMessage message) override { sent.push_back(std::move(message)); }
  void End(const absl::Status& status) override {
    if (!end) end = status;
  }
  void Say(v1::NodeMessage message) { Take(std::move(message)); }

  int Sent(v1::CoordinatorMessage::MessageCase what) const {
    return static_cast<int>(std::count_if(
        sent.begin(), sent.end(), [&](const auto& one) { return one.message_case() == what; }));
  }

  std::vector<v1::CoordinatorMessage> sent;
  std::optional<absl::Status> end;
  int answered = 0;

 private:
  void OnAnswered() override { ++answered; }
  void OnRegistered() override {}
};

class SessionConversationTest : public testing::Test, private RunnerObserver {
 protected:
  SessionConversationTest() { EXPECT_TRUE(runner_.Load().ok()); }

  std::shared_ptr<TestConversation> Connect() {
    return std::make_shared<TestConversation>(ServiceDeps{executor_, clock_, recorder_}, registry_,
                                              Peer());
  }
  static void SayRegister(TestConversation& conversation, const std::string& host) {
    v1::NodeMessage message;
    *message.mutable_register_() = TestRegistration(host);
    conversation.Say(std::move(message));
  }
  std::shared_ptr<TestConversation> Registered(const std::string& host) {
    const auto conversation = Connect();
    SayRegister(*conversation, host);
    executor_.RunRound();
    EXPECT_FALSE(conversation->session_id().empty());
    return conversation;
  }
  // Whether it was acknowledged. What comes of it is done, too.
  bool Renew(TestConversation& conversation) {
    const int before = conversation.Sent(v1::CoordinatorMessage::kRenewed);
    v1::NodeMessage message;
    message.mutable_renew()->set_sequence(1);
    conversation.Say(std::move(message));
    executor_.RunRound();
    executor_.RunRound();
    return conversation.Sent(v1::CoordinatorMessage::kRenewed) == before + 1;
  }
  // A device that nobody has seen before.
  static v1::NodeMessage NewDevice() {
    v1::NodeMessage message;
    v1::LocalDevice& device = *message.mutable_devices()->add_devices();
    device.set_uuid("11111111-2222-4333-8444-555555555555");
    device.set_path("/dev/dax0.0");
    device.set_capacity_bytes(64 << 20);
    device.set_data_offset_bytes(2 << 20);
    device.set_data_bytes(60 << 20);
    device.set_alignment_bytes(2 << 20);
    device.set_coherence(v1::HARDWARE);
    device.set_exchange_slots(8);
    return message;
  }
  int Resyncs(const TestConversation& conversation) {
    return conversation.Sent(v1::CoordinatorMessage::kResync);
  }

  FakeClock clock_;
  TestStore store_{std::make_shared<MemoryMedium>()};
  SessionRegistry registry_;
  NoRecorder recorder_;
  CommandRunner runner_{store_, clock_, TestCoreOptions(), *this};
  CommandExecutor executor_{runner_, clock_, {.max_queued = {64, 8, 64}}};

 private:
  void OnLoadedAgain(const State& state, const absl::Status&) override { registry_.Resend(state); }
  void OnCommitted(const State& state, const Changes& changes, uint64_t revision) override {
    registry_.Deliver(state, changes, revision);
  }
};

TEST_F(SessionConversationTest, AReportForWhichThereIsNoRoomEndsNothing) {
  const auto host = Registered("host-a");
  for (int i = 0; i < 9; ++i) host->Say(NewDevice());
  EXPECT_EQ(host->answered, 2);  // Register, and the report that was refused
  executor_.RunRound();
  EXPECT_EQ(host->end, std::nullopt);
  EXPECT_EQ(Resyncs(*host), 0);
  EXPECT_TRUE(Renew(*host));
  EXPECT_EQ(Resyncs(*host), 1);
  EXPECT_TRUE(Renew(*host));
  EXPECT_EQ(Resyncs(*host), 1);
}

TEST_F(SessionConversationTest, AReportForWhichTheStoreIsFullIsAskedForAgain) {
  const auto host = Registered("host-a");
  store_.set_full(true);
  host->Say(NewDevice());
  executor_.RunRound();
  for (int i = 0; i < 20; ++i) {
    host->Say(NewDevice());
    EXPECT_TRUE(Renew(*host));
    clock_.Advance(absl::Seconds(3));
  }
  EXPECT_EQ(host->end, std::nullopt);
  EXPECT_EQ(Resyncs(*host), 0);
  EXPECT_EQ(host->answered, 42);

  store_.set_full(false);
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(Renew(*host));
  EXPECT_EQ(Resyncs(*host), 1);
}

// Its stream broke while the store was full.
TEST_F(SessionConversationTest, AHostThatComesBackWhileTheStoreIsFullGoesOn) {
  const auto host = Registered("host-a");
  const auto silent = Registered("host-b");
  store_.set_full(true);
  host->Say(NewDevice());
  executor_.RunRound();
  EXPECT_EQ(silent->sent.back().message_case(), v1::CoordinatorMessage::kAssignments);
  EXPECT_TRUE(silent->sent.back().assignments().whole());

  const auto again = Registered("host-a");
  EXPECT_EQ(again->session_id(), host->session_id());
  EXPECT_EQ(ReasonOf(*host->end), v1::SESSION_EXPIRED);
  EXPECT_TRUE(Renew(*again));
  EXPECT_EQ(Resyncs(*again), 0);
  store_.set_full(false);
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(Renew(*again));
  EXPECT_EQ(Resyncs(*again), 1);
  EXPECT_EQ(again->end, std::nullopt);
  EXPECT_EQ(silent->end, std::nullopt);
}

TEST_F(SessionConversationTest, RegistrationsOfOneHostLeaveRoomForOthers) {
  std::vector<std::shared_ptr<TestConversation>> crowd;
  for (int i = 0; i < 20; ++i) {
    crowd.push_back(Connect());
    SayRegister(*crowd.back(), "host-a");
  }
  for (size_t i = 0; i < crowd.size(); ++i) {
    if (i < SessionRegistry::kMaxRegistering) {
      EXPECT_EQ(crowd[i]->end, std::nullopt);
    } else {
      EXPECT_EQ(ReasonOf(*crowd[i]->end), v1::OVERLOADED);
    }
  }
  Registered("host-b");
  Registered("host-a");
}

TEST_F(SessionConversationTest, AHostHasOnlySoManyInquiriesToAnswer) {
  const auto host = Registered("host-a");
  std::vector<absl::Status> answers;
  const auto ask = [&] {
    return registry_.Ask("host-a", {}, [&](const absl::StatusOr<v1::HostInventory>& answer) {
      answers.push_back(answer.status());
    });
  };
  std::vector<uint64_t> numbers;
  for (int i = 0; i < HostInquiries::kMaxOfHost; ++i) numbers.push_back(ask());
  EXPECT_THAT(numbers, testing::Each(testing::Ne(0u)));
  EXPECT_THAT(answers, testing::IsEmpty());
  EXPECT_EQ(ask(), 0u);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(ReasonOf(answers[0]), v1::OVERLOADED);

  // Another host's are not counted.
  const auto other = Registered("host-b");
  EXPECT_NE(registry_.Ask("host-b", {}, [](const auto&) {}), 0u);
  // One is answered, and one given up.
  v1::NodeMessage inventory;
  inventory.mutable_inventory()->set_request_id(numbers[0]);
  host->Say(std::move(inventory));
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_TRUE(answers[1].ok());
  EXPECT_TRUE(registry_.inquiries().Abandon(numbers[1]));
  EXPECT_NE(ask(), 0u);
  EXPECT_NE(ask(), 0u);
  EXPECT_EQ(ask(), 0u);
}

}  // namespace
}  // namespace weft
