#include "server/core/crc32c.h"

#include <isa-l/crc.h>

namespace weft {

uint32_t Crc32c(absl::Span<const uint8_t> bytes) {
  // ISA-L takes a non-const pointer but does not write, and leaves the final inversion
  // to its caller.
  return ~crc32_iscsi(const_cast<uint8_t*>(bytes.data()), static_cast<int>(bytes.size()),
                      0xffffffff);
}

}  // namespace weft
