// A number of things that users share.

#ifndef WEFT_SERVER_CORE_SHARES_H_
#define WEFT_SERVER_CORE_SHARES_H_

#include <cstddef>
#include <map>
#include <string>

#include "server/core/check.h"

namespace weft {

// No user has more than it leaves to the others. So one alone may have half of all, and none,
// however much it asks for, keeps the others from anything. Not thread-safe.
class Shares {
 public:
  explicit Shares(size_t total) : left_(total) {}

  // False: the user has its share.
  bool MayTake(const std::string& user, size_t amount = 1) const {
    const auto found = taken_.find(user);
    return (found == taken_.end() ? 0 : found->second) + amount <= left_;
  }
  // As MayTake; takes nothing if false.
  bool Take(const std::string& user, size_t amount = 1) {
    if (!MayTake(user, amount)) return false;
    taken_[user] += amount;
    left_ -= amount;
    return true;
  }
  // REQUIRES: the user has taken as much.
  void Return(const std::string& user, size_t amount = 1) {
    const auto found = taken_.find(user);
    WEFT_CHECK(found != taken_.end() && found->second >= amount, user);
    found->second -= amount;
    left_ += amount;
    if (found->second == 0) taken_.erase(found);
  }

 private:
  size_t left_;
  std::map<std::string, size_t> taken_;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_SHARES_H_
