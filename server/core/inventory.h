// What a host may say of its devices.

#ifndef WEFT_SERVER_CORE_INVENTORY_H_
#define WEFT_SERVER_CORE_INVENTORY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// INVALID_ARGUMENT BAD_ARGUMENT: a UUID that is none or comes twice, sizes that are not
// multiples of 2 MiB, a data area outside the device, fewer than 4 exchange slots or more
// than a million, names over 256 bytes, or more than 512 devices.
// RESOURCE_EXHAUSTED QUOTA: the cluster would know too many devices.
absl::Status CheckInventory(const State& state, const v1::DeviceInventory& inventory);

// Whether [data_offset, + data) is a part of a device of `capacity` bytes that an Allocator
// takes, all in units of 2 MiB.
bool IsDataArea(uint64_t capacity_bytes, uint64_t data_offset_bytes, uint64_t data_bytes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_INVENTORY_H_
