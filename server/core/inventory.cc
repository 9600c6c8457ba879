#include "server/core/inventory.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/proofs.h"
#include "server/core/quarantine.h"

namespace weft {
namespace {

// A registration with as many that are new is one transaction, with their events.
constexpr int kMaxDevicesPerHost = 512;
constexpr int kMaxBadRanges = 1024;
constexpr uint32_t kMaxExchangeSlots = 1'000'000;
// 64 PiB: a pool of as many as it may have stays below kMaxBytes.
constexpr ByteCount kMaxDeviceCapacity{uint64_t{1} << 56};

absl::Status BadInventory(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, message);
}

absl::Status CheckLocalDevice(const v1::LocalDevice& local) {
  if (local.path().size() > kMaxTextLength || local.dax_name().size() > kMaxTextLength) {
    return BadInventory(absl::StrCat("a device's path or name has more than ", kMaxTextLength,
                                     " bytes: ", Clip(local.path())));
  }
  if (absl::StatusOr<Uuid> uuid = Uuid::Parse(local.uuid()); !uuid.ok() || uuid->is_nil()) {
    return BadInventory(absl::StrCat(local.path(), ": \"", local.uuid(), "\" is no device UUID"));
  }
  if (!local.pool_uuid().empty() && !Uuid::Parse(local.pool_uuid()).ok()) {
    return BadInventory(absl::StrCat(local.path(), ": \"", local.pool_uuid(), "\" is no UUID"));
  }
  const uint64_t capacity = local.capacity_bytes();
  if (!IsDataArea(capacity, local.data_offset_bytes(), local.data_bytes())) {
    return BadInventory(absl::StrCat(local.path(), ": a data area of ", local.data_bytes(),
                                     " bytes at ", local.data_offset_bytes(), " in ", capacity,
                                     " is not a part of it in multiples of 2 MiB"));
  }
  if (local.exchange_slots() < kMinExchangeSlots || local.exchange_slots() > kMaxExchangeSlots) {
    return BadInventory(absl::StrCat(local.path(), ": ", local.exchange_slots(),
                                     " exchange slots; ", kMinExchangeSlots, " to ",
                                     kMaxExchangeSlots));
  }
  if (local.bad_ranges_size() > kMaxBadRanges) {
    return BadInventory(absl::StrCat(local.path(), ": ", local.bad_ranges_size(),
                                     " bad ranges; at most ", kMaxBadRanges));
  }
  return CheckBadRanges(local.bad_ranges(), capacity);
}

}  // namespace

bool IsDataArea(uint64_t capacity_bytes, uint64_t data_offset_bytes, uint64_t data_bytes) {
  const bool in_units = IsMultipleOf(capacity_bytes, kExtentUnit) &&
                        IsMultipleOf(data_offset_bytes, kExtentUnit) &&
                        IsMultipleOf(data_bytes, kExtentUnit);
  return in_units && capacity_bytes <= kMaxDeviceCapacity.value() && data_bytes > 0 &&
         data_offset_bytes < capacity_bytes && data_bytes <= capacity_bytes - data_offset_bytes;
}

absl::Status CheckInventory(const State& state, const v1::DeviceInventory& inventory) {
  if (inventory.devices_size() > kMaxDevicesPerHost) {
    return BadInventory(absl::StrCat("a host has at most ", kMaxDevicesPerHost, " devices, not ",
                                     inventory.devices_size()));
  }
  std::set<Uuid> seen;
  for (const v1::LocalDevice& local : inventory.devices()) {
    if (absl::Status s = CheckLocalDevice(local); !s.ok()) return s;
    if (!seen.insert(*Uuid::Parse(local.uuid())).second) {
      return BadInventory(absl::StrCat("two devices of one host have the UUID ", local.uuid(),
                                       ": one is a copy; format it"));
    }
  }
  const auto is_new = [&](const Uuid& id) { return !state.devices.contains(id); };
  const size_t added = std::count_if(seen.begin(), seen.end(), is_new);
  if (added > 0 && state.devices.size() + added > state.options.max_devices) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                     absl::StrCat("the cluster knows ", state.devices.size(), " devices, and ",
                                  state.options.max_devices, " is the most it can"));
  }
  return absl::OkStatus();
}

}  // namespace weft
