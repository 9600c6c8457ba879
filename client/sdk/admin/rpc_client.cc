#include "client/sdk/admin/rpc_client.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "client/sdk/admin/timing.h"
#include "client/sdk/internal/deadline.h"
#include "client/sdk/internal/retry.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "grpcpp/support/channel_arguments.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::sdk {
namespace {

constexpr char kTicketMetadata[] = "weft-ticket";
constexpr int kReconnectMsInitial = 50;
constexpr int kReconnectMsMax = 1000;
// Finds a dead server in 20 s; not more often than servers allow.
constexpr int kKeepaliveMs = 10'000;
// Of certificates, which live longer than any command: `events --follow` apart.
constexpr unsigned kCertificateRefreshSeconds = 60;

absl::Status CheckReadable(const std::string& path) {
  if (access(path.c_str(), R_OK) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot read ", path, ": ", absl::ErrnoToStatus(errno, "").message()));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> Credentials(
    const std::optional<ClientTlsFiles>& tls) {
  if (!tls.has_value()) return grpc::InsecureChannelCredentials();
  for (const std::string& path : {tls->cert, tls->key, tls->ca}) {
    if (absl::Status status = CheckReadable(path); !status.ok()) return status;
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          tls->key, tls->cert, tls->ca, kCertificateRefreshSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RpcClient>> RpcClient::Make(RpcClientOptions options) {
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = Credentials(options.tls);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMsInitial);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMsMax);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(options.address, *credentials, arguments);
  return std::unique_ptr<RpcClient>(new RpcClient(std::move(options), std::move(channel)));
}

absl::Status RpcClient::Repeat(absl::FunctionRef<grpc::Status(grpc::ClientContext&)> attempt) {
  const Deadline deadline = Deadline::After(options_.timeout);
  RetryPolicy retry(BackoffOptions{}, RandomFraction);
  for (;;) {
    grpc::ClientContext context;
    context.set_deadline(ToGrpc(deadline));
    if (!options_.ticket.empty()) context.AddMetadata(kTicketMetadata, options_.ticket);
    const absl::Status status = FromGrpcStatus(attempt(context));
    if (status.ok()) return status;
    const std::optional<absl::Duration> pause = retry.NextPause(status, deadline.left());
    if (!pause.has_value()) return Explain(status);
    Pause(*pause);
  }
}

absl::Status RpcClient::Explain(const absl::Status& error) const {
  if (ReasonOf(error) == v1::UNREACHABLE) {
    return MakeError(
        error.code(), v1::UNREACHABLE,
        absl::StrCat("cannot reach ", options_.address,
                     ": is it running, and is the address right? ", std::string(error.message())));
  }
  if (absl::IsDeadlineExceeded(error) && ReasonOf(error) == v1::REASON_UNSPECIFIED) {
    return MakeError(absl::StatusCode::kDeadlineExceeded, v1::OUTCOME_UNKNOWN,
                     absl::StrCat("no answer from ", options_.address, " in ",
                                  absl::FormatDuration(options_.timeout),
                                  ": a change that was asked for may have been made"));
  }
  return error;
}

}  // namespace weft::sdk
