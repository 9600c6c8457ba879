#include "client/sdk/internal/packet.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

// What the kernel allows in one message (SCM_MAX_FD), so that it never has to drop any
// for want of space here.
constexpr size_t kMaxFds = 253;

absl::Status Gone(absl::string_view why) {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   absl::StrCat("the connection to weftd ended: ", why));
}

absl::Status AwaitReady(int socket, short events, Deadline deadline) {
  for (;;) {
    pollfd entry = {.fd = socket, .events = events, .revents = 0};
    const int ready = poll(&entry, 1, deadline.left_ms());
    if (ready > 0) return absl::OkStatus();
    if (ready < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll of weftd's socket");
    if (ready == 0 && deadline.passed()) {
      return MakeError(absl::StatusCode::kDeadlineExceeded, v1::UNREACHABLE,
                       "weftd does not answer");
    }
  }
}

std::vector<UniqueFd> TakeFds(msghdr& header) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

absl::StatusOr<Packet> ReceivePacket(int socket, std::string& buffer, Deadline deadline) {
  buffer.resize(kMaxPacketBytes);
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  iovec data = {.iov_base = buffer.data(), .iov_len = buffer.size()};
  for (;;) {
    msghdr header = {};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    const ssize_t size = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    if (size > 0) {
      Packet packet = {.bytes = {buffer.data(), static_cast<size_t>(size)},
                       .fds = TakeFds(header),
                       .fds_lost = (header.msg_flags & MSG_CTRUNC) != 0};
      if ((header.msg_flags & MSG_TRUNC) != 0) {
        return absl::InternalError("weftd sent a packet of more than 128 KiB");
      }
      return packet;
    }
    if (size == 0) return Gone("weftd closed it");
    if (errno == EAGAIN) {
      if (absl::Status ready = AwaitReady(socket, POLLIN, deadline); !ready.ok()) return ready;
    } else if (errno != EINTR) {
      return Gone(std::strerror(errno));
    }
  }
}

absl::Status SendPacket(int socket, std::string_view bytes, Deadline deadline) {
  for (;;) {
    if (send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0) return absl::OkStatus();
    if (errno == EAGAIN) {
      if (absl::Status ready = AwaitReady(socket, POLLOUT, deadline); !ready.ok()) return ready;
    } else if (errno != EINTR) {
      return Gone(std::strerror(errno));
    }
  }
}

}  // namespace weft::sdk
