#include <blkid/blkid.h>
#include <daxctl/libdaxctl.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <isa-l/crc.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/registry.h>
#include <spdlog/spdlog.h>
#include <sqlite3.h>
#include <uuid/uuid.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/numeric/int128.h"
#include "absl/random/distributions.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "benchmark/benchmark.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/build/echo.grpc.pb.h"
#include "tests/build/echo_mock.grpc.pb.h"

namespace weft::build_test {
namespace {

class EchoService final : public Echo::CallbackService {
  grpc::ServerUnaryReactor* Say(grpc::CallbackServerContext* context, const SayRequest* request,
                                SayRequest* response) override {
    *response = *request;
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

TEST(LibrariesTest, Grpc) {
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  EchoService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  const auto stub = Echo::NewStub(grpc::CreateChannel(absl::StrFormat("127.0.0.1:%d", port),
                                                      grpc::InsecureChannelCredentials()));

  SayRequest request, response;
  request.set_text("weft");
  request.mutable_time()->set_seconds(7);
  grpc::ClientContext context;
  ASSERT_TRUE(stub->Say(&context, request, &response).ok());
  EXPECT_EQ(response.text(), "weft");
  EXPECT_EQ(response.time().seconds(), 7);
}

TEST(LibrariesTest, GrpcMocks) {
  MockEchoStub stub;
  EXPECT_CALL(stub, Say).WillOnce(::testing::Return(grpc::Status::CANCELLED));
  grpc::ClientContext context;
  SayRequest request, response;
  EXPECT_FALSE(stub.Say(&context, request, &response).ok());
}

TEST(LibrariesTest, ErrorDetails) {
  google::rpc::ErrorInfo info;
  info.set_reason("POOL_FULL");
  google::rpc::Status status;
  status.add_details()->PackFrom(info);
  EXPECT_EQ(status.details(0).type_url(), "type.googleapis.com/google.rpc.ErrorInfo");
}

TEST(LibrariesTest, Abseil) {
  absl::btree_map<int, int> ordered = {{2, 1}, {1, 2}};
  EXPECT_EQ(ordered.begin()->first, 1);
  absl::flat_hash_map<std::string, int> map = {{"a", 1}};
  absl::flat_hash_set<int> set = {1};
  EXPECT_EQ(map.size(), set.size());
  absl::AnyInvocable<int(int) &&> twice = [](int x) { return 2 * x; };
  EXPECT_EQ(std::move(twice)(2), 4);
  EXPECT_EQ(absl::Uint128High64(absl::uint128(1) << 64), 1u);
  std::mt19937_64 random(1);
  EXPECT_LT(absl::Uniform(random, 0, 10), 10);
  EXPECT_EQ(absl::StatusOr<int>(4).value(), 4);
  const std::vector<std::string> parts = absl::StrSplit("a/b", '/');
  EXPECT_EQ(absl::MakeSpan(parts).size(), 2u);
  absl::Notification done;
  {
    const absl::Cleanup notify = [&] { done.Notify(); };
  }
  EXPECT_TRUE(done.HasBeenNotified());
  EXPECT_EQ(absl::ToInt64Seconds(absl::Minutes(1)), 60);
}

TEST(LibrariesTest, Benchmark) { EXPECT_FALSE(benchmark::ReportUnrecognizedArguments(1, nullptr)); }

TEST(LibrariesTest, Blkid) {
  const blkid_probe probe = blkid_new_probe();
  ASSERT_NE(probe, nullptr);
  blkid_free_probe(probe);
}

TEST(LibrariesTest, Cli11) {
  CLI::App app;
  uint64_t size = 0;
  app.add_option("--size", size)->transform(CLI::AsSizeValue(/*kb_is_1000=*/false));
  const char* const args[] = {"weft", "--size", "2k"};
  app.parse(3, args);
  EXPECT_EQ(size, 2048u);
}

TEST(LibrariesTest, Crc32c) {
  unsigned char text[] = "123456789";
  EXPECT_EQ(~crc32_iscsi(text, 9, ~0u), 0xe3069283u);
}

TEST(LibrariesTest, Daxctl) {
  struct daxctl_ctx* context = nullptr;
  ASSERT_EQ(daxctl_new(&context), 0);
  daxctl_unref(context);
}

TEST(LibrariesTest, Json) { EXPECT_EQ(nlohmann::json::parse(R"({"a": [1, 2]})")["a"].size(), 2u); }

TEST(LibrariesTest, Prometheus) {
  prometheus::Registry registry;
  prometheus::BuildCounter().Name("weft_tests_total").Register(registry).Add({}).Increment();
  EXPECT_EQ(registry.Collect().front().metric.front().counter.value, 1);
  prometheus::Exposer exposer("127.0.0.1:0");
  EXPECT_EQ(exposer.GetListeningPorts().size(), 1u);
}

TEST(LibrariesTest, Spdlog) {
  EXPECT_EQ(fmt::format("{} {}", spdlog::get_level() == spdlog::level::info, 1), "true 1");
}

TEST(LibrariesTest, Sqlite) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(":memory:", &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_close(db), SQLITE_OK);
}

TEST(LibrariesTest, Uuid) {
  uuid_t id;
  uuid_generate(id);
  EXPECT_EQ(uuid_is_null(id), 0);
}

}  // namespace
}  // namespace weft::build_test
