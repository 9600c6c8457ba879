// What the SDK does over gRPC: segments made, grown, deleted; retries and their limits.

#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "client/sdk/errors.h"
#include "client/sdk/testing/fake_segment_service.h"
#include "client/sdk/testing/fake_weftd.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kUnit = 2 << 20;
constexpr char kName[] = "p/s";

absl::Status Unknown() {
  return MakeError(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN, "leader changed");
}

class SegmentsTest : public ::testing::Test {
 protected:
  SegmentsTest() : service_(weftd_), client_(Connect(absl::Minutes(1))) {}

  std::unique_ptr<Client> Connect(absl::Duration call_timeout) {
    auto client =
        Client::Connect({.socket_path = weftd_.socket_path(), .call_timeout = call_timeout});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  FakeWeftd weftd_;
  FakeSegmentService service_;
  std::unique_ptr<Client> client_;
};

TEST_F(SegmentsTest, CreateSaysWhatTheOptionsSay) {
  const auto segment = client_->CreateSegment(kName, 8 * kUnit,
                                              {.sharing = SharingMode::kShared,
                                               .placement = Placement::kStriped,
                                               .stripe_devices = 2,
                                               .chunk_bytes = kUnit});
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->name, kName);
  EXPECT_EQ(segment->size_bytes, 8 * kUnit);
  EXPECT_EQ(segment->sharing, SharingMode::kShared);
  EXPECT_EQ(segment->placement, Placement::kStriped);
  EXPECT_EQ(segment->state, SegmentState::kActive);
  const v1::CreateSegmentRequest request = service_.last_create();
  EXPECT_EQ(request.parent(), "pools/p");
  EXPECT_EQ(request.segment_id(), "s");
  EXPECT_EQ(request.segment().stripe_devices(), 2);
  EXPECT_EQ(request.segment().chunk_bytes(), kUnit);
}

TEST_F(SegmentsTest, AGrownSegmentIsMappedOnTheSameHandle) {
  ASSERT_TRUE(client_->CreateSegment(kName, kUnit).ok());
  auto handle = client_->Open(kName, AccessMode::kReadWrite);
  ASSERT_TRUE(handle.ok()) << handle.status();
  ASSERT_TRUE(client_->GrowSegment(kName, 3 * kUnit).ok());
  EXPECT_EQ(client_->GetSegment(kName)->size_bytes, 3 * kUnit);
  ASSERT_TRUE(handle->Refresh().ok());
  const auto mapping = handle->Map();
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  EXPECT_EQ(mapping->size(), 3 * kUnit);
}

TEST_F(SegmentsTest, DeleteNeedsForceWhileHeld) {
  ASSERT_TRUE(client_->CreateSegment(kName, kUnit).ok());
  const auto handle = client_->Open(kName, AccessMode::kReadOnly);
  ASSERT_TRUE(handle.ok());
  const absl::Status status = client_->DeleteSegment(kName);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonName(status), "IN_USE");
  EXPECT_EQ(std::string(status.message()), "delete p/s: host-a has it");
  EXPECT_TRUE(client_->DeleteSegment(kName, {.force = true}).ok());
  EXPECT_EQ(ReasonName(client_->GetSegment(kName).status()), "SEGMENT_NOT_FOUND");
}

TEST_F(SegmentsTest, BadNamesNeverLeave) {
  EXPECT_EQ(ReasonName(client_->CreateSegment("x", kUnit).status()), "BAD_NAME");
  EXPECT_EQ(ReasonName(client_->GetSegment("x").status()), "BAD_NAME");
  EXPECT_EQ(ReasonName(client_->GrowSegment("x", kUnit).status()), "BAD_NAME");
  EXPECT_EQ(ReasonName(client_->DeleteSegment("x")), "BAD_NAME");
  EXPECT_TRUE(service_.request_ids().empty());
}

TEST_F(SegmentsTest, AttemptsOfOneCallShareARequestId) {
  service_.FailNext(
      {Unknown(), MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED, "busy")});
  ASSERT_TRUE(client_->CreateSegment(kName, kUnit).ok());
  ASSERT_TRUE(client_->GrowSegment(kName, 2 * kUnit).ok());
  ASSERT_TRUE(client_->DeleteSegment(kName).ok());
  const std::vector<std::string> ids = service_.request_ids();
  ASSERT_EQ(ids.size(), 5);
  EXPECT_EQ(ids[0], ids[1]);
  EXPECT_EQ(ids[1], ids[2]);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 3);
}

TEST_F(SegmentsTest, WhatARetryCannotHelpIsNotRetried) {
  service_.FailNext({MakeError(absl::StatusCode::kResourceExhausted, v1::FRAGMENTED, "in bits")});
  const absl::Status status = client_->CreateSegment(kName, kUnit).status();
  EXPECT_EQ(ReasonName(status), "FRAGMENTED");
  EXPECT_EQ(std::string(status.message()), "create p/s: in bits");
  EXPECT_EQ(service_.request_ids().size(), 1);
}

TEST_F(SegmentsTest, RetriesEndWithTheDeadline) {
  service_.FailNext({100, Unknown()});
  const absl::Status status =
      Connect(absl::Milliseconds(300))->CreateSegment(kName, kUnit).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonName(status), "OUTCOME_UNKNOWN");
}

TEST_F(SegmentsTest, ATicketOfTheLivingConnectionIsNotRetried) {
  service_.FailNext({MakeError(absl::StatusCode::kUnauthenticated, v1::NO_IDENTITY, "who?")});
  EXPECT_EQ(ReasonName(client_->GetSegment(kName).status()), "NO_IDENTITY");
}

TEST_F(SegmentsTest, ARestartedWeftdIsFoundAgain) {
  ASSERT_TRUE(client_->CreateSegment(kName, kUnit).ok());
  service_.Stop();
  weftd_.Stop();
  weftd_.Start();
  service_.Start();
  EXPECT_TRUE(client_->GetSegment(kName).ok());
}

TEST_F(SegmentsTest, AChildMayDropTheClient) {
  ASSERT_TRUE(client_->CreateSegment(kName, kUnit).ok());
  const pid_t child = fork();
  if (child == 0) {
    const bool refused = ReasonName(client_->GetSegment(kName).status()) == "NO_IDENTITY";
    client_.reset();
    _exit(refused ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(client_->GetSegment(kName).ok());
}

TEST_F(SegmentsTest, AnAbsentServiceIsUnreachable) {
  service_.Stop();
  const absl::Status status = Connect(absl::Milliseconds(100))->GetSegment(kName).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(ReasonName(status), "UNREACHABLE");
}

}  // namespace
}  // namespace weft::sdk
