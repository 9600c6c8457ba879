// weft-coordinator: flags, the real clock, store and network, and signals.

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/fence_agents.h"
#include "server/coordinator/flags.h"
#include "server/coordinator/restore.h"
#include "server/coordinator/shared_store.h"
#include "server/core/errors.h"
#include "server/core/version.h"
#include "server/platform/linux/clock.h"
#include "server/platform/linux/daemon.h"
#include "server/platform/linux/program.h"
#include "server/platform/linux/random.h"
#include "server/platform/random.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

constexpr int kFailure = 1;

int Fail(const char* event, const absl::Status& status) {
  spdlog::error("{} reason={} error=\"{}\"", event, ResultName(status),
                std::string(status.message()));
  return kFailure;
}

CoordinatorOptions OptionsFrom(const CoordinatorFlags& flags) {
  CoordinatorOptions options;
  options.core.session_ttl = flags.session_ttl;
  options.core.max_requests_per_principal = flags.remembered_requests;
  options.core.version = kVersion;
  options.server.listen = flags.listen;
  options.server.allow_insecure = flags.insecure;
  if (!flags.tls_cert.empty()) {
    options.server.tls = TlsFiles{flags.tls_cert, flags.tls_key, flags.tls_ca};
  }
  options.metrics_address = flags.metrics_address;
  return options;
}

std::string ReadyText(const Coordinator& coordinator) {
  std::string text;
  for (const std::string& address : coordinator.addresses()) {
    absl::StrAppend(&text, "listen=", address, "\n");
  }
  absl::StrAppend(&text, "metrics=", coordinator.metrics_address(), "\n");
  return text;
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(std::istreambuf_iterator<char>(file), {});
  if (!file) return absl::FailedPreconditionError(absl::StrCat("cannot read ", path));
  return bytes;
}

absl::StatusOr<FenceAgents> ReadFenceAgents(const std::string& path) {
  if (path.empty()) return FenceAgents();
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<FenceAgents> agents = ParseFenceAgents(*text);
  return agents.ok() ? std::move(agents) : Annotate(agents.status(), path);
}

// Prints a line for each host. Returns the exit code.
int CheckFenceAgents(const FenceAgents& agents, ProgramRunner& programs) {
  int code = 0;
  for (const auto& [host, agent] : agents) {
    const auto program = programs.Start(ToProgram(host, agent, "monitor"));
    const auto end = program.ok() ? (*program)->Wait() : program.status();
    const bool good = end.ok() && end->status == 0;
    if (!good) code = kFailure;
    std::cout << host << ": "
              << (good       ? "ok"
                  : end.ok() ? absl::StrCat("failed with ", end->status, ": ", end->output)
                             : std::string(end.status().message()))
              << std::endl;
  }
  return code;
}

// The coordinator's threads that block in programs. Ends them when it goes.
class FenceThreads {
 public:
  explicit FenceThreads(Fencer& fencer) : fencer_(fencer) {
    for (size_t i = 0; i < fencer.concurrency(); ++i) {
      threads_.emplace_back([&fencer] { fencer.Run(); });
    }
  }
  ~FenceThreads() {
    fencer_.Stop();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  Fencer& fencer_;
  std::vector<std::thread> threads_;
};

Now TakeNow(const Clock& clock) {
  return {clock.MonotonicNow().since_start(),
          static_cast<uint64_t>(absl::ToUnixMillis(clock.UnixNow()))};
}

absl::StatusOr<Records> RecordsFor(const CoordinatorFlags& flags) {
  if (flags.migrate_from) {
    auto from = OpenStoreAlone(*flags.migrate_from);
    return from.ok() ? ReadStore(**from) : from.status();
  }
  const absl::StatusOr<std::string> backup = ReadFile(flags.restore);
  if (!backup.ok()) return backup.status();
  const LinuxClock clock;
  LinuxRandom random;
  CoreOptions core;
  core.random_uuid = [&random] { return NewUuid(random); };
  return RecordsToRestore(*backup, core, TakeNow(clock));
}

// --restore and --migrate-from.
int MakeStore(const CoordinatorFlags& flags) {
  const absl::StatusOr<Records> records = RecordsFor(flags);
  if (!records.ok()) return Fail("read_failed", records.status());
  auto store = OpenStoreAlone(flags.store);
  if (!store.ok()) return Fail("store_failed", store.status());
  const absl::Status filled = FillStore(**store, *records);
  if (!filled.ok()) return Fail("store_failed", filled);
  spdlog::info("store_made store={} records={}", flags.store.text(), records->size());
  return 0;
}

int Main(const CoordinatorFlags& flags) {
  const sigset_t signals = BlockStopSignals();
  LinuxProgramRunner programs;
  const absl::StatusOr<FenceAgents> agents = ReadFenceAgents(flags.fence_config);
  if (!agents.ok()) return Fail("fence_config_failed", agents.status());
  if (flags.check_fence_agents) return CheckFenceAgents(*agents, programs);
  if (!flags.restore.empty() || flags.migrate_from) return MakeStore(flags);
  LinuxClock clock;
  auto store = OpenSharedStore(flags, clock);
  if (!store.ok()) return Fail("store_failed", store.status());
  LinuxRandom random;
  Coordinator* started = nullptr;
  absl::Status ready;
  CoordinatorOptions options = OptionsFrom(flags);
  options.fence_agents = *agents;
  options.on_ready = [&] {
    ready = WriteReadyFile(flags.ready_file, ReadyText(*started));
    if (!ready.ok()) kill(getpid(), SIGTERM);
  };
  auto coordinator = Coordinator::Start(options, (*store)->leadership(), clock, random, programs);
  if (!coordinator.ok()) return Fail("start_failed", coordinator.status());
  started = coordinator->get();
  spdlog::info("started version={} listen={} metrics={} store={} session_ttl={}", kVersion,
               absl::StrJoin((*coordinator)->addresses(), ","), (*coordinator)->metrics_address(),
               flags.store.text(), absl::FormatDuration(flags.session_ttl));

  absl::Status result;
  std::thread executor([&] {
    result = (*coordinator)->Run();
    kill(getpid(), SIGTERM);  // Wakes the wait below if Run ended by itself.
  });
  std::thread elections([&] {
    (*store)->Run(flags.advertise.empty() ? started->addresses().front() : flags.advertise);
  });
  int signal_number = 0;
  {
    const FenceThreads fence_threads(started->fencer());
    sigwait(&signals, &signal_number);
    started->Stop();
  }
  (*store)->leadership().Stop();
  executor.join();
  (*store)->Shutdown();
  elections.join();
  coordinator->reset();
  if (!ready.ok()) return Fail("start_failed", ready);
  if (!result.ok()) return Fail("stopped", result);
  spdlog::info("stopped signal={}", signal_number);
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  weft::CoordinatorFlags flags;
  if (const std::optional<int> code = weft::ParseFlags(argc, argv, &flags)) return *code;
  weft::StartLog("weft-coordinator", flags.log_level);
  return weft::Main(flags);
}
