// Sockets that listen, and take nobody in yet: non-blocking, closed on exec.

#ifndef WEFT_SERVER_PLATFORM_LINUX_LISTEN_H_
#define WEFT_SERVER_PLATFORM_LINUX_LISTEN_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/platform/unique_fd.h"

namespace weft {

struct SocketAccess {
  // Who may connect: whoever may write to the socket. Absent: as the umask says.
  std::optional<mode_t> mode = {};
  // The group that owns the socket; absent: the process's.
  std::optional<gid_t> group = {};
};

// Of `type` SOCK_STREAM or SOCK_SEQPACKET. A socket that a dead process left at `path` is replaced;
// one that begins with a zero byte is of the abstract namespace, and has no access to set. Who
// connects cannot send descriptors, where the kernel knows how to refuse them.
// Errors: the errno of a system call, with the path.
absl::StatusOr<UniqueFd> ListenUnix(const std::string& path, int type, const SocketAccess& access);

struct TcpListeners {
  // One for each address of the host.
  std::vector<UniqueFd> sockets;
  int port = 0;
};

// At `host:port`; port 0: any that is free; no host: every address of this machine.
// INVALID_ARGUMENT: there is no such host or port; else the errno of a system call,
// with the address.
absl::StatusOr<TcpListeners> ListenTcp(const std::string& address);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_LISTEN_H_
