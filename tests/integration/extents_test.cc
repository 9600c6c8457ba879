// Segments of many pieces: one span on every host, whatever the extents.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/sdk/weft.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/segment.grpc.pb.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

using sdk::AccessMode;

constexpr uint64_t kUnit = kExtentUnit.value();

std::vector<std::byte> RandomBytes(uint64_t seed, uint64_t size) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> bytes(size);
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    const uint64_t word = random();
    std::memcpy(&bytes[at], &word, sizeof(word));
  }
  return bytes;
}

bool Equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0;
}

class ExtentsTest : public testing::Test {
 protected:
  // Enough for 64 extents that do not touch each other.
  ExtentsTest() : cluster_({.devices = 4, .device_size = ByteCount(80 * kMiB.value())}) {}

  void SetUp() override {
    const absl::Status started = cluster_.StartWithPool();
    ASSERT_TRUE(started.ok()) << started;
    for (const char* host : {"host-a", "host-b"}) {
      auto client = cluster_.Connect(host);
      ASSERT_TRUE(client.ok()) << client.status();
      clients_.push_back(*std::move(client));
    }
    auto devices = cluster_.ListDevices();
    ASSERT_TRUE(devices.ok()) << devices.status();
    devices_ = *std::move(devices);
  }

  // Creates p/`name` of `count` extents of one unit, on all devices, last bytes first, no two
  // of them side by side.
  void CreateScattered(const std::string& name, int count) {
    v1::CreateSegmentRequest request;
    request.set_parent("pools/p");
    request.set_segment_id(name);
    request.mutable_segment()->set_size_bytes(count * kUnit);
    for (int i = 0; i < count; ++i) {
      const v1::Device& device = devices_[i % devices_.size()];
      const uint64_t place = 2 * (count / devices_.size() - i / devices_.size());
      v1::Extent& extent = *request.add_extents();
      extent.set_device(device.name());
      extent.set_offset_bytes(device.data_offset_bytes() + place * kUnit);
      extent.set_length_bytes(kUnit);
    }
    const auto segment = cluster_.admin().Call(&v1::SegmentService::Stub::CreateSegment, request);
    ASSERT_TRUE(segment.ok()) << segment.status();
  }

  // Writes every byte on host-a, and expects each on host-b, and where the runs say that it
  // lies in the devices.
  void ExpectSharedByteForByte(const std::string& name) {
    auto writer = clients_[0]->Open(name, AccessMode::kReadWrite);
    ASSERT_TRUE(writer.ok()) << writer.status();
    const auto written = writer->Map();
    ASSERT_TRUE(written.ok()) << written.status();
    ASSERT_EQ(written->size(), writer->size_bytes());
    const std::vector<std::byte> bytes = RandomBytes(writer->segment().id, written->size());
    std::memcpy(written->data(), bytes.data(), bytes.size());
    ASSERT_TRUE(written->Flush(0, written->size()).ok());

    auto reader = clients_[1]->Open(name, AccessMode::kReadOnly);
    ASSERT_TRUE(reader.ok()) << reader.status();
    const auto read = reader->Map();
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_TRUE(read->Invalidate(0, read->size()).ok());
    EXPECT_TRUE(Equal(read->bytes(), bytes));
    EXPECT_TRUE(Equal(ReadThroughFiles(reader->segment()), bytes));
  }

  // The segment's bytes, put together from the devices' files by its runs.
  std::vector<std::byte> ReadThroughFiles(const sdk::Segment& segment) {
    std::vector<std::byte> bytes;
    for (const sdk::Run& run : segment.runs) {
      const uint64_t chunk =
          run.chunk_bytes == 0 ? run.extents.front().length_bytes : run.chunk_bytes;
      for (uint64_t at = 0; at < run.extents.front().length_bytes; at += chunk) {
        for (const sdk::Extent& extent : run.extents) {
          AppendFromFile(extent.device, extent.offset_bytes + at, chunk, bytes);
        }
      }
    }
    return bytes;
  }

  void AppendFromFile(const std::string& device, uint64_t offset, uint64_t length,
                      std::vector<std::byte>& bytes) {
    for (const v1::Device& candidate : devices_) {
      if (candidate.name() != device) continue;
      std::ifstream file(candidate.attachments(0).path(), std::ios::binary);
      file.seekg(static_cast<std::streamoff>(offset));
      bytes.resize(bytes.size() + length);
      file.read(reinterpret_cast<char*>(&bytes[bytes.size() - length]),
                static_cast<std::streamsize>(length));
      ASSERT_TRUE(file.good());
    }
  }

  Cluster cluster_;
  std::vector<std::unique_ptr<sdk::Client>> clients_;
  std::vector<v1::Device> devices_;
};

class ExtentCountTest : public ExtentsTest, public testing::WithParamInterface<int> {};

TEST_P(ExtentCountTest, MapAsOneSpanThatBothHostsSee) {
  CreateScattered("scattered", GetParam());
  const auto segment = clients_[0]->GetSegment("p/scattered");
  ASSERT_TRUE(segment.ok()) << segment.status();
  ASSERT_EQ(segment->runs.size(), static_cast<size_t>(GetParam()));
  ExpectSharedByteForByte("p/scattered");
}

INSTANTIATE_TEST_SUITE_P(Counts, ExtentCountTest, testing::Values(1, 7, 64),
                         testing::PrintToStringParamName());

TEST_F(ExtentsTest, StripedSegmentMapsAsOneSpanThatBothHostsSee) {
  for (const uint64_t chunk_units : {1, 3}) {
    const std::string name = absl::StrCat("p/striped-", chunk_units);
    const auto segment = clients_[0]->CreateSegment(name, 24 * kUnit,
                                                    {.placement = sdk::Placement::kStriped,
                                                     .stripe_devices = 4,
                                                     .chunk_bytes = chunk_units * kUnit});
    ASSERT_TRUE(segment.ok()) << segment.status();
    ASSERT_EQ(segment->runs.size(), 1u);
    ASSERT_EQ(segment->runs[0].extents.size(), 4u);
    ExpectSharedByteForByte(name);
  }
}

// What was there stays where it is, in the same mapping, and both hosts see what is new.
TEST_F(ExtentsTest, GrownSegmentIsStillOneSpan) {
  CreateScattered("grown", 7);
  auto handle = clients_[0]->Open("p/grown", AccessMode::kReadWrite);
  ASSERT_TRUE(handle.ok()) << handle.status();
  auto mapping = handle->Map({.reserve_bytes = 16 * kUnit});
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  const std::vector<std::byte> bytes = RandomBytes(1, mapping->size());
  std::memcpy(mapping->data(), bytes.data(), bytes.size());

  ASSERT_TRUE(clients_[0]->GrowSegment("p/grown", 16 * kUnit).ok());
  ASSERT_TRUE(handle->Refresh().ok());
  ASSERT_TRUE(mapping->Extend().ok());
  ASSERT_EQ(mapping->size(), 16 * kUnit);
  EXPECT_TRUE(Equal(mapping->bytes().first(bytes.size()), bytes));
  EXPECT_TRUE(Equal(mapping->bytes().subspan(bytes.size()),
                    std::vector<std::byte>(mapping->size() - bytes.size())));
  ExpectSharedByteForByte("p/grown");
}

}  // namespace
}  // namespace weft
