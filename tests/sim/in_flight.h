// Descriptors on their way from a daemon to one of its clients.

#ifndef WEFT_TESTS_SIM_IN_FLIGHT_H_
#define WEFT_TESTS_SIM_IN_FLIGHT_H_

#include <fcntl.h>

#include <cstdint>
#include <map>

#include "server/core/check.h"

namespace weft::sim {

// What a process has open or mapped of a device, until it releases it. Never used again.
using HandleId = uint64_t;

// Real descriptors, so that the daemon's own code closes those that it drops.
class InFlight {
 public:
  // `fd` stands for `handle`. Returns what it stood for, if that was dropped and not swept;
  // else 0.
  HandleId Add(int fd, HandleId handle) {
    HandleId& entry = handles_[fd];
    return std::exchange(entry, handle);
  }
  // REQUIRES: it is in flight.
  HandleId Find(int fd) const {
    const auto it = handles_.find(fd);
    WEFT_CHECK(it != handles_.end(), fd);
    return it->second;
  }
  // It has arrived.
  HandleId Claim(int fd) {
    const HandleId handle = Find(fd);
    handles_.erase(fd);
    return handle;
  }
  // Calls `on_dropped` with what nobody has any more.
  template <typename Fn>
  void Sweep(Fn on_dropped) {
    for (auto it = handles_.begin(); it != handles_.end();) {
      if (fcntl(it->first, F_GETFD) >= 0) {
        ++it;
        continue;
      }
      on_dropped(it->second);
      it = handles_.erase(it);
    }
  }

 private:
  std::map<int, HandleId> handles_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_IN_FLIGHT_H_
