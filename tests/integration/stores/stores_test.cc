// A whole state on its way between SQLite and etcd, with a program that goes on using its memory.

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/sdk/weft.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "server/store/etcd/etcd_server.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

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

  // The exit status of weft-coordinator, which makes a store.
  int Make(const std::string& from, const std::string& store) {
    Process maker({std::getenv("WEFT_COORDINATOR"), from, "--store=" + store},
                  cluster_.File("maker.log"));
    return maker.Wait();
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
  std::unique_ptr<sdk::Client> client_;
  std::optional<sdk::Handle> handle_;
  std::optional<sdk::Mapping> mapping_;
};

TEST_F(StoresTest, AStateMovesToEtcdAndBackUnderAMapping) {
  const std::string before = Status();
  StopCoordinator();
  ASSERT_EQ(Make("--migrate-from=" + Sqlite("coordinator.db"), Etcd("moved")), 0)
      << cluster_.Log("maker");
  EXPECT_EQ(Make("--migrate-from=" + Sqlite("coordinator.db"), Etcd("moved")), 1) << "not empty";
  StartOn(Etcd("moved"));
  EXPECT_EQ(Status(), before);
  EXPECT_TRUE(client_->CreateSegment("p/more", kUnit).ok());
  StopCoordinator();
  ASSERT_EQ(Make("--migrate-from=" + Etcd("moved"), Sqlite("back")), 0) << cluster_.Log("maker");
  StartOn(Sqlite("back"));
  EXPECT_TRUE(client_->GetSegment("p/more").ok());
  mapping_->bytes()[1] = kMark;
  EXPECT_EQ(mapping_->bytes()[0], kMark);
}

TEST_F(StoresTest, ABackupBecomesAStoreInEtcd) {
  const auto backup = cluster_.admin().ReadBackup();
  ASSERT_TRUE(backup.ok()) << backup.status();
  std::ofstream(cluster_.File("backup"), std::ios::binary) << *backup;
  ASSERT_TRUE(client_->CreateSegment("p/later", kUnit).ok());
  StopCoordinator();
  const std::string from = "--restore=" + cluster_.File("backup");
  ASSERT_EQ(Make(from, Etcd("restored")), 0) << cluster_.Log("maker");
  EXPECT_EQ(Make(from, Etcd("restored")), 1) << "not empty";
  StartOn(Etcd("restored"));
  EXPECT_EQ(ReasonOf(client_->GetSegment("p/later").status()), v1::SEGMENT_NOT_FOUND);
  EXPECT_EQ(mapping_->bytes()[0], kMark);
  EXPECT_TRUE(client_->CreateSegment("p/later", kUnit).ok()) << "all hosts were heard of";
}

}  // namespace
}  // namespace weft
