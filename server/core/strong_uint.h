// A uint64 that cannot be mixed up with another one.

#ifndef WEFT_SERVER_CORE_STRONG_UINT_H_
#define WEFT_SERVER_CORE_STRONG_UINT_H_

#include <compare>
#include <cstdint>
#include <ostream>

namespace weft {

// A value of one kind, named by `Tag`. Has no arithmetic: a kind that needs some
// declares just the operations that make sense for it (see types.h).
template <typename Tag>
class StrongUint64 {
 public:
  constexpr StrongUint64() = default;
  constexpr explicit StrongUint64(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }

  friend constexpr auto operator<=>(StrongUint64, StrongUint64) = default;
  friend std::ostream& operator<<(std::ostream& out, StrongUint64 v) { return out << v.value_; }

  template <typename H>
  friend H AbslHashValue(H state, StrongUint64 v) {
    return H::combine(std::move(state), v.value_);
  }

 private:
  uint64_t value_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_STRONG_UINT_H_
