// A file descriptor with one owner.

#ifndef WEFT_SERVER_PLATFORM_UNIQUE_FD_H_
#define WEFT_SERVER_PLATFORM_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace weft {

// Closes what it holds. Errors of close(2) are of no use here: what must be durable is
// synced before.
class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes ownership; -1 is nothing.
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (valid()) close(fd_);
  }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }
  // Gives up ownership.
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_UNIQUE_FD_H_
