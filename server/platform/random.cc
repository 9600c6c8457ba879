#include "server/platform/random.h"

namespace weft {

Random128 NewRandom128(Random& random) {
  Random128 bytes;
  random.Fill(absl::MakeSpan(bytes));
  return bytes;
}

Uuid NewUuid(Random& random) {
  Random128 bytes = NewRandom128(random);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return Uuid(bytes);
}

}  // namespace weft
