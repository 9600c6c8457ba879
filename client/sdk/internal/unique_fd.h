// A file descriptor with one owner.

#ifndef WEFT_CLIENT_SDK_INTERNAL_UNIQUE_FD_H_
#define WEFT_CLIENT_SDK_INTERNAL_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace weft::sdk {

class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes ownership; -1 is nothing.
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (valid()) close(fd_);
  }

  bool valid() const { return fd_ >= 0; }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_UNIQUE_FD_H_
