// Sessions of many hosts with one coordinator, over real connections: each host renews at a
// third of its lease, while administrators create, read and delete pools. Prints what that costs
// the coordinator and how long renewals take; fails if a session expires.
//
//   tools/bench sessions [--hosts N] [--seconds N] [--operations N]

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/sdk/admin/rpc_client.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "server/core/check.h"
#include "server/platform/linux/temp_dir.h"
#include "server/rpc/node/grpc_transport.h"
#include "tests/bench/must.h"
#include "tests/integration/process.h"

namespace weft {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr absl::Duration kTtl = absl::Seconds(10);
constexpr int kAdministrators = 10;

struct Flags {
  int hosts = 1000;
  int seconds = 60;
  int operations = 100;  // a second, of all administrators
};

// Latencies of one kind. Thread-safe.
class Latencies {
 public:
  void Add(absl::Duration latency) {
    absl::MutexLock lock(&mu_);
    all_.push_back(latency);
  }
  std::string Summary() {
    absl::MutexLock lock(&mu_);
    std::sort(all_.begin(), all_.end());
    if (all_.empty()) return "none";
    const auto at = [&](double part) ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      const size_t index = std::min(all_.size() - 1, static_cast<size_t>(part * all_.size()));
      return absl::ToDoubleMilliseconds(all_[index]);
    };
    return absl::StrCat(all_.size(), ": p50 ", at(0.5), " ms, p99 ", at(0.99), " ms, worst ", at(1),
                        " ms");
  }

 private:
  absl::Mutex mu_;
  std::vector<absl::Duration> all_ ABSL_GUARDED_BY(mu_);
};

// A host's session, on a connection of its own.
class Host {
 public:
  Host(const std::string& address, int number, Latencies& renewals)
      : transport_({address}, std::nullopt), renewals_(renewals) {
    stream_ =
        transport_.Connect([this](const v1::CoordinatorMessage& message) { OnMessage(message); },
                           [this](const absl::Status& status) { OnEnd(status); });
    v1::NodeMessage message;
    v1::Register& request = *message.mutable_register_();
    request.set_protocol_version(1);
    request.set_host_id(absl::StrCat("host-", number));
    request.set_boot_id(absl::StrCat("boot-", number));
    request.set_instance_id("1");
    request.set_backend(v1::EMULATED);
    request.set_can_revoke(true);
    request.set_revoke_bound_ms(1000);
    stream_->Send(message);
  }

  void AwaitRegistered() {
    absl::MutexLock lock(&mu_);
    WEFT_CHECK(mu_.AwaitWithTimeout(absl::Condition(&registered_), kPatience), "no session");
  }

  void Renew() {
    v1::NodeMessage message;
    {
      absl::MutexLock lock(&mu_);
      sent_.push_back(absl::Now());
      message.mutable_renew()->set_sequence(++sequence_);
    }
    stream_->Send(message);
  }

  // Empty: it has not ended.
  std::string end() {
    absl::MutexLock lock(&mu_);
    return end_;
  }

 private:
  void OnMessage(const v1::CoordinatorMessage& message) {
    absl::MutexLock lock(&mu_);
    if (message.has_registered()) registered_ = true;
    if (!message.has_renewed()) return;
    renewals_.Add(absl::Now() - sent_.front());
    sent_.pop_front();
  }
  void OnEnd(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    end_ = absl::StrCat("ended: ", status.ToString());
  }

  GrpcTransport transport_;
  Latencies& renewals_;
  absl::Mutex mu_;
  bool registered_ ABSL_GUARDED_BY(mu_) = false;
  uint64_t sequence_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<absl::Time> sent_ ABSL_GUARDED_BY(mu_);
  std::string end_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<CoordinatorStream> stream_;  // destroyed first
};

// CPU time that a process has used, all its threads together.
absl::Duration CpuTime(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  // The fields after the program's name, which is in parentheses: utime is the 12th.
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  return absl::Seconds(1) * (user + system) / sysconf(_SC_CLK_TCK);
}

// Creates, reads and deletes a pool, one operation every `interval`, until `stop`.
void Administrate(const std::string& address, int number, absl::Duration interval,
                  const std::atomic<bool>& stop, Latencies& operations) {
  const auto client = Must(sdk::RpcClient::Make({.address = address, .timeout = kPatience}));
  const std::string id = absl::StrCat("admin", number);
  absl::Time next = absl::Now();
  for (int step = 0; !stop; step = (step + 1) % 3) {
    absl::SleepFor(next - absl::Now());
    const absl::Time begin = absl::Now();
    if (step == 0) {
      v1::CreatePoolRequest request;
      request.set_pool_id(id);
      Must(client->Call(&v1::PoolService::Stub::CreatePool, request));
    } else if (step == 1) {
      v1::GetPoolRequest request;
      request.set_name("pools/" + id);
      Must(client->Call(&v1::PoolService::Stub::GetPool, request));
    } else {
      v1::DeletePoolRequest request;
      request.set_name("pools/" + id);
      Must(client->Call(&v1::PoolService::Stub::DeletePool, request));
    }
    operations.Add(absl::Now() - begin);
    next = std::max(next + interval, absl::Now());
  }
}

// Renews each host's session every third of the lease, evenly spread, until `end`.
void RenewAll(std::vector<std::unique_ptr<Host>>& hosts, absl::Time end) {
  const absl::Duration step = kTtl / 3 / static_cast<int64_t>(hosts.size());
  absl::Time next = absl::Now();
  for (size_t i = 0; next < end; i = (i + 1) % hosts.size()) {
    absl::SleepFor(next - absl::Now());
    hosts[i]->Renew();
    next += step;
  }
}

// Where a coordinator that is ready listens, as it says in its ready file.
std::string ListenAddress(const std::string& ready_file) {
  constexpr std::string_view kListen = "listen=";
  std::ifstream file(ready_file);
  std::string line;
  std::getline(file, line);
  WEFT_CHECK(line.starts_with(kListen), line);
  return line.substr(kListen.size());
}

int Run(const Flags& flags, const std::string& folder) {
  const std::string ready = folder + "/ready";
  Process coordinator({std::getenv("WEFT_COORDINATOR"), "--store=sqlite:" + folder + "/store.db",
                       "--listen=127.0.0.1:0", "--metrics-address=none", "--ready-file=" + ready,
                       absl::StrCat("--session-ttl=", absl::FormatDuration(kTtl))},
                      folder + "/log");
  WEFT_CHECK(coordinator.AwaitFile(ready, kPatience).ok(), "see ", folder, "/log");
  const std::string address = ListenAddress(ready);

  Latencies renewals, operations;
  std::vector<std::unique_ptr<Host>> hosts;
  const absl::Time connecting = absl::Now();
  for (int i = 0; i < flags.hosts; ++i) {
    hosts.push_back(std::make_unique<Host>(address, i, renewals));
  }
  for (const auto& host : hosts) host->AwaitRegistered();
  std::cout << flags.hosts << " sessions registered in "
            << absl::FormatDuration(absl::Trunc(absl::Now() - connecting, absl::Milliseconds(1)))
            << std::endl;

  std::atomic<bool> stop = false;
  std::vector<std::thread> administrators;
  for (int i = 0; i < kAdministrators; ++i) {
    administrators.emplace_back([&, i] {
      Administrate(address, i, absl::Seconds(kAdministrators) / flags.operations, stop, operations);
    });
  }
  const absl::Duration cpu_before = CpuTime(coordinator.pid());
  const absl::Time begin = absl::Now();
  RenewAll(hosts, begin + absl::Seconds(flags.seconds));
  const double cpu =
      absl::FDivDuration(CpuTime(coordinator.pid()) - cpu_before, absl::Now() - begin);
  stop = true;
  for (std::thread& administrator : administrators) administrator.join();

  const auto admin = Must(sdk::RpcClient::Make({.address = address, .timeout = kPatience}));
  const v1::ClusterStatus status =
      Must(admin->Call(&v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest()));
  int ended = 0;
  for (const auto& host : hosts) {
    if (host->end().empty()) continue;
    ++ended;
    std::cerr << host->end() << "\n";
  }
  std::cout << "coordinator: " << 100 * cpu << " % of one CPU\nrenewals:    " << renewals.Summary()
            << "\noperations:  " << operations.Summary()
            << "\nsessions:    " << status.hosts_alive() << " alive, " << ended << " ended"
            << std::endl;
  return ended == 0 && status.hosts_alive() == hosts.size() ? 0 : 1;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  weft::Flags flags;
  CLI::App app("Sessions of many hosts with one coordinator.");
  app.add_option("--hosts", flags.hosts)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--seconds", flags.seconds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--operations", flags.operations, "A second")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const weft::TempDir folder;
  return weft::Run(flags, folder.path());
}
