// How our clients keep their connection to a server.

#ifndef WEFT_SERVER_RPC_CHANNEL_H_
#define WEFT_SERVER_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"

namespace weft {

struct ChannelTimes {
  // An attempt to connect may take so long, pauses between calls included.
  absl::Duration connect;
  // The longest pause between two of them; the first is 50 ms. gRPC's own of up to two minutes
  // would outlast a lease.
  absl::Duration max_pause;
  // A server from which nothing has come for so long is asked whether it is there ...
  absl::Duration keepalive;
  // ... and has so long to answer.
  absl::Duration keepalive_timeout;
};

// `address`: `host:port` or `unix:PATH`. Connects when it is first used, and again whenever the
// connection is lost. Shared with no other channel, so that it begins without another's pause.
// Calls are not repeated by gRPC, and answers may have any size.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelTimes& times);

// For blocking calls, before each: waits a moment until the channel is connected, or an attempt
// to connect has failed. Without it a call over a channel that has lost its connection fails at
// once, and since gRPC gets on with connecting only while somebody waits, so would all others.
void AwaitConnection(grpc::Channel& channel);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_CHANNEL_H_
