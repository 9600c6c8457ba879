// The SDK against a weftd of the test's own, over the fd socket: opening, mapping, and
// what happens to handles. What goes over gRPC is in segments_test.cc.

#include "client/sdk/client.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/sdk/errors.h"
#include "client/sdk/testing/fake_weftd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft::sdk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kPage = 4096;
constexpr uint64_t kUnit = 2 << 20;
constexpr char kName[] = "p/s";

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

  FakeWeftd weftd_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientTest, ConnectGivesUpAtOnceIfAsked) {
  weftd_.Stop();
  const absl::Status status = Client::Connect({.socket_path = weftd_.socket_path(),
                                               .connect_timeout = absl::ZeroDuration()})
                                  .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReasonName(status), "UNREACHABLE");
  EXPECT_THAT(std::string(status.message()), HasSubstr(weftd_.socket_path()));
}

TEST_F(ClientTest, ConnectFindsTheSocketByEnvironment) {
  setenv("WEFT_SOCKET", weftd_.socket_path().c_str(), 1);
  auto client = Client::Connect();
  unsetenv("WEFT_SOCKET");
  ASSERT_TRUE(client.ok()) << client.status();
  const auto endpoint = (*client)->GetEndpoint();
  ASSERT_TRUE(endpoint.ok());
  EXPECT_EQ(endpoint->ticket, weftd_.ticket());
  EXPECT_EQ(endpoint->host_id, "host-a");
  EXPECT_EQ(endpoint->principal, "uid:1@host-a");
  EXPECT_EQ(endpoint->grpc_address, "unix:" + weftd_.grpc_path());
}

TEST_F(ClientTest, ATicketThatCannotTravelIsRefused) {
  weftd_.Intercept([](const auto& peer, const v1::ClientMessage& message) {
    v1::ServerMessage reply;
    reply.set_sequence(message.sequence());
    reply.mutable_welcome()->set_ticket("\x01\x02");
    peer->Send(reply);
    return true;
  });
  EXPECT_EQ(Client::Connect({.socket_path = weftd_.socket_path()}).status().code(),
            absl::StatusCode::kInternal);
}

TEST_F(ClientTest, BadNamesNeverLeave) {
  Connect();
  for (const char* name : {"", "s", "p/", "/s", "p/s/t", "P/s", "pools/p/segments/s"}) {
    EXPECT_EQ(ReasonName(client_->Open(name, AccessMode::kReadOnly).status()), "BAD_NAME") << name;
  }
}

TEST_F(ClientTest, OpenGivesWeftdsError) {
  Connect();
  const absl::Status status = client_->Open(kName, AccessMode::kReadOnly).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonName(status), "SEGMENT_NOT_FOUND");
  EXPECT_THAT(std::string(status.message()), HasSubstr("open p/s: "));
}

TEST_F(ClientTest, AHandleSaysWhatItIs) {
  SetSimple(3);
  Connect();
  const Handle handle = Open();
  EXPECT_EQ(handle.mode(), AccessMode::kReadWrite);
  EXPECT_EQ(handle.backend(), Backend::kEmulated);
  EXPECT_EQ(handle.token(), (Token{1, handle.id()}));
  EXPECT_EQ(handle.page_size_bytes(), kPage);
  EXPECT_EQ(handle.size_bytes(), 3 * kUnit);
  EXPECT_EQ(handle.state(), HandleState::kLive);
  EXPECT_EQ(handle.fd(), -1);
  EXPECT_EQ(handle.segment().name, kName);
  EXPECT_EQ(handle.segment().coherence, Coherence::kSoftware);
  const std::string device = weftd_.last_open().devices(0);
  EXPECT_THAT(handle.segment().runs, ElementsAre(sdk::Run{{{device, 0, 3 * kUnit}}, 0}));
  EXPECT_EQ(handle.incarnation(), (Incarnation{7, 1, {{device, 1}}}));
}

TEST_F(ClientTest, OpenAsksForWhatTheOptionsSay) {
  SetSimple();
  Connect();
  const Incarnation incarnation = Open().incarnation();
  v1::OpenRequest request;
  weftd_.Intercept([&](const auto&, const v1::ClientMessage& message) {
    if (message.has_open()) request = message.open();
    return false;
  });
  ASSERT_TRUE(client_
                  ->Open(kName, AccessMode::kReadOnly,
                         {.require_hardware_coherence = true, .expected = incarnation})
                  .ok());
  EXPECT_EQ(request.mode(), v1::READ_ONLY);
  EXPECT_TRUE(request.require_hardware_coherence());
  EXPECT_EQ(request.expected().segment_id(), 7);
  EXPECT_EQ(request.expected().generation(), 1);
  EXPECT_EQ(request.expected().devices(0).device(), incarnation.devices[0].device);
}

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

TEST_F(ClientTest, AnotherGenerationMakesTheHandleStale) {
  v1::Segment segment = SetSimple();
  Connect();
  Handle handle = Open();
  segment.set_generation(2);
  weftd_.SetSegment(segment);
  EXPECT_EQ(ReasonName(handle.Refresh()), "STALE_GENERATION");
  EXPECT_EQ(handle.state(), HandleState::kStale);
  EXPECT_EQ(ReasonName(handle.Map().status()), "STALE_GENERATION");
}

TEST_F(ClientTest, CloseIsKnownToWeftdWhenItReturns) {
  SetSimple();
  Connect();
  Handle handle = Open();
  EXPECT_THAT(weftd_.handles(), ElementsAre(handle.id()));
  EXPECT_TRUE(handle.Close().ok());
  EXPECT_THAT(weftd_.handles(), IsEmpty());
}

TEST_F(ClientTest, AMappingKeepsItsHandleOpen) {
  SetSimple();
  Connect();
  Handle handle = Open();
  std::vector<Mapping> mappings;
  mappings.push_back(Map(handle));
  mappings.push_back(Map(handle));
  EXPECT_TRUE(handle.Close().ok());
  mappings.erase(mappings.begin());
  EXPECT_EQ(weftd_.handles().size(), 1);
  Fill(mappings[0]);
  mappings.clear();
  EXPECT_TRUE(weftd_.AwaitHandles(0));
}

TEST_F(ClientTest, AMappingCanBeAssignedOver) {
  SetSimple();
  Connect();
  Handle first = Open();
  Handle second = Open();
  Mapping mapping = Map(first);
  ASSERT_TRUE(first.Close().ok());
  mapping = Map(second);
  EXPECT_TRUE(weftd_.AwaitHandles(1));
  EXPECT_THAT(weftd_.handles(), ElementsAre(second.id()));
  Fill(mapping);
}

TEST_F(ClientTest, HandlesOutliveTheClient) {
  SetSimple();
  Connect();
  Handle handle = Open();
  client_.reset();
  Fill(Map(handle));
  EXPECT_TRUE(handle.Close().ok());
  EXPECT_THAT(weftd_.handles(), IsEmpty());
}

// What weftd may send wrongly; every one must leave no handle behind.
TEST_F(ClientTest, SenselessHandlesAreRefusedAndGivenBack) {
  const std::vector<std::pair<std::string, std::function<void(v1::OpenReply&)>>> cases = {
      {"page size", [](v1::OpenReply& reply) { reply.set_page_size_bytes(0); }},
      {"page size", [](v1::OpenReply& reply) { reply.set_page_size_bytes(12288); }},
      {"descriptors", [](v1::OpenReply& reply) { reply.add_devices("devices/9"); }},
      {"descriptors", [](v1::OpenReply& reply) { reply.clear_devices(); }},
      {"backend", [](v1::OpenReply& reply) { reply.set_backend(v1::BACKEND_UNSPECIFIED); }},
      {"impossible size", [](v1::OpenReply& reply) { reply.mutable_segment()->set_size_bytes(0); }},
      {"runs of", [](v1::OpenReply& reply) { reply.mutable_segment()->set_size_bytes(kPage); }},
  };
  SetSimple();
  Connect();
  Open().Close().IgnoreError();
  const v1::OpenReply good = weftd_.last_open();
  for (const auto& [what, spoil] : cases) {
    v1::ServerMessage reply;
    *reply.mutable_open() = good;
    spoil(*reply.mutable_open());
    reply.mutable_open()->set_handle_id(1000);
    {
      absl::MutexLock lock(&mu_);
      closed_ = false;
    }
    weftd_.Intercept([&](const auto& peer, const v1::ClientMessage& message) {
      if (message.has_open()) {
        reply.set_sequence(message.sequence());
        peer->Send(reply, {weftd_.device_fd(good.devices(0))});
        return true;
      }
      absl::MutexLock lock(&mu_);
      closed_ = message.close().handle_id() == 1000;
      return false;
    });
    const absl::Status status = client_->Open(kName, AccessMode::kReadOnly).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr(what));
    absl::MutexLock lock(&mu_);
    EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&closed_), absl::Minutes(1))) << what;
  }
}

TEST_F(ClientTest, AnOpenThatComesTooLateIsGivenBack) {
  SetSimple();
  auto client = ConnectWith({.call_timeout = absl::Milliseconds(50)});
  std::vector<std::function<void()>> late;
  weftd_.Intercept([&](const auto& peer, const v1::ClientMessage& message) {
    if (!message.has_open()) return false;
    absl::MutexLock lock(&mu_);
    late.push_back([peer, sequence = message.sequence()] {
      v1::ServerMessage reply;
      reply.set_sequence(sequence);
      reply.mutable_open()->set_handle_id(5);
      peer->Send(reply);
    });
    return true;
  });
  EXPECT_EQ(client->Open(kName, AccessMode::kReadOnly).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  const auto arrived = [&late] { return !late.empty(); };
  {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&arrived));
  }
  weftd_.Intercept([&](const auto&, const v1::ClientMessage& message) {
    absl::MutexLock lock(&mu_);
    closed_ = message.close().handle_id() == 5;
    return false;
  });
  absl::MutexLock lock(&mu_);
  for (const auto& send : late) send();
  EXPECT_TRUE(mu_.AwaitWithTimeout(absl::Condition(&closed_), absl::Minutes(1)));
}

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

TEST_F(ClientTest, ManyThreadsShareAClient) {
  SetSimple();
  Connect();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      for (int round = 0; round < 20; ++round) {
        Handle handle = Open();
        {
          const Mapping mapping = Map(handle);
        }
        EXPECT_TRUE(handle.Close().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(weftd_.handles(), IsEmpty());
}

}  // namespace
}  // namespace weft::sdk
