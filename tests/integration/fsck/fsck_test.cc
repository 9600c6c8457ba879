// `weft fsck` with real processes: nothing to say of a cluster that is in order; a coordinator
// that goes on from an old backup; a label that somebody else wrote; a daemon that lost its
// records. lost_messages_test.cc has what only a fault of Weft can bring about.

#include <signal.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/fsck.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "server/node/label.h"
#include "tests/integration/cli.h"
#include "tests/integration/fsck/label_file.h"
#include "tests/integration/harness.h"
#include "tests/integration/holder.h"
#include "tests/integration/process.h"

namespace weft {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// Of `weft fsck`.
constexpr int kClean = 0;
constexpr int kRepaired = 1;
constexpr int kLeft = 4;
constexpr int kNotChecked = 8;

constexpr uint64_t kSize = 4 * kExtentUnit.value();

class FsckTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(cluster_.StartWithPool().ok()); }

  Process Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "fsck");
    return cli_.Start(arguments);
  }
  int Fsck(const std::vector<std::string>& arguments = {}) { return Start(arguments).Wait(); }
  std::string Output() const { return cli_.Output(); }

  // The coordinator goes on from `backup`.
  void Restore(const std::string& backup) {
    cluster_.coordinator().Kill();
    const std::string store = "sqlite:" + cluster_.File("restored.db");
    std::ofstream(cluster_.File("backup"), std::ios::binary) << backup;
    Process restore({std::getenv("WEFT_COORDINATOR"), "--restore=" + cluster_.File("backup"),
                     "--store=" + store},
                    cluster_.File("restore.log"));
    ASSERT_EQ(restore.Wait(), 0) << cluster_.Log("restore");
    cluster_.UseStore(store);
    ASSERT_TRUE(cluster_.StartCoordinator().ok());
  }
  absl::StatusOr<v1::ClusterStatus> Status() {
    return cluster_.admin().Call(&v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest());
  }
  absl::Status AwaitStatus(const std::string& what,
                           const std::function<bool(const v1::ClusterStatus&)>& condition) {
    return cluster_.Await(what, [&]() -> absl::StatusOr<bool> {
      const auto status = Status();
      if (!status.ok()) return status.status();
      return condition(*status);
    });
  }

  Cluster cluster_;
  Cli cli_{cluster_};
};

TEST_F(FsckTest, AClusterInOrderIsClean) {
  const auto client = cluster_.Connect("host-a");
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE((*client)->CreateSegment("p/s", kSize).ok());
  const auto handle = (*client)->Open("p/s", sdk::AccessMode::kReadWrite);
  ASSERT_TRUE(handle.ok()) << handle.status();
  EXPECT_EQ(Fsck(), kClean) << Output();
  EXPECT_THAT(Output(), HasSubstr("clean: 2 hosts checked"));
}

TEST_F(FsckTest, ASegmentThatAnOldBackupDoesNotKnow) {
  const auto backup = cluster_.admin().ReadBackup();
  ASSERT_TRUE(backup.ok()) << backup.status();
  const auto client = cluster_.Connect("host-a");
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE((*client)->CreateSegment("p/s", kSize).ok());
  Holder holder(cluster_, "host-a", "p/s");
  std::memset(holder.bytes().data(), 0x5a, holder.bytes().size());

  Restore(*backup);
  ASSERT_TRUE(AwaitStatus("host-a brings the segment in", [](const v1::ClusterStatus& status) {
                return status.strays() == 1;
              }).ok());
  ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok());

  EXPECT_EQ(Fsck(), kLeft) << Output();
  EXPECT_THAT(Output(), HasSubstr("STRAY_SEGMENT pools/p/segments/s on host-a"));
  const auto status = Status();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->usage().quarantined_bytes(), kSize);
  // All that may be had is not the stray's.
  ASSERT_TRUE((*client)->CreateSegment("p/rest", status->usage().free_bytes()).ok());
  for (size_t at = 0; at < holder.bytes().size(); at += kExtentUnit.value()) {
    ASSERT_EQ(holder.bytes()[at], std::byte{0x5a}) << at;
  }

  Process repair = Start({"--repair", "--yes"});
  ASSERT_TRUE(holder.AwaitNotice().ok());
  holder.LetGo();  // a backend that cannot revoke waits for its programs
  EXPECT_EQ(repair.Wait(), kRepaired) << Output();
  ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok());
  EXPECT_EQ(Fsck(), kClean) << Output();
  const auto after = Status();
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->usage().free_bytes(), kSize);
}

TEST_F(FsckTest, AHostThatDoesNotAnswerIsNotChecked) {
  kill(cluster_.host("host-a").pid(), SIGSTOP);
  EXPECT_EQ(Fsck({"--timeout=5s"}), kNotChecked) << Output();
  EXPECT_THAT(Output(), HasSubstr("host-a was not checked"));
  kill(cluster_.host("host-a").pid(), SIGCONT);
  EXPECT_EQ(Fsck(), kClean) << Output();
}

TEST_F(FsckTest, ALabelThatSomebodyElseWrote) {
  Label label = ReadLabelFile(cluster_.device_path(0));
  ++label.power_epoch;
  ++label.sequence;
  WriteLabelFile(cluster_.device_path(0), label);
  EXPECT_EQ(Fsck({"--repair", "--yes", "--json"}), kLeft) << Output();
  EXPECT_THAT(Output(), HasSubstr("LABEL_POWER_EPOCH"));
}

TEST_F(FsckTest, AResyncHasTheHostRegisterAgain) {
  const auto registrations = [&] {
    const std::string log = cluster_.Log("host-a");
    size_t count = 0;
    for (size_t at = log.find("continued=true"); at != std::string::npos;
         at = log.find("continued=true", at + 1)) {
      ++count;
    }
    return count;
  };
  const size_t before = registrations();
  v1::RepairRequest request;
  request.set_action(v1::RESYNC_HOST);
  request.set_host("hosts/host-a");
  const auto done = cluster_.admin().Call(&v1::FsckService::Stub::Repair, request);
  ASSERT_TRUE(done.ok()) << done.status();
  // The daemon answers a check only after it has done what it was told before.
  v1::CheckHostRequest check;
  check.set_name("hosts/host-a");
  const auto checked = cluster_.admin().Call(&v1::FsckService::Stub::CheckHost, check);
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_GT(registrations(), before);
  EXPECT_EQ(Fsck(), kClean) << Output();
}

// It is told of it when it registers; what its program has mapped stays the program's.
TEST_F(FsckTest, ADaemonThatLostItsRecordOfAGrant) {
  const auto other = cluster_.Connect("host-a");
  ASSERT_TRUE(other.ok()) << other.status();
  ASSERT_TRUE((*other)->CreateSegment("p/s", kSize).ok());
  Holder holder(cluster_, "host-b", "p/s");
  cluster_.host("host-b").Kill();
  for (const auto& entry : fs::directory_iterator(cluster_.File("host-b.state"))) {
    if (!entry.path().filename().string().starts_with("grants.")) continue;
    EXPECT_GT(fs::remove_all(entry.path()), 1u) << "it had the grant";
  }
  ASSERT_TRUE(cluster_.StartHost("host-b").ok());
  const auto notice = holder.AwaitNotice();
  ASSERT_TRUE(notice.ok()) << notice.status();
  EXPECT_TRUE(notice->gone);
  EXPECT_EQ(Fsck(), kClean) << Output();
  EXPECT_EQ(ReasonOf((*other)->Open("p/s", sdk::AccessMode::kReadWrite).status()), v1::HELD);
  holder.LetGo();
  ASSERT_TRUE(cluster_.AwaitNoGrants().ok());
  EXPECT_TRUE((*other)->Open("p/s", sdk::AccessMode::kReadWrite).ok());
}

}  // namespace
}  // namespace weft
