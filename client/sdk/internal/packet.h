// Packets of a SOCK_SEQPACKET socket, with the file descriptors that come along.

#ifndef WEFT_CLIENT_SDK_INTERNAL_PACKET_H_
#define WEFT_CLIENT_SDK_INTERNAL_PACKET_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/internal/deadline.h"
#include "client/sdk/internal/unique_fd.h"

namespace weft::sdk {

// As node.proto says.
inline constexpr size_t kMaxPacketBytes = 128 << 10;

struct Packet {
  std::string_view bytes;
  std::vector<UniqueFd> fds;  // Close-on-exec.
  // Some descriptors were dropped: this process has as many as it may.
  bool fds_lost = false;
};

// The next packet; `bytes` is a view of `buffer`. Errors: UNAVAILABLE (the peer is
// gone), DEADLINE_EXCEEDED, INTERNAL (the packet is longer than it may be).
// REQUIRES: `socket` does not block.
absl::StatusOr<Packet> ReceivePacket(int socket, std::string& buffer, Deadline deadline);

// Errors: UNAVAILABLE (the peer is gone), DEADLINE_EXCEEDED (it does not read). Sends
// the whole packet or nothing. REQUIRES: `socket` does not block.
absl::Status SendPacket(int socket, std::string_view bytes, Deadline deadline);

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_PACKET_H_
