// `weft fsck` with real processes: nothing to say of a cluster that is in order; a coordinator
// that goes on from an old backup; a label that somebody else wrote.

#include <signal.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/fsck.grpc.pb.h"
#include "server/core/types.h"
#include "server/node/label.h"
#include "tests/integration/harness.h"
#include "tests/integration/process.h"

namespace weft {
namespace {

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

  Process Start(const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {std::getenv("WEFT"),
                                    "--coordinator=" + cluster_.coordinator_address(), "fsck"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::filesystem::remove(output_path());
    return Process(all, output_path());
  }
  int Fsck(const std::vector<std::string>& arguments = {}) { return Start(arguments).Wait(); }
  std::string output_path() const { return cluster_.File("fsck.out"); }
  std::string Output() const {
    std::ifstream file(output_path());
    return {std::istreambuf_iterator<char>(file), {}};
  }

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
  std::optional<sdk::Handle> handle;
  absl::Notification told;
  const auto client = cluster_.Connect("host-a", {.on_revoke = [&](const sdk::RevokeNotice&) {
                                         if (!told.HasBeenNotified()) told.Notify();
                                       }});
  ASSERT_TRUE(client.ok()) << client.status();
  ASSERT_TRUE((*client)->CreateSegment("p/s", kSize).ok());
  auto opened = (*client)->Open("p/s", sdk::AccessMode::kReadWrite);
  ASSERT_TRUE(opened.ok()) << opened.status();
  handle = *std::move(opened);
  {
    auto mapping = handle->Map();
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    std::memset(mapping->bytes().data(), 0x5a, mapping->bytes().size());

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
    for (size_t at = 0; at < mapping->bytes().size(); at += kExtentUnit.value()) {
      ASSERT_EQ(mapping->bytes()[at], std::byte{0x5a}) << at;
    }
  }

  Process repair = Start({"--repair", "--yes"});
  told.WaitForNotification();
  handle.reset();  // a backend that cannot revoke waits for its programs
  EXPECT_EQ(repair.Wait(), kRepaired) << Output();
  ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok());
  EXPECT_EQ(Fsck(), kClean) << Output();
  const auto status = Status();
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->usage().free_bytes(), kSize);
}

TEST_F(FsckTest, AHostThatDoesNotAnswerIsNotChecked) {
  kill(cluster_.host("host-a").pid(), SIGSTOP);
  EXPECT_EQ(Fsck({"--timeout=5s"}), kNotChecked) << Output();
  EXPECT_THAT(Output(), HasSubstr("host-a was not checked"));
  kill(cluster_.host("host-a").pid(), SIGCONT);
  EXPECT_EQ(Fsck(), kClean) << Output();
}

TEST_F(FsckTest, ALabelThatSomebodyElseWrote) {
  std::fstream device(cluster_.device_path(0), std::ios::in | std::ios::out | std::ios::binary);
  const ByteCount capacity(std::filesystem::file_size(cluster_.device_path(0)));
  for (const LabelCopy copy : {LabelCopy::kFirst, LabelCopy::kLast}) {
    const auto offset = static_cast<std::streamoff>(LabelOffset(copy, capacity).value());
    std::array<uint8_t, kLabelBytes> bytes;
    device.seekg(offset);
    device.read(reinterpret_cast<char*>(bytes.data()), bytes.size());
    LabelVerdict verdict = ParseLabel(bytes, copy, capacity);
    ASSERT_EQ(verdict.state, LabelState::kGood) << verdict.detail;
    ++verdict.label.power_epoch;
    ++verdict.label.sequence;
    bytes = EncodeLabel(verdict.label, copy);
    device.seekp(offset);
    device.write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  device.flush();
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

}  // namespace
}  // namespace weft
