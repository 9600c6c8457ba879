// weftd: flags, the real clock, devices, sockets and threads, and signals.

#include <grp.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"
#include "server/core/errors.h"
#include "server/core/version.h"
#include "server/node/flags.h"
#include "server/node/kmod_stack.h"
#include "server/node/node.h"
#include "server/node/raw_backend.h"
#include "server/node/task_queue.h"
#include "server/platform/linux/clock.h"
#include "server/platform/linux/daemon.h"
#include "server/platform/linux/dax.h"
#include "server/platform/linux/file_lock.h"
#include "server/platform/linux/packet_socket.h"
#include "server/platform/linux/proc_mappings.h"
#include "server/platform/linux/random.h"
#include "server/platform/linux/record_files.h"
#include "server/platform/linux/signatures.h"
#include "server/rpc/node/grpc_transport.h"
#include "server/rpc/node/local_server.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr int kFailure = 1;
// The coordinator does not take this daemon: another version, name or certificate.
constexpr int kRefused = 3;

int Fail(const char* event, const absl::Status& status) {
  spdlog::error("{} reason={} error=\"{}\"", event, ResultName(status),
                std::string(status.message()));
  return kFailure;
}

absl::StatusOr<std::string> ReadBootId() {
  std::string boot_id;
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  if (file >> boot_id) return boot_id;
  return absl::FailedPreconditionError("cannot read /proc/sys/kernel/random/boot_id");
}

absl::Status MakeDir(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot create ", path));
}

absl::StatusOr<PacketSocketOptions> SocketOptions(const NodeFlags& flags) {
  PacketSocketOptions options;
  options.path = flags.socket_dir + "/weftd.sock";
  options.access.mode = flags.socket_mode;
  if (flags.socket_group.empty()) return options;
  const group* const found = getgrnam(flags.socket_group.c_str());
  if (found == nullptr) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat("there is no group ", flags.socket_group));
  }
  options.access.group = found->gr_gid;
  return options;
}

// Grants are remembered for the boot of the host in which they were given: after a reboot
// nothing is mapped.
absl::StatusOr<std::unique_ptr<RecordDir>> OpenRecords(const std::string& state_dir,
                                                       const std::string& boot_id) {
  const std::string current = absl::StrCat("grants.", boot_id);
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(state_dir, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("grants.") && name != current) fs::remove_all(entry.path(), error);
  }
  return RecordFiles::Open(absl::StrCat(state_dir, "/", current));
}

absl::StatusOr<std::unique_ptr<prometheus::Exposer>> StartMetrics(
    const std::string& address, const std::shared_ptr<NodeMetrics>& metrics, std::string* bound) {
  if (address.empty()) return nullptr;
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address);
    exposer->RegisterCollectable(metrics);
    *bound = absl::StrCat(address.substr(0, address.rfind(':')), ":",
                          exposer->GetListeningPorts().front());
    return exposer;
  } catch (const std::exception& error) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot serve metrics on ", address, ": ", error.what(),
                     " (is the address in use? --metrics-address=none turns them off)"));
  }
}

int Main(const NodeFlags& flags) {
  const sigset_t signals = BlockStopSignals();
  RaiseDescriptorLimit();  // clients and what they have open count
  for (const std::string& dir : {flags.state_dir, flags.socket_dir}) {
    if (absl::Status s = MakeDir(dir); !s.ok()) return Fail("start_failed", s);
  }
  const auto lock = FileLock::Acquire(flags.state_dir + "/lock");
  if (!lock.ok()) return Fail("start_failed", Annotate(lock.status(), "another weftd runs here"));
  const absl::StatusOr<std::string> boot_id = ReadBootId();
  if (!boot_id.ok()) return Fail("start_failed", boot_id.status());
  const auto records = OpenRecords(flags.state_dir, *boot_id);
  if (!records.ok()) return Fail("start_failed", records.status());
  LinuxDaxOptions dax_options;
  dax_options.emulated = flags.emulated;
  dax_options.allow_raw_devdax = flags.allow_raw_devdax;
  dax_options.devices = flags.devices;
  const auto dax = LinuxDax::Create(std::move(dax_options));
  if (!dax.ok()) return Fail("start_failed", dax.status());
  std::unique_ptr<KmodStack> kmod;
  if (flags.backend == v1::KMOD) {
    auto opened = KmodStack::Open(flags, *boot_id);
    if (!opened.ok()) return Fail("start_failed", opened.status());
    kmod = *std::move(opened);
  }
  const absl::StatusOr<PacketSocketOptions> socket_options = SocketOptions(flags);
  if (!socket_options.ok()) return Fail("start_failed", socket_options.status());
  const auto packets = PacketSocket::Listen(*socket_options);
  if (!packets.ok()) return Fail("start_failed", packets.status());
  LinuxClock clock;
  const auto metrics = std::make_shared<NodeMetrics>(clock);
  std::string metrics_address;
  const auto exposer = StartMetrics(flags.metrics_address, metrics, &metrics_address);
  if (!exposer.ok()) return Fail("start_failed", exposer.status());

  LinuxRandom random;
  LinuxSignatureProbe probe;
  // The file of an emulated device is this user's, and clients are trusted to cooperate.
  ProcMappings mappings(flags.backend == v1::EMULATED ? Unreadable::kIgnored : Unreadable::kError);
  DeviceCatalog catalog(kmod != nullptr ? kmod->dax() : **dax, {clock, random, probe});
  std::optional<TlsFiles> tls;
  if (!flags.tls_cert.empty()) tls = TlsFiles{flags.tls_cert, flags.tls_key, flags.tls_ca};
  TaskQueue executor(clock);
  TaskQueue blocking(clock);
  RawBackend raw_backend(flags.backend, flags.host_id, catalog, mappings, **records);
  if (kmod != nullptr) kmod->MakeBackend(catalog, **records, blocking);
  Backend& backend = kmod != nullptr ? kmod->backend() : raw_backend;
  GrpcTransport transport(flags.coordinators, tls);

  NodeOptions options;
  options.host_id = flags.host_id;
  options.boot_id = *boot_id;
  options.trust_expiry = flags.trust_expiry;
  options.revoke_bound = kmod != nullptr ? kmod->revoke_bound() : flags.revoke_bound;
  options.metrics_address = metrics_address;
  const std::string grpc_path = flags.socket_dir + "/weftd-grpc.sock";
  options.grpc_address = "unix:" + grpc_path;
  options.daemon_uid = getuid();
  options.rescan_interval = flags.rescan_interval;
  options.scrub_rate = flags.scrub_rate;
  options.grants.claim_grace = flags.claim_grace;

  std::atomic<int> exit_code = 0;
  std::unique_ptr<LocalServer> local;
  Node::Events events;
  events.on_registered = [&](const v1::Registered& registered) {
    local->SetServing(true);
    const absl::Status written = WriteReadyFile(
        flags.ready_file, absl::StrCat("socket=", socket_options->path, "\ngrpc=unix:", grpc_path,
                                       "\nmetrics=", metrics_address, "\nhost=", flags.host_id,
                                       "\nsession=", registered.session_id(), "\n"));
    if (written.ok()) return;
    exit_code = Fail("start_failed", written);
    kill(getpid(), SIGTERM);
  };
  events.on_refused = [&](const absl::Status& status) {
    Fail("coordinator_refused", status);
    exit_code = kRefused;
    kill(getpid(), SIGTERM);
  };
  Node node(options,
            {executor, blocking, clock, random, transport, **packets, catalog, backend, *metrics},
            events);
  if (absl::Status s = node.Start(); !s.ok()) return Fail("start_failed", s);
  auto started = LocalServer::Start(options.grpc_address, socket_options->access, node,
                                    [&transport] { return transport.channel(); });
  if (!started.ok()) return Fail("start_failed", started.status());
  local = *std::move(started);
  spdlog::info("started version={} host={} backend={} coordinator={} socket={} metrics={}",
               kVersion, flags.host_id, v1::Backend_Name(flags.backend), transport.address(),
               socket_options->path, metrics_address);

  std::thread executor_thread([&] { executor.Run(); });
  std::thread blocking_thread([&] { blocking.Run(); });
  std::thread scrub_thread([&] { node.scrubber().Run(); });
  std::thread packet_thread([&] { (*packets)->Run(node.packet_handler()); });
  std::thread event_thread([&] {
    if (kmod == nullptr) return;
    kmod->RunEvents(*metrics, [&node](const KmodEvent& event) { node.OnEvent(event); });
  });
  int signal_number = 0;
  sigwait(&signals, &signal_number);

  local->Shutdown();  // answers what waits for an answer: the executors still run
  // Clients keep their mappings, and this host the grants: the next daemon takes them over.
  // So from here on nobody must see the clients' connections end.
  executor.Stop();
  executor_thread.join();
  blocking.Stop();
  blocking_thread.join();
  node.scrubber().Stop();
  scrub_thread.join();
  (*packets)->Stop();
  packet_thread.join();
  if (kmod != nullptr) kmod->StopEvents();
  event_thread.join();
  if (kmod != nullptr && flags.release_devices) kmod->ReleaseDevices();
  unlink(socket_options->path.c_str());
  spdlog::info("stopped signal={}", signal_number);
  return exit_code;
}

std::string HostName() {
  char name[256] = {};
  gethostname(name, sizeof(name) - 1);
  const std::string full = name;
  return full.substr(0, full.find('.'));
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  weft::NodeFlags flags;
  if (const std::optional<int> code = weft::ParseFlags(argc, argv, weft::HostName(), &flags)) {
    return *code;
  }
  weft::StartLog("weftd", flags.log_level);
  return weft::Main(flags);
}
