#include "client/sdk/internal/random.h"

#include <sys/random.h>

#include <cstdint>

#include "absl/strings/escaping.h"
#include "client/sdk/internal/strings.h"
#include "server/core/check.h"

namespace weft::sdk {
namespace {

std::string RandomBytes(size_t size) {
  std::string bytes(size, '\0');
  // For 256 bytes or less it is neither interrupted nor short.
  WEFT_CHECK(getrandom(bytes.data(), size, 0) == static_cast<ssize_t>(size));
  return bytes;
}

}  // namespace

std::string NewRequestId() { return absl::BytesToHexString(ToAbsl(RandomBytes(16))); }

double RandomFraction() {
  uint64_t bits = 0;
  for (const char byte : RandomBytes(sizeof(bits))) bits = bits << 8 | static_cast<uint8_t>(byte);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace weft::sdk
