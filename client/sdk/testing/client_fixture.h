// What the tests of the SDK have in common.

#ifndef WEFT_CLIENT_SDK_TESTING_CLIENT_FIXTURE_H_
#define WEFT_CLIENT_SDK_TESTING_CLIENT_FIXTURE_H_

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/testing/fake_weftd.h"
#include "client/sdk/weft.h"
#include "gtest/gtest.h"

namespace weft::sdk {

inline constexpr uint64_t kPage = 4096;
inline constexpr uint64_t kUnit = 2 << 20;
inline constexpr char kName[] = "p/s";

// A client, and a weftd of the test's own that has no segment yet.
class ClientTest : public ::testing::Test {
 protected:
  void Connect() { client_ = ConnectWith({}); }

  std::unique_ptr<Client> ConnectWith(ClientOptions options) {
    options.socket_path = weftd_.socket_path();
    if (options.call_timeout == ClientOptions().call_timeout) {
      options.call_timeout = absl::Minutes(1);
    }
    auto client = Client::Connect(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  // A segment without bytes yet.
  static v1::Segment Named(const std::string& short_name = "s") {
    v1::Segment segment;
    segment.set_name(absl::StrCat("pools/p/segments/", short_name));
    segment.set_id(7);
    segment.set_generation(1);
    segment.set_coherence(v1::SOFTWARE);
    return segment;
  }

  static void AddRun(v1::Segment& segment, const std::vector<v1::Extent>& extents,
                     uint64_t chunk_bytes = 0) {
    v1::Run* const run = segment.add_runs();
    run->set_chunk_bytes(chunk_bytes);
    for (const v1::Extent& extent : extents) {
      *run->add_extents() = extent;
      segment.set_size_bytes(segment.size_bytes() + extent.length_bytes());
    }
  }

  static v1::Extent At(const std::string& device, uint64_t offset_bytes, uint64_t length_bytes) {
    v1::Extent extent;
    extent.set_device(device);
    extent.set_offset_bytes(offset_bytes);
    extent.set_length_bytes(length_bytes);
    return extent;
  }

  // p/s, of `units` on a device of its own.
  v1::Segment SetSimple(uint64_t units = 1) {
    v1::Segment segment = Named();
    AddRun(segment, {At(weftd_.AddDevice(units * kUnit), 0, units * kUnit)});
    weftd_.SetSegment(segment);
    return segment;
  }

  // p/s, of `count` pieces of one unit, in random order on two devices.
  v1::Segment SetScattered(int count) {
    const std::string devices[2] = {weftd_.AddDevice(count * kUnit),
                                    weftd_.AddDevice(count * kUnit)};
    std::vector<v1::Extent> extents;
    for (int i = 0; i < count; ++i) extents.push_back(At(devices[i % 2], i * kUnit, kUnit));
    std::shuffle(extents.begin(), extents.end(), std::mt19937(1));
    v1::Segment segment = Named();
    for (const v1::Extent& extent : extents) AddRun(segment, {extent});
    weftd_.SetSegment(segment);
    return segment;
  }

  Handle Open(AccessMode mode = AccessMode::kReadWrite) {
    auto handle = client_->Open(kName, mode);
    EXPECT_TRUE(handle.ok()) << handle.status();
    return *std::move(handle);
  }

  static Mapping Map(const Handle& handle, const MapOptions& options = {}) {
    auto mapping = handle.Map(options);
    EXPECT_TRUE(mapping.ok()) << mapping.status();
    return *std::move(mapping);
  }

  // Byte `at` of the test pattern; differs in neighbouring pages.
  static std::byte PatternAt(uint64_t at) {
    return static_cast<std::byte>((at / kPage * 37 + at) % 251);
  }

  static void Fill(const Mapping& mapping) {
    for (uint64_t at = 0; at < mapping.size(); at += 64) mapping.data()[at] = PatternAt(at);
  }

  // How many bytes differ from the pattern at `offset`.
  static uint64_t Differences(const Mapping& mapping, uint64_t offset = 0) {
    uint64_t different = 0;
    for (uint64_t at = 0; at < mapping.size(); at += 64) {
      different += mapping.data()[at] != PatternAt(offset + at);
    }
    return different;
  }

  // The same for the bytes of a device, which hold the segment's from `offset`.
  uint64_t DeviceDifferences(const v1::Extent& extent, uint64_t offset) const {
    std::vector<std::byte> bytes(extent.length_bytes());
    EXPECT_EQ(pread(weftd_.device_fd(extent.device()), bytes.data(), bytes.size(),
                    static_cast<off_t>(extent.offset_bytes())),
              static_cast<ssize_t>(bytes.size()));
    uint64_t different = 0;
    for (uint64_t at = 0; at < bytes.size(); at += 64) {
      different += bytes[at] != PatternAt(offset + at);
    }
    return different;
  }

  // For interceptors, which may run until weftd_ is gone.
  absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<uint64_t> closes_ ABSL_GUARDED_BY(mu_);

  FakeWeftd weftd_;
  std::unique_ptr<Client> client_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_TESTING_CLIENT_FIXTURE_H_
