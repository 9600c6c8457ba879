#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/sdk/admin/rpc_client.h"
#include "client/sdk/admin/timing.h"
#include "client/sdk/internal/deadline.h"
#include "client/sdk/internal/random.h"
#include "client/sdk/internal/retry.h"
#include "proto/weft/v1/event.grpc.pb.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::sdk {
namespace {

// If there are others to connect to.
constexpr absl::Duration kConnectTimeout = absl::Seconds(2);

// One stream. `*revision` becomes that of the last event it brought. OK: `on_event` had
// enough.
absl::Status WatchOnce(const std::shared_ptr<grpc::Channel>& channel, uint64_t* revision,
                       absl::FunctionRef<bool(const v1::Event&)> on_event) {
  v1::EventService::Stub stub(channel);
  v1::WatchEventsRequest request;
  request.set_after_revision(*revision);
  grpc::ClientContext context;
  const std::unique_ptr<grpc::ClientReader<v1::Event>> reader = stub.WatchEvents(&context, request);
  v1::Event event;
  while (reader->Read(&event)) {
    *revision = event.revision();
    if (on_event(event)) continue;
    context.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  // A stream without end that ends well: the server is going away.
  return status.ok() ? absl::UnavailableError("the events stream ended") : status;
}

}  // namespace

absl::Status RpcClient::WatchEvents(uint64_t after_revision,
                                    absl::FunctionRef<bool(const v1::Event&)> on_event) {
  uint64_t revision = after_revision;
  Backoff backoff(BackoffOptions{}, RandomFraction);
  Deadline deadline = Deadline::After(options_.timeout);
  // Why there are no events: told when time is up.
  absl::Status why = Unreachable();
  for (;;) {
    const std::shared_ptr<grpc::Channel> channel = endpoints_.current();
    const absl::Duration patience =
        endpoints_.several() ? std::min(kConnectTimeout, deadline.left()) : deadline.left();
    const uint64_t revision_before = revision;
    absl::Status status = Unreachable();
    if (channel->WaitForConnected(ToGrpc(Deadline::After(patience)))) {
      status = WatchOnce(channel, &revision, on_event);
      const bool passes = absl::IsUnavailable(status) || RetryDelayOf(status).has_value();
      if (!passes) return status;
      if (ReasonOf(status) == v1::NOT_LEADER) {
        why = status;
      } else {
        why = Unreachable();
        deadline = Deadline::After(options_.timeout);
      }
    }
    if (deadline.left() <= absl::ZeroDuration()) return why;
    if (revision != revision_before) backoff.Reset();
    endpoints_.MoveOn(channel, status);
    Pause(std::min(backoff.Next(), deadline.left()));
  }
}

absl::Status RpcClient::Unreachable() const {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   absl::StrCat("cannot reach ", options_.address, " in ",
                                absl::FormatDuration(options_.timeout)));
}

}  // namespace weft::sdk
