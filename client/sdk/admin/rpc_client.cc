#include "client/sdk/admin/rpc_client.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "client/sdk/admin/timing.h"
#include "client/sdk/internal/deadline.h"
#include "client/sdk/internal/retry.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "server/core/errors.h"
#include "server/rpc/channel.h"
#include "server/rpc/status.h"

namespace weft::sdk {
namespace {

constexpr char kTicketMetadata[] = "weft-ticket";
// Of several, one is elected in a few seconds: longer pauses would only add to that.
constexpr BackoffOptions kBackoffOfSeveral = {.max = absl::Milliseconds(500)};
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
  return std::unique_ptr<RpcClient>(new RpcClient(std::move(options), *std::move(credentials)));
}

absl::Status RpcClient::Repeat(Attempt attempt, absl::Duration attempt_timeout) {
  const Deadline deadline = Deadline::After(options_.timeout);
  RetryPolicy retry(endpoints_.several() ? kBackoffOfSeveral : BackoffOptions{}, RandomFraction);
  for (;;) {
    const std::shared_ptr<grpc::Channel> channel = endpoints_.current();
    const bool several = endpoints_.several();
    AwaitConnection(*channel);
    grpc::ClientContext context;
    context.set_deadline(
        ToGrpc(several ? Deadline::After(std::min(attempt_timeout, deadline.left())) : deadline));
    if (!options_.ticket.empty()) context.AddMetadata(kTicketMetadata, options_.ticket);
    absl::Status status = FromGrpcStatus(attempt(channel, context));
    if (status.ok()) return status;
    if (several && absl::IsDeadlineExceeded(status) && deadline.left() > absl::ZeroDuration()) {
      status = MakeError(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN, "no answer");
    }
    if (absl::IsUnavailable(status)) endpoints_.MoveOn(channel, status);
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
