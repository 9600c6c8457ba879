// How long a coordinator takes from exec until it serves, by how much its store holds: with
// SQLite, and with three members of etcd on this machine.
//
//   tools/bench restart [--segments N]

#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/sdk/admin/rpc_client.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "server/coordinator/restore.h"
#include "server/core/check.h"
#include "server/core/core_test_util.h"
#include "server/core/schema_version.h"
#include "server/platform/linux/temp_dir.h"
#include "server/store/etcd/etcd_server.h"
#include "server/store/etcd/etcd_store.h"
#include "server/store/sqlite_store.h"
#include "tests/bench/must.h"
#include "tests/integration/process.h"

namespace weft {
namespace {

constexpr int kRuns = 5;
constexpr absl::Duration kPatience = absl::Minutes(2);
constexpr char kPrefix[] = "/bench";

// What a coordinator would have stored: a pool of one device with `segments` segments of
// 2 MiB, made by the commands that make them.
Records MakeRecords(int segments) {
  TestCluster cluster;
  cluster.AddDevice(static_cast<uint64_t>(segments) * 2 + 2);
  cluster.RegisterHost("host-a");
  cluster.MakePool("p");
  for (int i = 0; i < segments; ++i) Must(cluster.Create("p", absl::StrCat("s", i), 2));
  cluster.store[kSchemaKey] = absl::StrCat(kSchemaVersion);
  return std::move(cluster.store);
}

// Each run: from before exec until a linearizable read is answered.
std::vector<absl::Duration> Measure(const std::string& store, const std::string& folder) {
  const std::string address = "unix:" + folder + "/coordinator.sock";
  std::vector<absl::Duration> times;
  for (int i = 0; i < kRuns; ++i) {
    const std::string ready = folder + "/ready";
    std::filesystem::remove(ready);
    const absl::Time begin = absl::Now();
    Process coordinator({std::getenv("WEFT_COORDINATOR"), "--store=" + store, "--listen=" + address,
                         "--metrics-address=none", "--ready-file=" + ready},
                        folder + "/log");
    Must(coordinator.AwaitFile(ready, kPatience));
    const auto admin = Must(sdk::RpcClient::Make({.address = address, .timeout = kPatience}));
    Must(admin->Call(&v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest()).status());
    times.push_back(absl::Now() - begin);
    WEFT_CHECK(coordinator.Terminate() == 0, "see ", folder, "/log");
  }
  std::sort(times.begin(), times.end());
  return times;
}

void Report(const char* store, int segments, const std::vector<absl::Duration>& times) {
  std::cout << store << ", " << segments << " segments: serves after p50 "
            << absl::ToInt64Milliseconds(times[times.size() / 2]) << " ms, worst of "
            << times.size() << " " << absl::ToInt64Milliseconds(times.back()) << " ms" << std::endl;
}

void Run(const std::string& folder, int segments) {
  const Records records = MakeRecords(segments);
  const std::string path = folder + "/store.db";
  Must(FillStore(*Must(SqliteStore::Open({.path = path, .vfs = ""})), records));
  Report("sqlite", segments, Measure("sqlite:" + path, folder));

  EtcdServers servers(folder, 3);
  {
    const std::shared_ptr<EtcdClient> client = servers.Connect();
    EtcdLeader other;
    EtcdStore store(
        client,
        Must(EtcdTerm::TryBegin(
            client, {.prefix = kPrefix, .address = "bench", .ttl = absl::Minutes(10)}, &other)));
    Must(FillStore(store, records));
  }
  const std::string endpoints = absl::StrJoin(servers.endpoints(), ",");
  Report("etcd", segments, Measure(absl::StrCat("etcd://", endpoints, kPrefix), folder));
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  int segments = 100'000;
  CLI::App app("How long a coordinator takes until it serves.");
  app.add_option("--segments", segments)->check(CLI::PositiveNumber)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const weft::TempDir folder;
  weft::Run(folder.path(), segments);
}
