// What handles live through, and what ends them: notices, restarts of weftd, fork.

#include "client/sdk/handle.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "client/sdk/testing/client_fixture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft::sdk {
namespace {

using ::testing::ElementsAre;

// Gathers what on_revoke is told.
class Notices {
 public:
  std::function<void(const RevokeNotice&)> callback() {
    return [this](const RevokeNotice& notice) {
      absl::MutexLock lock(&mu_);
      notices_.push_back(notice);
    };
  }

  RevokeNotice First() {
    const auto any = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !notices_.empty(); };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&any));
    return notices_.front();
  }

 private:
  absl::Mutex mu_;
  std::vector<RevokeNotice> notices_ ABSL_GUARDED_BY(mu_);
};

TEST_F(ClientTest, RevokeIsToldAndEndsMapping) {
  SetSimple();
  Notices notices;
  client_ = ConnectWith({.on_revoke = notices.callback()});
  Handle handle = Open();
  Mapping mapping = Map(handle);
  weftd_.Revoke(handle.id(), 250, "uid:0@host-b opens it");
  const RevokeNotice notice = notices.First();
  EXPECT_EQ(notice.handle_id, handle.id());
  EXPECT_EQ(notice.segment, kName);
  EXPECT_FALSE(notice.gone);
  EXPECT_EQ(notice.grace, absl::Milliseconds(250));
  EXPECT_EQ(notice.detail, "uid:0@host-b opens it");
  EXPECT_EQ(handle.state(), HandleState::kRevoking);
  EXPECT_EQ(ReasonName(handle.Map().status()), "STALE_TOKEN");
  EXPECT_EQ(ReasonName(handle.Refresh()), "STALE_TOKEN");
  EXPECT_EQ(ReasonName(mapping.Extend()), "STALE_TOKEN");
}

TEST_F(ClientTest, PoisonIsToldAndEndsNothing) {
  SetSimple();
  absl::Notification told;
  PoisonNotice notice;
  client_ = ConnectWith({.on_poison = [&](const PoisonNotice& poison) {
    notice = poison;
    told.Notify();
  }});
  Handle handle = Open();
  weftd_.Poison(handle.id(), 8192, 4096);
  told.WaitForNotification();
  EXPECT_EQ(notice.handle_id, handle.id());
  EXPECT_EQ(notice.segment, kName);
  EXPECT_THAT(notice.ranges, ElementsAre(ByteRange{8192, 4096}));
  EXPECT_EQ(handle.state(), HandleState::kLive);
  EXPECT_TRUE(handle.Map().ok());
}

TEST_F(ClientTest, OnRevokeMayCloseTheHandle) {
  SetSimple();
  std::optional<Handle> handle;
  absl::Mutex mu;
  client_ = ConnectWith({.on_revoke = [&](const RevokeNotice&) {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(handle->Close().ok());
  }});
  {
    absl::MutexLock lock(&mu);
    handle.emplace(Open());
    weftd_.Revoke(handle->id(), 1000, "");
  }
  EXPECT_TRUE(weftd_.AwaitHandles(0));
  client_.reset();
}

TEST_F(ClientTest, NothingIsToldAfterTheClientIsGone) {
  SetSimple();
  absl::Mutex mu;
  bool begun = false;
  bool go_on = false;
  bool ended = false;
  client_ = ConnectWith({.on_revoke = [&](const RevokeNotice&) {
    absl::MutexLock lock(&mu);
    begun = true;
    mu.Await(absl::Condition(&go_on));
    ended = true;
  }});
  const Handle handle = Open();
  weftd_.Revoke(handle.id(), 1000, "");
  {
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(&begun));
  }
  std::thread destroyer([this] { client_.reset(); });
  {
    absl::MutexLock lock(&mu);
    go_on = true;
  }
  destroyer.join();
  absl::MutexLock lock(&mu);
  EXPECT_TRUE(ended);
}

TEST_F(ClientTest, HandlesLiveThroughARestartOfWeftd) {
  SetSimple();
  Connect();
  Handle handle = Open();
  Mapping mapping = Map(handle);
  Fill(mapping);
  weftd_.Stop();
  EXPECT_EQ(Differences(mapping), 0);
  Fill(Map(handle));
  weftd_.Start();
  EXPECT_TRUE(weftd_.AwaitHandles(1));
  EXPECT_TRUE(handle.Refresh().ok());
  EXPECT_EQ(handle.state(), HandleState::kLive);
  EXPECT_EQ(Differences(mapping), 0);
}

TEST_F(ClientTest, WhatWasClosedMeanwhileIsNotClaimed) {
  SetSimple();
  Connect();
  Handle kept = Open();
  Handle closed = Open();
  Handle dropped = Open();
  weftd_.Stop();
  EXPECT_TRUE(closed.Close().ok());
  {
    const Handle gone = std::move(dropped);
  }
  weftd_.Start();
  ASSERT_TRUE(kept.Refresh().ok());
  EXPECT_THAT(weftd_.handles(), ElementsAre(kept.id()));
}

TEST_F(ClientTest, AHandleWhoseGrantIsGoneIsStale) {
  SetSimple();
  Notices notices;
  client_ = ConnectWith({.on_revoke = notices.callback()});
  Handle stale = Open();
  Mapping mapping = Map(stale);
  Handle live = Open();
  weftd_.MakeStale(stale.id());
  weftd_.Stop();
  weftd_.Start();
  const RevokeNotice notice = notices.First();
  EXPECT_EQ(notice.handle_id, stale.id());
  EXPECT_TRUE(notice.gone);
  EXPECT_EQ(stale.state(), HandleState::kStale);
  EXPECT_EQ(ReasonName(stale.Map().status()), "STALE_GENERATION");
  EXPECT_EQ(ReasonName(stale.Refresh()), "STALE_GENERATION");
  EXPECT_EQ(ReasonName(mapping.Extend()), "STALE_GENERATION");
  EXPECT_TRUE(live.Refresh().ok());
}

TEST_F(ClientTest, AHandleThatIsGoneIsNotClosedAtWeftd) {
  SetSimple();
  Notices notices;
  client_ = ConnectWith({.on_revoke = notices.callback()});
  Handle gone = Open();
  Handle live = Open();
  weftd_.MakeStale(gone.id());
  weftd_.Stop();
  weftd_.Start();
  ASSERT_TRUE(notices.First().gone);
  ASSERT_TRUE(live.Refresh().ok());
  weftd_.Intercept([this](const auto&, const v1::ClientMessage& message) {
    absl::MutexLock lock(&mu_);
    if (message.has_close()) closes_.push_back(message.close().handle_id());
    return false;
  });
  const uint64_t live_id = live.id();
  EXPECT_TRUE(gone.Close().ok());
  EXPECT_TRUE(live.Close().ok());
  absl::MutexLock lock(&mu_);
  EXPECT_THAT(closes_, ElementsAre(live_id));
}

TEST_F(ClientTest, AnOpenCutOffIsRepeated) {
  SetSimple();
  Connect();
  std::atomic<int> opens = 0;
  weftd_.Intercept([&](const auto& peer, const v1::ClientMessage& message) {
    if (!message.has_open() || opens++ > 0) return false;
    peer->HangUp();
    return true;
  });
  const Handle handle = Open();
  EXPECT_EQ(opens, 2);
  Fill(Map(handle));
}

TEST_F(ClientTest, CallsWaitForWeftdUntilTheirDeadline) {
  SetSimple();
  auto client = ConnectWith({.call_timeout = absl::Milliseconds(50)});
  weftd_.Stop();
  const absl::Status status = client->Open(kName, AccessMode::kReadOnly).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonName(status), "UNREACHABLE");
}

TEST_F(ClientTest, AChildUsesMappingsAndNothingElse) {
  SetSimple();
  Connect();
  std::optional<Handle> handle(Open());
  std::optional<Mapping> mapping(Map(*handle));
  Fill(*mapping);
  const pid_t child = fork();
  if (child == 0) {
    const bool good =
        Differences(*mapping) == 0 && ReasonName(handle->Map().status()) == "NO_IDENTITY" &&
        ReasonName(handle->Refresh()) == "NO_IDENTITY" &&
        ReasonName(client_->Open(kName, AccessMode::kReadOnly).status()) == "NO_IDENTITY";
    mapping.reset();
    handle.reset();
    client_.reset();
    _exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(handle->Refresh().ok());
  EXPECT_EQ(Differences(*mapping), 0);
  EXPECT_EQ(weftd_.handles().size(), 1);
}

}  // namespace
}  // namespace weft::sdk
