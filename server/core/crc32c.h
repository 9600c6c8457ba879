// The checksum of everything that Weft writes on media.

#ifndef WEFT_SERVER_CORE_CRC32C_H_
#define WEFT_SERVER_CORE_CRC32C_H_

#include <cstdint>

#include "absl/types/span.h"

namespace weft {

// CRC-32C (Castagnoli) as iSCSI defines it, RFC 3720: reflected, begun with and finally
// inverted by all ones. The check value, of "123456789", is 0xE3069283.
uint32_t Crc32c(absl::Span<const uint8_t> bytes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_CRC32C_H_
