#include "server/rpc/channel.h"

#include <cstdint>

#include "grpc/support/time.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/support/channel_arguments.h"

namespace weft {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr int64_t kConnectionMs = 300;

}  // namespace

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelTimes& times) {
  grpc::ChannelArguments arguments;
  const auto set = [&](const char* name, absl::Duration value) {
    arguments.SetInt(name, static_cast<int>(absl::ToInt64Milliseconds(value)));
  };
  set(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstPause);
  // gRPC's least pause is how long an attempt may take.
  set(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, times.connect);
  set(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, times.max_pause);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, times.keepalive);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, times.keepalive_timeout);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

void AwaitConnection(grpc::Channel& channel) {
  const gpr_timespec deadline =
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(kConnectionMs, GPR_TIMESPAN));
  grpc_connectivity_state state = channel.GetState(/*try_to_connect=*/true);
  while (state != GRPC_CHANNEL_READY && channel.WaitForStateChange(state, deadline)) {
    const grpc_connectivity_state before = state;
    state = channel.GetState(/*try_to_connect=*/true);
    if (before == GRPC_CHANNEL_CONNECTING && state == GRPC_CHANNEL_TRANSIENT_FAILURE) return;
  }
}

}  // namespace weft
