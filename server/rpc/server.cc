#include "server/rpc/server.h"

#include <grpc/grpc.h>
#include <sys/socket.h>

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
constexpr absl::string_view kUnix = "unix:";
constexpr absl::string_view kAbstract = "unix-abstract:";

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
  return absl::StartsWith(ToAbsl(address), kUnix) || absl::StartsWith(ToAbsl(address), kAbstract);
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
}

struct Listening {
  std::vector<UniqueFd> sockets;
  // With the port that was bound.
  std::string address;
};

std::string PathOf(const std::string& address) {
  if (!absl::StartsWith(address, kAbstract)) return address.substr(kUnix.size());
  return std::string(1, '\0') + address.substr(kAbstract.size());
}

absl::StatusOr<Listening> ListenAt(const std::string& address, const SocketAccess& access) {
  Listening listening{.sockets = {}, .address = address};
  if (IsUnix(address)) {
    absl::StatusOr<UniqueFd> socket = ListenUnix(PathOf(address), SOCK_STREAM, access);
    if (!socket.ok()) return socket.status();
    listening.sockets.push_back(*std::move(socket));
    return listening;
  }
  absl::StatusOr<TcpListeners> tcp = ListenTcp(address);
  if (!tcp.ok()) return tcp.status();
  listening.sockets = std::move(tcp->sockets);
  listening.address = absl::StrCat(address.substr(0, address.rfind(':')), ":", tcp->port);
  return listening;
}

absl::Status CannotListen(const std::string& address, const absl::Status& why) {
  const std::string text = absl::StrCat("cannot listen on ", address, ": ", why.message());
  if (!absl::IsInvalidArgument(why)) return absl::FailedPreconditionError(text);
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, text);
}

// What gives a connection to the server that `builder` makes.
auto AddAcceptor(grpc::ServerBuilder& builder,
                 const std::shared_ptr<grpc::ServerCredentials>& credentials) {
  std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor =
      builder.experimental().AddExternalConnectionAcceptor(
          grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, credentials);
  return [acceptor](int listener, UniqueFd connection) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = listener;
    parameters.fd = connection.release();
    acceptor->HandleNewConnection(&parameters);
  };
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
  builder.AddChannelArgument(
      GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
      static_cast<int>(absl::ToInt64Milliseconds(options.handshake_timeout)));
  const auto take_unix = AddAcceptor(builder, grpc::InsecureServerCredentials());
  const auto take_tcp = AddAcceptor(builder, tcp_credentials);
  RunningServer running;
  std::vector<AcceptLoop::Entrance> entrances;
  for (const std::string& address : options.listen) {
    absl::StatusOr<Listening> listening = ListenAt(address, options.access);
    if (!listening.ok()) return CannotListen(address, listening.status());
    running.addresses.push_back(listening->address);
    for (UniqueFd& socket : listening->sockets) {
      entrances.push_back({std::move(socket), IsUnix(address) ? take_unix : take_tcp});
    }
  }
  for (grpc::Service* service : services) builder.RegisterService(service);
  running.server = builder.BuildAndStart();
  if (running.server == nullptr) return absl::InternalError("gRPC does not start a server");
  running.accept_loop = std::make_unique<AcceptLoop>(std::move(entrances), options.max_connections);
  SetServing(*running.server, false);
  return running;
}

void SetServing(grpc::Server& server, bool serving) {
  server.GetHealthCheckService()->SetServingStatus(serving);
}

}  // namespace weft
