// Bad input and faults from end to end: a precise error, and nothing is changed.
//
//   fault                                  test
//   bad names                              RefusedTest.BadNames
//   sizes: 0, unaligned, 2^63, smaller     RefusedTest.BadSizes
//   unknown pools and segments             RefusedTest.UnknownNames
//   duplicate names                        RefusedTest.DuplicateName
//   a full pool                            RefusedTest.FullPool
//   a daemon newer than the coordinator    RefusedTest.NewerDaemon
//   a second writer                        HeldTest.SecondWriter...
//   deleting what is held                  HeldTest.Delete...
//   writing through a reader's descriptor  HeldTest.ReadOnly...
//   a label damaged in one copy, in both   DamageTest.DamagedLabel...
//   a label of another cluster             DamageTest.LabelOfAnotherCluster...
//   a truncated file                       DamageTest.TruncatedFile...
//   a clone of a device, garbage on the fd socket, a client that is newer, or gone before
//   it got its descriptor, a wrong mode, formatting a device that a pool has:
//   node/weftd_test.cc
//   finer cases of all: the unit tests of server/core, server/node and server/platform

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "proto/weft/v1/session.grpc.pb.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

using sdk::AccessMode;
using sdk::ReasonName;
using ::testing::HasSubstr;

constexpr uint64_t kUnit = kExtentUnit.value();
// Behind the label's magic, before its checksum: docs/formats.md.
constexpr uint64_t kInLabel = 24;

class BadInputTest : public testing::Test {
 protected:
  explicit BadInputTest(ClusterOptions options = {}) : cluster_(std::move(options)) {}

  void Start() {
    const absl::Status started = cluster_.StartWithPool();
    ASSERT_TRUE(started.ok()) << started;
    a_ = ConnectTo("host-a");
    b_ = ConnectTo("host-b");
  }

  std::unique_ptr<sdk::Client> ConnectTo(const std::string& host) {
    auto client = cluster_.Connect(host);
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }

  // Rises with every change of the cluster's state.
  uint64_t Revision() {
    const auto status =
        cluster_.admin().Call(&v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest());
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok() ? status->revision() : 0;
  }

  Cluster cluster_;
  std::unique_ptr<sdk::Client> a_;
  std::unique_ptr<sdk::Client> b_;
};

// Each request is refused with its reason and leaves everything as it was.
class RefusedTest : public BadInputTest {
 protected:
  void SetUp() override {
    Start();
    const auto segment = a_->CreateSegment("p/s", 2 * kUnit);
    ASSERT_TRUE(segment.ok()) << segment.status();
    revision_ = Revision();
  }
  void TearDown() override { EXPECT_EQ(Revision(), revision_); }

  uint64_t revision_ = 0;
};

TEST_F(RefusedTest, BadNames) {
  const std::string too_long(64, 'x');
  for (const std::string& id : {std::string("S"), std::string("a b"), std::string("-a"),
                                std::string("a."), std::string("a/b"), std::string(), too_long}) {
    SCOPED_TRACE(id);
    EXPECT_EQ(ReasonName(a_->CreateSegment("p/" + id, kUnit).status()), "BAD_NAME");
    EXPECT_EQ(ReasonName(a_->Open("p/" + id, AccessMode::kReadOnly).status()), "BAD_NAME");
    // Around the SDK, whose own check comes first.
    v1::CreateSegmentRequest request;
    request.set_parent("pools/p");
    request.set_segment_id(id);
    request.mutable_segment()->set_size_bytes(kUnit);
    EXPECT_EQ(
        ReasonOf(cluster_.admin().Call(&v1::SegmentService::Stub::CreateSegment, request).status()),
        v1::BAD_NAME);
  }
}

TEST_F(RefusedTest, BadSizes) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, kUnit - 1, kUnit + 4096, uint64_t{1} << 63,
                              (uint64_t{1} << 63) + kUnit, ~uint64_t{0}}) {
    SCOPED_TRACE(size);
    EXPECT_EQ(ReasonName(a_->CreateSegment("p/t", size).status()), "BAD_SIZE");
    EXPECT_EQ(ReasonName(a_->GrowSegment("p/s", size).status()), "BAD_SIZE");
  }
  EXPECT_EQ(ReasonName(a_->GrowSegment("p/s", kUnit).status()), "BAD_SIZE");
}

TEST_F(RefusedTest, UnknownNames) {
  EXPECT_EQ(ReasonName(a_->CreateSegment("q/s", kUnit).status()), "POOL_NOT_FOUND");
  EXPECT_EQ(ReasonName(a_->GetSegment("p/t").status()), "SEGMENT_NOT_FOUND");
  EXPECT_EQ(ReasonName(a_->GrowSegment("p/t", kUnit).status()), "SEGMENT_NOT_FOUND");
  EXPECT_EQ(ReasonName(a_->DeleteSegment("p/t")), "SEGMENT_NOT_FOUND");
  EXPECT_EQ(ReasonName(a_->Open("p/t", AccessMode::kReadOnly).status()), "SEGMENT_NOT_FOUND");
  EXPECT_EQ(ReasonName(a_->Open("q/s", AccessMode::kReadOnly).status()), "SEGMENT_NOT_FOUND");
}

TEST_F(RefusedTest, DuplicateName) {
  EXPECT_EQ(ReasonName(b_->CreateSegment("p/s", 3 * kUnit).status()), "ALREADY_EXISTS");
}

TEST_F(RefusedTest, FullPool) {
  constexpr uint64_t kMore = uint64_t{1} << 40;
  EXPECT_EQ(ReasonName(a_->CreateSegment("p/t", kMore).status()), "POOL_FULL");
  EXPECT_EQ(ReasonName(a_->GrowSegment("p/s", kMore).status()), "POOL_FULL");
}

TEST_F(RefusedTest, NewerDaemon) {
  const auto stub = v1::SessionService::NewStub(
      grpc::CreateChannel(cluster_.coordinator_address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const auto stream = stub->Connect(&context);
  v1::NodeMessage message;
  v1::Register& request = *message.mutable_register_();
  request.set_protocol_version(99);
  request.set_host_id("host-c");
  request.set_boot_id("boot");
  request.set_instance_id("instance");
  request.set_backend(v1::EMULATED);
  stream->Write(message);
  v1::CoordinatorMessage answer;
  EXPECT_FALSE(stream->Read(&answer)) << answer.DebugString();
  EXPECT_EQ(ReasonOf(FromGrpcStatus(stream->Finish())), v1::VERSION_TOO_NEW);
}

class HeldTest : public BadInputTest {
 protected:
  void SetUp() override {
    Start();
    const auto segment = a_->CreateSegment("p/s", 2 * kUnit);
    ASSERT_TRUE(segment.ok()) << segment.status();
  }
};

TEST_F(HeldTest, SecondWriterIsRefusedUntilTheFirstIsGone) {
  auto writer = a_->Open("p/s", AccessMode::kReadWrite);
  ASSERT_TRUE(writer.ok()) << writer.status();
  const uint64_t revision = Revision();
  const absl::Status refused = b_->Open("p/s", AccessMode::kReadWrite).status();
  EXPECT_EQ(ReasonName(refused), "HELD");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("host-a"));
  EXPECT_EQ(Revision(), revision);

  ASSERT_TRUE(writer->Close().ok());
  const auto next = b_->Open("p/s", AccessMode::kReadWrite);
  EXPECT_TRUE(next.ok()) << next.status();
}

TEST_F(HeldTest, DeleteOfHeldSegmentIsRefused) {
  const auto handle = a_->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(handle.ok()) << handle.status();
  const uint64_t revision = Revision();
  const absl::Status refused = b_->DeleteSegment("p/s");
  EXPECT_EQ(ReasonName(refused), "IN_USE");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("host-a"));
  EXPECT_EQ(Revision(), revision);
  EXPECT_TRUE(handle->Map().ok());
}

TEST_F(HeldTest, ReadOnlyDescriptorCannotBeMappedWritable) {
  const auto handle = a_->Open("p/s", AccessMode::kReadOnly);
  ASSERT_TRUE(handle.ok()) << handle.status();
  const auto mapping = handle->Map();
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  errno = 0;
  EXPECT_EQ(mprotect(mapping->data(), mapping->size(), PROT_READ | PROT_WRITE), -1);
  EXPECT_EQ(errno, EACCES);
}

// Devices whose files are tampered with, while no daemon looks or under one that runs.
class DamageTest : public BadInputTest {
 protected:
  void SetUp() override { Start(); }

  void Overwrite(uint64_t offset, const std::string& bytes) {
    std::fstream file(cluster_.device_path(0), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    ASSERT_TRUE(file.good());
  }
  uint64_t DeviceSize() { return std::filesystem::file_size(cluster_.device_path(0)); }

  // Expects that a host of `cluster` refuses to format its device for `reason`, and keeps all
  // bytes of it.
  static void ExpectNotFormatted(Cluster& cluster, v1::Reason reason, bool force = false) {
    const auto bytes = [&] {
      std::ostringstream all;
      all << std::ifstream(cluster.device_path(0), std::ios::binary).rdbuf();
      return all.str();
    };
    const std::string before = bytes();
    const absl::Status refused = cluster.Format("host-a", 0, force);
    EXPECT_EQ(ReasonOf(refused), reason) << refused;
    EXPECT_TRUE(bytes() == before);  // too long to print
  }

  // What host-a says about its only device; empty: it uses it.
  std::string Skipped() {
    const auto client = ConnectTo("host-a");
    const auto local = Cluster::ConnectLocal(*client);
    EXPECT_TRUE(local.ok()) << local.status();
    const auto devices =
        (*local)->Call(&v1::NodeService::Stub::ListLocalDevices, v1::ListLocalDevicesRequest());
    EXPECT_TRUE(devices.ok()) << devices.status();
    return devices.ok() && devices->devices_size() == 1 ? devices->devices(0).skipped() : "?";
  }

  void RestartHostA() {
    cluster_.host("host-a").Terminate();
    const absl::Status started = cluster_.StartHost("host-a");
    ASSERT_TRUE(started.ok()) << started;
  }
};

TEST_F(DamageTest, DamagedLabelIsSkippedAndSaidSo) {
  cluster_.host("host-a").Terminate();
  Overwrite(kInLabel, "damage");
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  EXPECT_EQ(Skipped(), "");  // The other copy will do.

  cluster_.host("host-a").Terminate();
  Overwrite(kInLabel, "damage");
  Overwrite(DeviceSize() - kUnit + kInLabel, "damage");
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  EXPECT_THAT(Skipped(), HasSubstr("checksum is wrong"));
  const uint64_t revision = Revision();
  ExpectNotFormatted(cluster_, v1::BAD_LABEL);
  EXPECT_EQ(Revision(), revision);
}

TEST_F(DamageTest, LabelOfAnotherClusterIsNotTakenOver) {
  cluster_.host("host-a").Terminate();
  Cluster other;
  ASSERT_TRUE(other.StartCoordinator().ok());
  std::filesystem::copy_file(cluster_.device_path(0), other.device_path(0));
  ASSERT_TRUE(other.StartHost("host-a").ok());
  const absl::Status refused = other.MakePool("p");
  EXPECT_EQ(ReasonOf(refused), v1::FOREIGN_DATA) << refused;
  ExpectNotFormatted(other, v1::FOREIGN_DATA);
  const absl::Status forced = other.Format("host-a", 0, /*force=*/true);
  EXPECT_TRUE(forced.ok()) << forced;
}

TEST_F(DamageTest, TruncatedFileIsNeitherUsedNorRepaired) {
  ASSERT_TRUE(a_->CreateSegment("p/s", kUnit).ok());
  const uint64_t size = DeviceSize();
  std::filesystem::resize_file(cluster_.device_path(0), size / 2);
  EXPECT_EQ(ReasonName(a_->Open("p/s", AccessMode::kReadOnly).status()), "BACKING_FILE_DAMAGED");
  RestartHostA();
  EXPECT_THAT(Skipped(), HasSubstr("truncated"));
  ExpectNotFormatted(cluster_, v1::BACKING_FILE_DAMAGED, /*force=*/true);
  EXPECT_EQ(DeviceSize(), size / 2);
}

}  // namespace
}  // namespace weft
