#include "tests/integration/harness.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "proto/weft/v1/cluster.grpc.pb.h"
#include "proto/weft/v1/device.grpc.pb.h"
#include "proto/weft/v1/event.grpc.pb.h"
#include "proto/weft/v1/grant.grpc.pb.h"
#include "proto/weft/v1/node.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

// Far more than any of it takes: only a test that fails waits for so long.
constexpr absl::Duration kPatience = absl::Minutes(1);

std::string ProgramPath(const std::string& given, const char* variable) {
  if (!given.empty()) return given;
  const char* const path = getenv(variable);
  WEFT_CHECK(path != nullptr, variable, " is not set");
  return path;
}

bool IsAttached(const v1::Device& device, const std::string& host) {
  return std::any_of(device.attachments().begin(), device.attachments().end(),
                     [&](const v1::Attachment& attachment) {
                       return attachment.host() == "hosts/" + host &&
                              attachment.state() == v1::ATTACHMENT_ATTACHED;
                     });
}

}  // namespace

Cluster::Cluster(ClusterOptions options) : options_(std::move(options)) {
  options_.coordinator_path = ProgramPath(options_.coordinator_path, "WEFT_COORDINATOR");
  options_.weftd_path = ProgramPath(options_.weftd_path, "WEFTD");
  auto admin = sdk::RpcClient::Make({.address = coordinator_address(), .timeout = kPatience});
  WEFT_CHECK(admin.ok(), admin.status().ToString());
  admin_ = *std::move(admin);
}

Cluster::~Cluster() {
  hosts_.clear();
  coordinator_.reset();
}

const std::string& Cluster::KeepFolder() {
  folder_.Keep();
  return folder_.path();
}

std::unique_ptr<Process> Cluster::Launch(std::vector<std::string> arguments,
                                         const std::string& program) {
  const std::string ready = File(program + ".ready");
  unlink(ready.c_str());
  arguments.push_back("--ready-file=" + ready);
  return std::make_unique<Process>(arguments, File(program + ".log"));
}

void Cluster::LaunchCoordinator() {
  std::vector<std::string> arguments = {
      options_.coordinator_path,
      "--store=" + store_,
      "--listen=" + coordinator_address(),
      "--metrics-address=127.0.0.1:0",
      absl::StrCat("--session-ttl=", absl::FormatDuration(options_.session_ttl)),
  };
  arguments.insert(arguments.end(), coordinator_flags_.begin(), coordinator_flags_.end());
  coordinator_ = Launch(std::move(arguments), "coordinator");
}

void Cluster::LaunchHost(const std::string& host, const std::vector<std::string>& more_flags) {
  std::vector<std::string> arguments = {
      options_.weftd_path,
      "--host-id=" + host,
      "--coordinator=" + hosts_connect_to_,
      "--backend=emulated",
      "--state-dir=" + File(host + ".state"),
      "--socket-dir=" + File(host),
      "--metrics-address=127.0.0.1:0",
  };
  const auto distances = options_.distances.find(host);
  for (int i = 0; i < options_.devices; ++i) {
    arguments.push_back(absl::StrCat("--emulated-device=path=", device_path(i), ",size=",
                                     options_.device_size.value(), ",name=", device_name(i)));
    if (distances == options_.distances.end()) continue;
    absl::StrAppend(&arguments.back(), ",distance=", distances->second[i]);
  }
  arguments.insert(arguments.end(), more_flags.begin(), more_flags.end());
  hosts_[host] = Launch(std::move(arguments), host);
}

absl::Status Cluster::AwaitCoordinator() { return AwaitReady(*coordinator_, "coordinator"); }

absl::Status Cluster::AwaitHost(const std::string& host) {
  return AwaitReady(*hosts_.at(host), host);
}

absl::Status Cluster::StartCoordinator() {
  LaunchCoordinator();
  return AwaitCoordinator();
}

absl::Status Cluster::StartHost(const std::string& host,
                                const std::vector<std::string>& more_flags) {
  LaunchHost(host, more_flags);
  return AwaitHost(host);
}

absl::Status Cluster::AwaitReady(Process& process, const std::string& program) {
  const absl::Status status = process.AwaitFile(File(program + ".ready"), kPatience);
  return status.ok() ? status : Annotate(status, absl::StrCat(program, " (", Log(program), ")"));
}

absl::Status Cluster::StartWithPool() {
  absl::Status status = StartCoordinator();
  if (status.ok()) status = StartHost("host-a");
  for (int i = 0; i < options_.devices && status.ok(); ++i) status = Format("host-a", i);
  if (status.ok()) status = StartHost("host-b");
  if (status.ok()) status = MakePool("p");
  return status.ok() ? AwaitPool("p", {"host-a", "host-b"}) : status;
}

absl::Status Cluster::Format(const std::string& host, int index, bool force) {
  auto client = Connect(host);
  if (!client.ok()) return client.status();
  auto local = ConnectLocal(**client);
  if (!local.ok()) return local.status();
  v1::FormatDeviceRequest request;
  request.set_device(device_name(index));
  request.set_force(force);
  return (*local)->Call(&v1::NodeService::Stub::FormatDevice, request).status();
}

absl::StatusOr<std::vector<v1::Device>> Cluster::ListDevices() {
  return admin_->List(&v1::DeviceService::Stub::ListDevices, v1::ListDevicesRequest(),
                      [](auto& page) { return page.mutable_devices(); });
}

absl::Status Cluster::MakePool(const std::string& pool) {
  const auto devices = ListDevices();
  if (!devices.ok()) return devices.status();
  v1::CreatePoolRequest request;
  request.set_pool_id(pool);
  for (const v1::Device& device : *devices) {
    if (device.pool().empty()) request.add_devices(device.name());
  }
  return admin_->Call(&v1::PoolService::Stub::CreatePool, request).status();
}

absl::StatusOr<bool> Cluster::IsPoolReady(const std::string& pool,
                                          const std::vector<std::string>& hosts) {
  const auto devices = ListDevices();
  if (!devices.ok()) return devices.status();
  return std::all_of(devices->begin(), devices->end(), [&](const v1::Device& device) {
    if (device.pool() != "pools/" + pool) return true;
    return device.scrubbing_bytes() == 0 &&
           std::all_of(hosts.begin(), hosts.end(),
                       [&](const std::string& host) { return IsAttached(device, host); });
  });
}

absl::Status Cluster::AwaitPool(const std::string& pool, const std::vector<std::string>& hosts) {
  return Await(absl::StrCat("pool ", pool, " is ready"), [&] { return IsPoolReady(pool, hosts); });
}

absl::Status Cluster::AwaitNoGrants() {
  return Await("there is no grant", [this]() -> absl::StatusOr<bool> {
    v1::ListGrantsRequest request;
    request.set_parent("pools/-/segments/-");
    const auto page = admin_->Call(&v1::GrantService::Stub::ListGrants, request);
    if (!page.ok()) return page.status();
    return page->grants().empty();
  });
}

absl::Status Cluster::Await(const std::string& what,
                            const std::function<absl::StatusOr<bool>()>& condition) {
  const auto status = admin_->Call(&v1::ClusterService::Stub::GetStatus, v1::GetStatusRequest());
  if (!status.ok()) return status.status();
  absl::StatusOr<bool> holds = condition();
  if (!holds.ok() || *holds) return holds.status();
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  v1::WatchEventsRequest request;
  request.set_after_revision(status->revision());
  const auto stub = v1::EventService::NewStub(
      grpc::CreateChannel(coordinator_address(), grpc::InsecureChannelCredentials()));
  const auto events = stub->WatchEvents(&context, request);
  v1::Event event;
  while (holds.ok() && !*holds && events->Read(&event)) holds = condition();
  context.TryCancel();
  const absl::Status end = FromGrpcStatus(events->Finish());
  if (!holds.ok() || *holds) return holds.status();
  return Annotate(end, absl::StrCat("waiting until ", what));
}

absl::StatusOr<std::unique_ptr<sdk::Client>> Cluster::Connect(const std::string& host,
                                                              sdk::ClientOptions options) const {
  options.socket_path = fd_socket(host);
  return sdk::Client::Connect(std::move(options));
}

absl::StatusOr<std::unique_ptr<sdk::RpcClient>> Cluster::ConnectLocal(sdk::Client& client) {
  auto endpoint = client.GetEndpoint();
  if (!endpoint.ok()) return endpoint.status();
  return sdk::RpcClient::Make(
      {.address = endpoint->grpc_address, .ticket = endpoint->ticket, .timeout = kPatience});
}

absl::StatusOr<v1::NodeStatus> Cluster::StatusOf(sdk::Client& client) {
  auto local = ConnectLocal(client);
  if (!local.ok()) return local.status();
  return (*local)->Call(&v1::NodeService::Stub::GetNodeStatus, v1::GetNodeStatusRequest());
}

std::string Cluster::device_name(int index) const { return absl::StrCat("mem", index); }

std::string Cluster::device_path(int index) const { return File(device_name(index)); }

std::string Cluster::Log(const std::string& program) const {
  std::ifstream file(File(program + ".log"));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace weft
