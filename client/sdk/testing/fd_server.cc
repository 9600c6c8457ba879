#include "client/sdk/testing/fd_server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "server/core/check.h"

namespace weft::sdk {
namespace {

constexpr size_t kMaxPacketBytes = 128 << 10;

}  // namespace

void FdServer::Peer::Send(const v1::ServerMessage& message, const std::vector<int>& fds) {
  SendBytes(message.SerializeAsString(), fds);
}

void FdServer::Peer::SendBytes(std::string_view bytes, const std::vector<int>& fds) {
  iovec data = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size() * sizeof(int));
  }
  sendmsg(socket_.get(), &header, MSG_NOSIGNAL);
}

void FdServer::Peer::HangUp() { shutdown(socket_.get(), SHUT_RDWR); }

FdServer::FdServer(const std::string& path, Handler handler) : handler_(std::move(handler)) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  WEFT_CHECK(path.size() < sizeof(address.sun_path), path);
  std::memcpy(address.sun_path, path.data(), path.size());
  unlink(path.c_str());
  listener_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  WEFT_CHECK(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0,
             path, ": ", std::strerror(errno));
  WEFT_CHECK(listen(listener_.get(), SOMAXCONN) == 0);
  acceptor_ = std::thread([this] { Accept(); });
}

FdServer::~FdServer() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    for (const std::shared_ptr<Peer>& peer : peers_) peer->HangUp();
  }
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mu_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void FdServer::Accept() {
  for (;;) {
    UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket.valid()) return;
    absl::MutexLock lock(&mu_);
    if (stopping_) return;
    auto peer = std::make_shared<Peer>(std::move(socket));
    peers_.push_back(peer);
    threads_.emplace_back([this, peer = std::move(peer)] { Serve(peer); });
  }
}

void FdServer::Serve(std::shared_ptr<Peer> peer) {
  std::string buffer(kMaxPacketBytes, '\0');
  for (;;) {
    const ssize_t size = recv(peer->socket(), buffer.data(), buffer.size(), 0);
    v1::ClientMessage message;
    if (size <= 0 || !message.ParseFromArray(buffer.data(), static_cast<int>(size))) break;
    handler_(peer, message);
  }
  peer->HangUp();
}

}  // namespace weft::sdk
