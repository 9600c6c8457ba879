#include "client/sdk/admin/rpc_client.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/sdk/admin/timing.h"
#include "client/sdk/internal/deadline.h"
#include "client/sdk/internal/retry.h"
#include "grpcpp/security/credentials.h"
#include "server/core/errors.h"
#include "server/rpc/channel.h"
#include "server/rpc/client_credentials.h"
#include "server/rpc/status.h"

namespace weft::sdk {
namespace {

constexpr char kTicketMetadata[] = "weft-ticket";
// Of several, one is elected in a few seconds: longer pauses would only add to that.
constexpr BackoffOptions kBackoffOfSeveral = {.max = absl::Milliseconds(500)};
// Keeps alive no more often than servers allow.
constexpr ChannelTimes kTimes = {.connect = absl::Seconds(3),
                                 .max_pause = absl::Seconds(1),
                                 .keepalive = absl::Seconds(10),
                                 .keepalive_timeout = absl::Seconds(10)};

}  // namespace

RpcClient::RpcClient(RpcClientOptions options,
                     std::shared_ptr<grpc::ChannelCredentials> credentials)
    : options_(std::move(options)), endpoints_(options_.address, std::move(credentials), kTimes) {}

absl::StatusOr<std::unique_ptr<RpcClient>> RpcClient::Make(RpcClientOptions options) {
  if (options.tls.has_value()) {
    if (absl::Status status = CheckReadable(*options.tls); !status.ok()) return status;
  }
  std::shared_ptr<grpc::ChannelCredentials> credentials = ClientCredentials(options.tls);
  return std::unique_ptr<RpcClient>(new RpcClient(std::move(options), std::move(credentials)));
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
