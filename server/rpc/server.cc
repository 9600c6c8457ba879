#include "server/rpc/server.h"

#include <grpc/grpc.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "grpcpp/server_builder.h"
#include "server/core/errors.h"

namespace weft {
namespace {

// A host's inventory of grants can be long.
constexpr int kMaxSendBytes = 64 << 20;
constexpr int kMaxStreamsPerConnection = 1024;
constexpr size_t kMemoryQuotaBytes = size_t{512} << 20;
// Finds a dead peer in 20 s; refuses one that pings more often than every 5 s.
constexpr int kKeepaliveMs = 10'000;
constexpr int kMinPingIntervalMs = 5'000;
constexpr unsigned kCertificateRefreshSeconds = 1;

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MutualTls(const TlsFiles& files) {
  if (absl::Status status = CheckReadable(files); !status.ok()) return status;
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          files.key, files.cert, files.ca, kCertificateRefreshSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

bool IsUnix(std::string_view address) {
  return absl::StartsWith(ToAbsl(address), "unix:") ||
         absl::StartsWith(ToAbsl(address), "unix-abstract:");
}

absl::Status CheckAddresses(const ServerOptions& options) {
  if (options.listen.empty()) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     "no address to listen on");
  }
  if (options.tls || options.allow_insecure) return absl::OkStatus();
  for (const std::string& address : options.listen) {
    if (IsLocalAddress(address)) continue;
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat("other machines can reach ", address,
                                  ": give certificates (--tls-cert, --tls-key, --tls-ca), or "
                                  "--insecure if everyone on that network may be administrator"));
  }
  return absl::OkStatus();
}

void SetLimits(grpc::ServerBuilder& builder) {
  builder.SetMaxSendMessageSize(kMaxSendBytes);
  builder.SetResourceQuota(grpc::ResourceQuota("weft").Resize(kMemoryQuotaBytes));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  // A second server on the same port is a mistake, not a way to share load.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// `address` with the port that was bound.
std::string BoundAddress(const std::string& address, int port) {
  if (IsUnix(address)) return address;
  return absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
}

}  // namespace

bool IsLocalAddress(std::string_view address) {
  if (IsUnix(address)) return true;
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || absl::StartsWith(ToAbsl(host), "127.");
}

absl::StatusOr<RunningServer> StartServer(const ServerOptions& options,
                                          const std::vector<grpc::Service*>& services) {
  if (absl::Status status = CheckAddresses(options); !status.ok()) return status;
  std::shared_ptr<grpc::ServerCredentials> tcp_credentials = grpc::InsecureServerCredentials();
  if (options.tls) {
    auto tls = MutualTls(*options.tls);
    if (!tls.ok()) return tls.status();
    tcp_credentials = *std::move(tls);
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(builder);
  builder.SetMaxReceiveMessageSize(options.max_receive_bytes);
  std::vector<int> ports(options.listen.size(), 0);
  for (size_t i = 0; i < options.listen.size(); ++i) {
    const std::string& address = options.listen[i];
    builder.AddListeningPort(
        address, IsUnix(address) ? grpc::InsecureServerCredentials() : tcp_credentials, &ports[i]);
  }
  for (grpc::Service* service : services) builder.RegisterService(service);

  RunningServer running{.server = builder.BuildAndStart(), .addresses = {}};
  for (size_t i = 0; i < ports.size(); ++i) {
    if (running.server == nullptr || ports[i] == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot listen on ", options.listen[i],
                       ": the address is in use, or not one of this machine"));
    }
    running.addresses.push_back(BoundAddress(options.listen[i], ports[i]));
  }
  SetServing(*running.server, false);
  return running;
}

void SetServing(grpc::Server& server, bool serving) {
  server.GetHealthCheckService()->SetServingStatus(serving);
}

}  // namespace weft
