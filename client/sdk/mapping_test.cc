// Mappings: which bytes they hold, and what refuses them.

#include "client/sdk/mapping.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "client/sdk/internal/unique_fd.h"
#include "client/sdk/testing/client_fixture.h"
#include "gtest/gtest.h"

namespace weft::sdk {
namespace {

class ScatteredTest : public ClientTest, public ::testing::WithParamInterface<int> {};

TEST_P(ScatteredTest, MapsAsOneSpan) {
  const v1::Segment segment = SetScattered(GetParam());
  Connect();
  const Handle writer = Open();
  const Mapping written = Map(writer);
  ASSERT_EQ(written.size(), GetParam() * kUnit);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(written.data()) % kUnit, 0);
  Fill(written);

  const Handle reader = Open(AccessMode::kReadOnly);
  EXPECT_EQ(Differences(Map(reader)), 0);
  uint64_t offset = 0;
  for (const v1::Run& run : segment.runs()) {
    EXPECT_EQ(DeviceDifferences(run.extents(0), offset), 0);
    offset += run.extents(0).length_bytes();
  }
}

TEST_P(ScatteredTest, MapsAPart) {
  SetScattered(GetParam());
  Connect();
  const Handle handle = Open();
  Fill(Map(handle));
  const uint64_t offset = (GetParam() / 2) * kUnit + 5 * kPage;
  const Mapping part = Map(handle, {.offset_bytes = offset, .length_bytes = kUnit - 6 * kPage + 1});
  EXPECT_EQ(part.size(), kUnit - 6 * kPage + 1);
  EXPECT_EQ(Differences(part, offset), 0);
}

INSTANTIATE_TEST_SUITE_P(Extents, ScatteredTest, ::testing::Values(1, 7, 64));

TEST_F(ClientTest, StripesMapAsOneSpan) {
  constexpr uint64_t kColumn = 8 * kUnit;
  std::vector<v1::Extent> columns;
  for (int i = 0; i < 3; ++i) {
    columns.push_back(At(weftd_.AddDevice(kColumn + kUnit), i % 2 * kUnit, kColumn));
  }
  v1::Segment segment = Named();
  AddRun(segment, columns, 2 * kUnit);
  weftd_.SetSegment(segment);
  Connect();
  const Handle handle = Open();
  const Mapping mapping = Map(handle);
  ASSERT_EQ(mapping.size(), 3 * kColumn);
  Fill(mapping);
  for (uint64_t chunk = 0; chunk < 12; ++chunk) {
    const v1::Extent& column = columns[chunk % 3];
    const uint64_t within = chunk / 3 * 2 * kUnit;
    EXPECT_EQ(DeviceDifferences(At(column.device(), column.offset_bytes() + within, 2 * kUnit),
                                chunk * 2 * kUnit),
              0)
        << chunk;
  }
}

TEST_F(ClientTest, KmodSegmentsAreOneFile) {
  weftd_.SetKmod();
  v1::Segment segment = Named();
  AddRun(segment, {At("devices/elsewhere", 0, kUnit)});
  AddRun(segment, {At("devices/elsewhere", 4 * kUnit, kUnit)});
  weftd_.SetSegment(segment);
  Connect();
  Handle handle = Open();
  EXPECT_EQ(handle.backend(), Backend::kKmod);
  const Mapping mapping = Map(handle, {.reserve_bytes = 8 * kUnit});
  Fill(mapping);
  std::byte byte{};
  ASSERT_EQ(pread(handle.fd(), &byte, 1, kUnit), 1);
  EXPECT_EQ(byte, PatternAt(kUnit));

  AddRun(segment, {At("devices/elsewhere", 8 * kUnit, kUnit)});
  weftd_.SetSegment(segment);
  ASSERT_TRUE(handle.Refresh().ok());
  EXPECT_EQ(handle.size_bytes(), 3 * kUnit);
  EXPECT_EQ(Map(handle).size(), 3 * kUnit);
}

TEST_F(ClientTest, ReadOnlyMapsCannotBeWritten) {
  SetSimple();
  Connect();
  const Handle handle = Open(AccessMode::kReadOnly);
  const Mapping mapping = Map(handle);
  EXPECT_EQ(mapping.data()[kPage], std::byte{0});
  // The kernel refuses where the processor would signal.
  const UniqueFd zero(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(read(zero.get(), mapping.data(), 1), -1);
  EXPECT_EQ(errno, EFAULT);
}

TEST_F(ClientTest, MapRefusesWhatDoesNotFit) {
  SetSimple();
  Connect();
  const Handle handle = Open();
  const std::vector<MapOptions> cases = {
      {.offset_bytes = 1},
      {.offset_bytes = kUnit},
      {.offset_bytes = 0, .length_bytes = kUnit + 1},
      {.offset_bytes = kPage, .length_bytes = ~uint64_t{0}},
      {.reserve_bytes = ~uint64_t{0}},
  };
  for (const MapOptions& options : cases) {
    EXPECT_EQ(ReasonName(handle.Map(options).status()), "BAD_ARGUMENT") << options.offset_bytes;
  }
  EXPECT_EQ(ReasonName(handle.Map({.reserve_bytes = uint64_t{1} << 60}).status()), "QUOTA");
}

TEST_F(ClientTest, ATruncatedFileIsAnErrorNotASignal) {
  SetSimple(2);
  Connect();
  const Handle handle = Open();
  ASSERT_EQ(ftruncate(weftd_.device_fd(weftd_.last_open().devices(0)), kUnit), 0);
  const absl::Status status = handle.Map().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReasonName(status), "BACKING_FILE_DAMAGED");
  EXPECT_TRUE(handle.Map({.length_bytes = kUnit}).ok());
}

TEST_F(ClientTest, FlushAndInvalidateStayWithinTheMapping) {
  SetSimple();
  Connect();
  const Handle handle = Open();
  const Mapping mapping = Map(handle);
  EXPECT_FALSE(mapping.coherent());
  Fill(mapping);
  EXPECT_TRUE(mapping.Flush(0, kUnit).ok());
  EXPECT_TRUE(mapping.Flush(100, 1).ok());
  EXPECT_TRUE(mapping.Invalidate(kUnit - 1, 1).ok());
  EXPECT_TRUE(mapping.Invalidate(kUnit, 0).ok());
  EXPECT_EQ(Differences(mapping), 0);
  EXPECT_EQ(ReasonName(mapping.Flush(kUnit, 1)), "BAD_ARGUMENT");
  EXPECT_EQ(ReasonName(mapping.Flush(1, kUnit)), "BAD_ARGUMENT");
  EXPECT_EQ(ReasonName(mapping.Invalidate(8, ~uint64_t{0})), "BAD_ARGUMENT");
  EXPECT_EQ(ReasonName(mapping.Invalidate(kUnit + 1, 0)), "BAD_ARGUMENT");
}

TEST_F(ClientTest, HardwareCoherenceIsTold) {
  v1::Segment segment = SetSimple();
  segment.set_coherence(v1::HARDWARE);
  weftd_.SetSegment(segment);
  Connect();
  const Handle handle = Open();
  EXPECT_EQ(handle.segment().coherence, Coherence::kHardware);
  EXPECT_TRUE(Map(handle).coherent());
}

TEST_F(ClientTest, AMappingGrowsInPlaceAfterRefresh) {
  v1::Segment segment = SetSimple();
  Connect();
  Handle handle = Open();
  Mapping mapping = Map(handle, {.reserve_bytes = 3 * kUnit});
  Fill(mapping);
  std::byte* const data = mapping.data();
  EXPECT_EQ(ReasonName(mapping.Extend(2 * kUnit)), "BAD_ARGUMENT");

  const std::string added = weftd_.AddDevice(3 * kUnit);
  AddRun(segment, {At(added, kUnit, 2 * kUnit)});
  weftd_.SetSegment(segment);
  ASSERT_TRUE(handle.Refresh().ok());
  EXPECT_EQ(handle.size_bytes(), 3 * kUnit);
  EXPECT_EQ(mapping.size(), kUnit);

  ASSERT_TRUE(mapping.Extend(kUnit + 1).ok());
  ASSERT_TRUE(mapping.Extend().ok());
  EXPECT_EQ(mapping.data(), data);
  ASSERT_EQ(mapping.size(), 3 * kUnit);
  Fill(mapping);
  EXPECT_EQ(DeviceDifferences(At(added, kUnit, 2 * kUnit), kUnit), 0);
  EXPECT_TRUE(mapping.Extend(3 * kUnit).ok());
  EXPECT_EQ(ReasonName(mapping.Extend(kUnit)), "BAD_SIZE");

  AddRun(segment, {At(segment.runs(0).extents(0).device(), 0, kUnit)});
  weftd_.SetSegment(segment);
  ASSERT_TRUE(handle.Refresh().ok());
  EXPECT_EQ(ReasonName(mapping.Extend()), "BAD_SIZE");
  EXPECT_EQ(Differences(mapping), 0);
}

TEST_F(ClientTest, RefreshesAtOnceAllSeeTheNewSize) {
  v1::Segment segment = SetSimple();
  Connect();
  Handle handle = Open();
  AddRun(segment, {At(weftd_.AddDevice(kUnit), 0, kUnit)});
  weftd_.SetSegment(segment);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&handle] {
      EXPECT_TRUE(handle.Refresh().ok());
      EXPECT_EQ(Map(handle).size(), 2 * kUnit);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace weft::sdk
