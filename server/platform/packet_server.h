// A local socket on which clients speak in packets, and get file descriptors.

#ifndef WEFT_SERVER_PLATFORM_PACKET_SERVER_H_
#define WEFT_SERVER_PLATFORM_PACKET_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "server/platform/unique_fd.h"

namespace weft {

// The longest packet, either way.
inline constexpr size_t kMaxPacketBytes = size_t{128} << 10;
// The most descriptors that one can carry: the kernel's SCM_MAX_FD.
inline constexpr size_t kMaxPacketFds = 253;

// Never used again for another connection.
using ConnectionId = uint64_t;

// What the kernel says about the process that connected.
struct PeerCredentials {
  int pid = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Told what happens, by one thread, in order. Must not block.
class PacketHandler {
 public:
  virtual ~PacketHandler() = default;

  virtual void OnConnected(ConnectionId connection, const PeerCredentials& peer) = 0;
  // Not called after Close of the connection.
  virtual void OnPacket(ConnectionId connection, std::string packet) = 0;
  // The last call for the connection, whoever ended it.
  virtual void OnClosed(ConnectionId connection) = 0;
};

// Thread-safe. A connection that is over takes both calls and does nothing.
class PacketServer {
 public:
  virtual ~PacketServer() = default;

  // Never blocks. What the client does not take at once is kept, up to a bound; a client
  // that lets it grow beyond is disconnected.
  virtual void Send(ConnectionId connection, std::string packet, std::vector<UniqueFd> fds) = 0;
  // Ends the connection; packets sent before may be lost.
  virtual void Close(ConnectionId connection) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_PACKET_SERVER_H_
