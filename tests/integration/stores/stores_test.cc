// A whole state on its way between SQLite and etcd, carried by `weft coordinator`, with a program
// that goes on using its memory.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "server/store/etcd/etcd_server.h"
#include "tests/integration/cli.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

using testing::HasSubstr;

constexpr uint64_t kUnit = kExtentUnit.value();
constexpr std::byte kMark{0x5a};

class StoresTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::Status started = cluster_.StartWithPool();
    ASSERT_TRUE(started.ok()) << started;
    auto client = cluster_.Connect("host-a");
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    ASSERT_TRUE(client_->CreateSegment("p/data", kUnit).ok());
    auto handle = client_->Open("p/data", sdk::AccessMode::kReadWrite);
    ASSERT_TRUE(handle.ok()) << handle.status();
    handle_ = *std::move(handle);
    auto mapping = handle_->Map();
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    mapping_ = *std::move(mapping);
    mapping_->bytes()[0] = kMark;
  }

  std::string Sqlite(const std::string& name) const { return "sqlite:" + cluster_.File(name); }
  std::string Etcd(const std::string& prefix) const {
    return absl::StrCat("etcd://", absl::StrJoin(etcd_.endpoints(), ","), "/", prefix);
  }

  int Migrate(const std::string& from, const std::string& to) {
    return cli_.Run({"coordinator", "migrate", from, to});
  }
  int Restore(const std::string& store) {
    return cli_.Run({"coordinator", "restore", cluster_.File("backup"), "--store", store});
  }
  void Backup() {
    ASSERT_EQ(cli_.Run({"coordinator", "backup", cluster_.File("backup")}), 0) << cli_.Output();
  }

  // The coordinator's state, as everyone can see it.
  std::string Status() {
    auto status = cluster_.admin().Call(&v1::ClusterService::Stub::GetStatus, {});
    if (!status.ok()) return status.status().ToString();
    return absl::StrCat(status->segments(), " segments, ", status->grants(), " grants of ",
                        status->hosts_alive(), " hosts");
  }

  void StopCoordinator() { ASSERT_EQ(cluster_.coordinator().Terminate(), 0); }
  void StartOn(const std::string& store) {
    cluster_.UseStore(store);
    const absl::Status started = cluster_.StartCoordinator();
    ASSERT_TRUE(started.ok()) << started;
    const absl::Status ready = cluster_.AwaitPool("p", {"host-a", "host-b"});
    ASSERT_TRUE(ready.ok()) << ready;
  }

  TempDir folder_;
  EtcdServers etcd_{folder_.path(), 3};
  Cluster cluster_;
  Cli cli_{cluster_};
  std::unique_ptr<sdk::Client> client_;
  std::optional<sdk::Handle> handle_;
  std::optional<sdk::Mapping> mapping_;
};

TEST_F(StoresTest, AStateMovesToEtcdAndBackUnderAMapping) {
  const std::string before = Status();
  StopCoordinator();
  ASSERT_EQ(Migrate(Sqlite("coordinator.db"), Etcd("moved")), 0) << cli_.Output();
  EXPECT_EQ(Migrate(Sqlite("coordinator.db"), Etcd("moved")), 1);
  EXPECT_THAT(cli_.Output(), HasSubstr("give one that is empty"));
  StartOn(Etcd("moved"));
  EXPECT_EQ(Status(), before);
  EXPECT_TRUE(client_->CreateSegment("p/more", kUnit).ok());
  StopCoordinator();
  ASSERT_EQ(Migrate(Etcd("moved"), Sqlite("back")), 0) << cli_.Output();
  StartOn(Sqlite("back"));
  EXPECT_TRUE(client_->GetSegment("p/more").ok());
  mapping_->bytes()[1] = kMark;
  EXPECT_EQ(mapping_->bytes()[0], kMark);
}

TEST_F(StoresTest, AStoreInEtcdThatACoordinatorUsesIsNotCopied) {
  StopCoordinator();
  ASSERT_EQ(Migrate(Sqlite("coordinator.db"), Etcd("used")), 0) << cli_.Output();
  StartOn(Etcd("used"));
  EXPECT_EQ(Migrate(Etcd("used"), Sqlite("copy")), 1);
  EXPECT_THAT(cli_.Output(), HasSubstr("leads"));
  EXPECT_TRUE(client_->CreateSegment("p/more", kUnit).ok()) << "and does not disturb it";
}

TEST_F(StoresTest, ABackupBecomesAStoreInEtcd) {
  Backup();
  ASSERT_TRUE(client_->CreateSegment("p/later", kUnit).ok());
  StopCoordinator();
  ASSERT_EQ(Restore(Etcd("restored")), 0) << cli_.Output();
  EXPECT_EQ(Restore(Etcd("restored")), 1);
  EXPECT_THAT(cli_.Output(), HasSubstr("give one that is empty"));
  StartOn(Etcd("restored"));
  EXPECT_EQ(ReasonOf(client_->GetSegment("p/later").status()), v1::SEGMENT_NOT_FOUND);
  EXPECT_EQ(mapping_->bytes()[0], kMark);
  EXPECT_TRUE(client_->CreateSegment("p/later", kUnit).ok()) << "all hosts were heard of";
}

TEST_F(StoresTest, ABackupOfAStoreInEtcd) {
  StopCoordinator();
  ASSERT_EQ(Migrate(Sqlite("coordinator.db"), Etcd("first")), 0) << cli_.Output();
  StartOn(Etcd("first"));
  ASSERT_TRUE(client_->CreateSegment("p/known", kUnit).ok());
  Backup();
  ASSERT_TRUE(client_->CreateSegment("p/later", kUnit).ok());
  StopCoordinator();
  // To etcd again, beside the state that the backup was made of, and to SQLite.
  for (const std::string& store : {Etcd("second"), Sqlite("third")}) {
    ASSERT_EQ(Restore(store), 0) << cli_.Output();
    StartOn(store);
    EXPECT_TRUE(client_->GetSegment("p/known").ok());
    EXPECT_EQ(ReasonOf(client_->GetSegment("p/later").status()), v1::SEGMENT_NOT_FOUND);
    EXPECT_EQ(mapping_->bytes()[0], kMark);
    StopCoordinator();
  }
}

}  // namespace
}  // namespace weft
