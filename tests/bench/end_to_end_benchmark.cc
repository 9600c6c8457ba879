// What an application waits for, from the SDK through weftd and the coordinator to SQLite,
// beside the least that each part of the way can cost on this machine at this moment.
//
//   tools/bench end_to_end

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "benchmark/benchmark.h"
#include "client/sdk/weft.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "server/core/check.h"
#include "server/core/types.h"
#include "server/platform/unique_fd.h"
#include "tests/bench/must.h"
#include "tests/integration/harness.h"

namespace weft {
namespace {

constexpr uint64_t kSegmentBytes = kExtentUnit.value();

// Set by main before the first benchmark.
Cluster* cluster = nullptr;
sdk::Client* client = nullptr;

// ---- Floors

// One durable write on the disk that the coordinator's store is on.
void BM_Fdatasync4KiB(benchmark::State& state) {
  const UniqueFd file(open(cluster->File("sync").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  const std::string page(4096, 'x');
  for (auto _ : state) {
    WEFT_CHECK(pwrite(file.get(), page.data(), page.size(), 0) == 4096);
    WEFT_CHECK(fdatasync(file.get()) == 0);
  }
}
BENCHMARK(BM_Fdatasync4KiB)->UseRealTime();

class EmptyNodeService final : public v1::NodeService::Service {
  grpc::Status GetNodeStatus(grpc::ServerContext*, const v1::GetNodeStatusRequest*,
                             v1::NodeStatus*) override {
    return grpc::Status::OK;
  }
};

// A unary call that does nothing, over a unix socket, to another thread.
void BM_EmptyRpc(benchmark::State& state) {
  const std::string address = "unix:" + cluster->File("empty.sock");
  EmptyNodeService service;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub =
      v1::NodeService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  for (auto _ : state) {
    grpc::ClientContext context;
    v1::NodeStatus reply;
    WEFT_CHECK(stub->GetNodeStatus(&context, v1::GetNodeStatusRequest(), &reply).ok());
  }
}
BENCHMARK(BM_EmptyRpc)->UseRealTime();

void SendFd(int socket, int fd) {
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  cmsghdr* const message = CMSG_FIRSTHDR(&header);
  message->cmsg_level = SOL_SOCKET;
  message->cmsg_type = SCM_RIGHTS;
  message->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(message), &fd, sizeof(int));
  WEFT_CHECK(sendmsg(socket, &header, MSG_NOSIGNAL) == 1);
}

UniqueFd ReceiveFd(int socket) {
  char byte;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  WEFT_CHECK(recvmsg(socket, &header, MSG_CMSG_CLOEXEC) == 1);
  int fd;
  std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(int));
  return UniqueFd(fd);
}

// A byte there and a descriptor back over a SOCK_SEQPACKET pair, to another thread.
void BM_FdPassed(benchmark::State& state) {
  int ends[2];
  WEFT_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  UniqueFd near(ends[0]);
  const UniqueFd far(ends[1]);
  const UniqueFd file(memfd_create("passed", MFD_CLOEXEC));
  std::thread server([&] {
    char byte;
    while (read(far.get(), &byte, 1) == 1) SendFd(far.get(), file.get());
  });
  for (auto _ : state) {
    WEFT_CHECK(write(near.get(), "x", 1) == 1);
    benchmark::DoNotOptimize(ReceiveFd(near.get()).get());
  }
  near = UniqueFd();
  shutdown(far.get(), SHUT_RDWR);
  server.join();
}
BENCHMARK(BM_FdPassed)->UseRealTime();

void BM_MmapMunmap(benchmark::State& state) {
  const UniqueFd file(memfd_create("mapped", MFD_CLOEXEC));
  WEFT_CHECK(ftruncate(file.get(), kSegmentBytes) == 0);
  for (auto _ : state) {
    void* const address =
        mmap(nullptr, kSegmentBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    WEFT_CHECK(address != MAP_FAILED);
    munmap(address, kSegmentBytes);
  }
}
BENCHMARK(BM_MmapMunmap)->UseRealTime();

// ---- From end to end

void OpenMapClose(const std::string& name) {
  sdk::Handle handle = Must(client->Open(name, sdk::AccessMode::kReadWrite));
  {
    benchmark::DoNotOptimize(Must(handle.Map()).data());
  }
  Must(handle.Close());
}

// Four commits: the segment, the grant, its release, the deletion.
void BM_CreateOpenCloseDelete(benchmark::State& state) {
  for (auto _ : state) {
    Must(client->CreateSegment("p/whole", kSegmentBytes).status());
    OpenMapClose("p/whole");
    Must(client->DeleteSegment("p/whole"));
  }
}
BENCHMARK(BM_CreateOpenCloseDelete)->UseRealTime()->Unit(benchmark::kMicrosecond);

// Two commits: the first handle on a host gets the grant, the last gives it back.
void BM_OpenCloseFirst(benchmark::State& state) {
  for (auto _ : state) OpenMapClose("p/first");
}
BENCHMARK(BM_OpenCloseFirst)->UseRealTime()->Unit(benchmark::kMicrosecond);

// No commit: the host has the grant already.
void BM_OpenCloseGranted(benchmark::State& state) {
  const sdk::Handle other = Must(client->Open("p/granted", sdk::AccessMode::kReadWrite));
  for (auto _ : state) OpenMapClose("p/granted");
}
BENCHMARK(BM_OpenCloseGranted)->UseRealTime()->Unit(benchmark::kMicrosecond);

// ---- Report

// Remembers the times, to show them as multiples of the floors.
class RatioReporter final : public benchmark::ConsoleReporter {
 public:
  RatioReporter() : ConsoleReporter(isatty(STDOUT_FILENO) ? OO_ColorTabular : OO_Tabular) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.iterations == 0) continue;
      seconds_[run.run_name.function_name] =
          run.real_accumulated_time / static_cast<double>(run.iterations);
    }
  }

  void PrintRatios() const {
    constexpr const char* kFloors[] = {"BM_Fdatasync4KiB", "BM_EmptyRpc", "BM_FdPassed",
                                       "BM_MmapMunmap"};
    constexpr const char* kMeasured[] = {"BM_CreateOpenCloseDelete", "BM_OpenCloseFirst",
                                         "BM_OpenCloseGranted"};
    std::printf("\n%-26s", "as a multiple of");
    for (const char* floor : kFloors) std::printf("%18s", floor);
    for (const char* measured : kMeasured) {
      if (!seconds_.contains(measured)) continue;
      std::printf("\n%-26s", measured);
      for (const char* floor : kFloors) {
        const auto found = seconds_.find(floor);
        if (found != seconds_.end()) {
          std::printf("%18.1f", seconds_.at(measured) / found->second);
        } else {
          std::printf("%18s", "-");
        }
      }
    }
    std::printf("\n");
  }

 private:
  std::map<std::string, double> seconds_;
};

void PrintLoad() {
  double load[3] = {};
  getloadavg(load, 3);
  const unsigned processors = std::thread::hardware_concurrency();
  std::printf(
      "load average %.2f %.2f %.2f on %u processors%s\n", load[0], load[1], load[2], processors,
      load[0] > processors / 2.0 ? ": the machine is busy, the times are not to be trusted" : "");
}

int Main() {
  PrintLoad();
  ClusterOptions options;
  options.device_size = ByteCount(512 * kMiB.value());
  Cluster all(options);
  Must(all.StartWithPool());
  const std::unique_ptr<sdk::Client> connected = Must(all.Connect("host-a"));
  cluster = &all;
  client = connected.get();
  for (const char* name : {"p/first", "p/granted"}) {
    Must(client->CreateSegment(name, kSegmentBytes).status());
  }
  RatioReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  reporter.PrintRatios();
  return 0;
}

}  // namespace
}  // namespace weft

// The programs are found by $WEFT_COORDINATOR and $WEFTD.
int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  return weft::Main();
}
