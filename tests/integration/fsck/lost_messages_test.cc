// Daemons that do not know what the coordinator told them, or know it otherwise: `weft fsck` finds
// that, has the host register again, and then has nothing more to say.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/fsck.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "tests/integration/cli.h"
#include "tests/integration/fsck/label_file.h"
#include "tests/integration/fsck/relay.h"
#include "tests/integration/harness.h"
#include "tests/integration/holder.h"

namespace weft {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Of `weft fsck`.
constexpr int kClean = 0;
constexpr int kRepaired = 1;
constexpr int kLeft = 4;

class LostMessagesTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.ConnectHostsTo(address_);
    const absl::Status started = cluster_.StartWithPool();
    ASSERT_TRUE(started.ok()) << started;
    Weft({"segment", "create", "p/s", "--size", "8M"});
  }

  std::string Weft(const std::vector<std::string>& arguments) {
    EXPECT_EQ(cli_.Run(arguments), 0) << cli_.Output();
    return cli_.Output();
  }
  template <typename Is>
  void LoseUpserts(Is is) {
    relay_.Set([is](v1::Assignments& assignments) {
      auto& upserts = *assignments.mutable_upserts();
      upserts.erase(std::remove_if(upserts.begin(), upserts.end(), is), upserts.end());
    });
  }
  // The host is told everything anew, and has taken it in when this returns.
  void Resync(const std::string& host) {
    v1::RepairRequest request;
    request.set_action(v1::RESYNC_HOST);
    request.set_host("hosts/" + host);
    const auto done = cluster_.admin().Call(&v1::FsckService::Stub::Repair, request);
    ASSERT_TRUE(done.ok()) << done.status();
    v1::CheckHostRequest check;
    check.set_name("hosts/" + host);
    const auto checked = cluster_.admin().Call(&v1::FsckService::Stub::CheckHost, check);
    ASSERT_TRUE(checked.ok()) << checked.status();
  }
  void ExpectFound(const std::string& difference) {
    EXPECT_EQ(cli_.Run({"fsck"}), kLeft) << cli_.Output();
    EXPECT_THAT(cli_.Output(), HasSubstr(difference));
  }
  // From now on nothing is lost.
  void ExpectRepaired(const std::string& remedy) {
    relay_.Set(nullptr);
    EXPECT_EQ(cli_.Run({"fsck", "--repair", "--yes"}), kRepaired) << cli_.Output();
    EXPECT_THAT(cli_.Output(), AllOf(HasSubstr(remedy), HasSubstr(" repaired, 0 left")));
    EXPECT_EQ(cli_.Run({"fsck"}), kClean) << cli_.Output();
  }

  static constexpr char kRegisterAgain[] = "have the host register again";

  Cluster cluster_;
  const std::string address_ = "unix:" + cluster_.File("relay.sock");
  Relay relay_{address_, cluster_.coordinator_address()};
  Cli cli_{cluster_};
};

TEST_F(LostMessagesTest, AGrantThatTheDaemonDoesNotKnowStaysUntilItsProgramLetsGo) {
  Holder holder(cluster_, "host-b", "p/s");
  LoseUpserts([](const v1::Assignment& work) { return work.has_grant(); });
  Resync("host-b");
  ASSERT_TRUE(holder.AwaitNotice().ok());
  ExpectFound("GRANT_MISSING pools/p/segments/s on host-b");

  ExpectRepaired(kRegisterAgain);
  const auto other = cluster_.Connect("host-a");
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(ReasonOf((*other)->Open("p/s", sdk::AccessMode::kReadWrite).status()), v1::HELD)
      << "it is still mapped";
  holder.LetGo();
  ASSERT_TRUE(cluster_.AwaitNoGrants().ok());
  EXPECT_TRUE((*other)->Open("p/s", sdk::AccessMode::kReadWrite).ok());
}

TEST_F(LostMessagesTest, ASegmentThatTheDaemonTakesToBeElsewhere) {
  Holder holder(cluster_, "host-b", "p/s");
  relay_.Set([](v1::Assignments& assignments) {
    for (v1::Assignment& work : *assignments.mutable_upserts()) {
      if (!work.has_grant()) continue;
      v1::Extent& extent = *work.mutable_grant()->mutable_runs(0)->mutable_extents(0);
      extent.set_offset_bytes(extent.offset_bytes() + kExtentUnit.value());
    }
  });
  Resync("host-b");
  ExpectFound("EXTENTS_DIFFER pools/p/segments/s on host-b");
  ExpectRepaired(kRegisterAgain);
  EXPECT_EQ(holder.handle().state(), sdk::HandleState::kLive) << "its program noticed nothing";
}

TEST_F(LostMessagesTest, AScrubThatTheDaemonDoesNotKnow) {
  LoseUpserts([](const v1::Assignment& work) { return work.has_scrub(); });
  Weft({"segment", "delete", "p/s"});
  ExpectFound("SCRUB_MISSING devices/");
  ExpectRepaired(kRegisterAgain);
  ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok()) << "its bytes are zeroed";
}

TEST_F(LostMessagesTest, AScrubThatTheDaemonStillHas) {
  relay_.Set([](v1::Assignments& assignments) { assignments.clear_removals(); });
  Weft({"segment", "delete", "p/s"});
  ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok());
  ExpectFound("SCRUB_UNKNOWN scrub ");
  ExpectRepaired(kRegisterAgain);
}

TEST_F(LostMessagesTest, ALabelThatNamesAnotherPool) {
  const Label before = ReadLabelFile(cluster_.device_path(0));
  LoseUpserts([](const v1::Assignment& work) { return work.has_label(); });
  Label other = before;
  other.pool = other.device;
  ++other.sequence;
  WriteLabelFile(cluster_.device_path(0), other);
  ExpectFound("LABEL_POOL devices/" + before.device.ToString() + " on host-a");
  EXPECT_THAT(cli_.Output(), HasSubstr("says pool " + other.pool.ToString()));
  ExpectRepaired("have the host write the label anew");
  EXPECT_EQ(ReadLabelFile(cluster_.device_path(0)).pool, before.pool);
}

}  // namespace
}  // namespace weft
