// The newcomer's half of a challenge in one step, for tests; the coordinator compares the nonces
// else.

#ifndef WEFT_SERVER_NODE_EXCHANGE_CHECK_H_
#define WEFT_SERVER_NODE_EXCHANGE_CHECK_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "server/node/exchange.h"
#include "server/platform/device.h"

namespace weft {

// Whether both areas hold `expected` in `slot`.
inline bool HasExchange(Device& device, uint32_t slot, const ExchangeEntry& expected) {
  const absl::StatusOr<ExchangeReading> reading = ReadExchange(device, slot);
  return reading.ok() && reading->first == expected && reading->last == expected;
}

}  // namespace weft

#endif  // WEFT_SERVER_NODE_EXCHANGE_CHECK_H_
