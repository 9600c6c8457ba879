// Numbers on media: little-endian, whatever the host.

#ifndef WEFT_SERVER_CORE_LITTLE_ENDIAN_H_
#define WEFT_SERVER_CORE_LITTLE_ENDIAN_H_

#include <cstddef>
#include <cstdint>

namespace weft {

// Writes the sizeof(UInt) bytes of `value` at `to`.
template <typename UInt>
void StoreLittleEndian(uint8_t* to, UInt value) {
  for (size_t i = 0; i < sizeof(UInt); ++i) to[i] = static_cast<uint8_t>(value >> (8 * i));
}

template <typename UInt>
UInt LoadLittleEndian(const uint8_t* from) {
  UInt value = 0;
  for (size_t i = 0; i < sizeof(UInt); ++i) {
    value = static_cast<UInt>(value | static_cast<UInt>(from[i]) << (8 * i));
  }
  return value;
}

}  // namespace weft

#endif  // WEFT_SERVER_CORE_LITTLE_ENDIAN_H_
