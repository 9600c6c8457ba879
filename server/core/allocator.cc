#include "server/core/allocator.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/packing.h"
#include "server/core/size_text.h"

namespace weft {
namespace {

constexpr ByteCount kNone(0);

// Puts `sources` in the order in which the policy of `request` takes from them.
void Order(const AllocationRequest& request, Sources& sources) {
  if (request.placement == v1::PACK) return;
  const auto distance = [&](const Source& source) -> uint64_t {
    if (request.placement != v1::LOCAL) return 0;
    const auto it = request.distances.find(source.id);
    return it == request.distances.end() ? std::numeric_limits<uint64_t>::max() : it->second;
  };
  std::stable_sort(sources.begin(), sources.end(), [&](const Source& a, const Source& b) {
    return std::tuple(distance(a), b.free->free_bytes()) <
           std::tuple(distance(b), a.free->free_bytes());
  });
}

ByteCount ColumnOf(const AllocationRequest& request) {
  return ByteCount(request.size.value() / request.stripe.columns);
}

absl::Status CheckStripe(const AllocationRequest& request) {
  const Stripe& stripe = request.stripe;
  if (stripe.columns < kMinStripeColumns || stripe.columns > kMaxStripeColumns ||
      stripe.chunk == kNone || !IsMultipleOf(stripe.chunk.value(), kExtentUnit)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
        absl::StrCat("a stripe of ", stripe.columns, " columns with chunks of ",
                     stripe.chunk.value(), " bytes: it takes ", kMinStripeColumns, " to ",
                     kMaxStripeColumns, " columns and chunks of a multiple of 2 MiB"));
  }
  if (ColumnOf(request).value() * stripe.columns != request.size.value() ||
      !IsMultipleOf(ColumnOf(request).value(), stripe.chunk)) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
        absl::StrCat("a size of ", request.size.value(), " bytes is not a multiple of a stripe's ",
                     stripe.columns, " chunks of ", FormatSize(stripe.chunk)));
  }
  return absl::OkStatus();
}

absl::Status CheckRequest(const AllocationRequest& request) {
  if (request.size == kNone || request.size >= kMaxBytes ||
      !IsMultipleOf(request.size.value(), kExtentUnit)) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
                     absl::StrCat("a size of ", request.size.value(), " bytes: it must be a ",
                                  "multiple of 2 MiB, not 0 and below 8 EiB"));
  }
  if (!v1::Placement_IsValid(request.placement) || request.placement == v1::PLACEMENT_UNSPECIFIED) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat("placement ", static_cast<int>(request.placement),
                                  " is not known: use PACK, SPREAD, STRIPED or LOCAL"));
  }
  size_t ends_needed = 1;
  if (request.placement == v1::STRIPED) {
    if (const absl::Status status = CheckStripe(request); !status.ok()) return status;
    ends_needed = request.stripe.columns;
  }
  const size_t ends_given = request.grow_after.size();
  if (ends_given != 0 && ends_given != ends_needed) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat(ends_given, " extents to grow after: ", ends_needed,
                                  ", one per column, or none are needed"));
  }
  return absl::OkStatus();
}

std::string Describe(const FreeStats& stats) {
  return absl::StrCat(FormatSize(stats.free), " in ", stats.extents,
                      " free extents, the largest of ", FormatSize(stats.largest));
}

absl::Status PoolFull(const AllocationRequest& request, const FreeStats& stats) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, v1::POOL_FULL,
      absl::StrCat(FormatSize(request.size), " asked for, but the devices that ",
                   "take segments have ", Describe(stats), ": delete segments or add a device"));
}

absl::Status Fragmented(const AllocationRequest& request, const FreeStats& stats) {
  const std::string problem =
      request.placement == v1::STRIPED
          ? absl::StrCat("a free extent of ", FormatSize(ColumnOf(request)), " on each of ",
                         request.stripe.columns, " devices is needed, and at most ",
                         request.max_extents, " new extents are allowed: ask for less or for ",
                         "fewer columns, or delete segments")
          : absl::StrCat("at most ", request.max_extents,
                         " new extents are allowed: ask for less, allow more extents, or ",
                         "delete segments");
  return MakeError(
      absl::StatusCode::kResourceExhausted, v1::FRAGMENTED,
      absl::StrCat(FormatSize(request.size), " asked for; ", Describe(stats), ", but ", problem));
}

bool Place(const AllocationRequest& request, const Sources& sources, ByteCount size, Draft& draft) {
  switch (request.placement) {
    case v1::PACK:
      return Pack(sources, size, draft);
    case v1::SPREAD:
    case v1::LOCAL:
      return PackInOrder(sources, size, draft);
    case v1::STRIPED:
      return TakeColumns(sources, ColumnOf(request), request.stripe.columns, draft);
    default:
      return false;
  }
}

// Continues `request.grow_after` where bytes are free and places the rest. Nothing, with
// nothing taken, if the rest has no place.
std::optional<std::vector<Extent>> GrowAndPlace(const AllocationRequest& request,
                                                const Sources& sources) {
  const std::vector<Extent>& ends = request.grow_after;
  Draft continued(ends.size());
  ByteCount size = request.size;
  if (!ends.empty() && request.placement == v1::STRIPED) {
    if (ContinueColumns(sources, ends, ColumnOf(request), continued)) size = kNone;
  } else if (!ends.empty()) {
    size -= Continue(sources, ends.front(), size, continued);
  }
  Draft rest(request.max_extents);
  if (size > kNone && !Place(request, sources, size, rest)) return std::nullopt;
  std::vector<Extent> extents = continued.Commit();
  for (const Extent& extent : rest.Commit()) extents.push_back(extent);
  return extents;
}

FreeStats StatsOf(const FreeSpace& free) {
  const auto largest = free.Largest(Alignment::kExtent);
  return {free.free_bytes(), largest ? largest->length : kNone, free.extent_count()};
}

void Add(const FreeStats& part, FreeStats& total) {
  total.free += part.free;
  total.largest = std::max(total.largest, part.largest);
  total.extents += part.extents;
}

}  // namespace

void Allocator::AddDevice(const DeviceId& id, ByteCount capacity) {
  WEFT_CHECK(capacity > kNone && IsMultipleOf(capacity.value(), kExtentUnit), capacity.value());
  ByteCount total = kNone;
  for (const auto& [other, device] : devices_) total += device.capacity;
  WEFT_CHECK(capacity < kMaxBytes - total, "pool of ", total.value(), " + ", capacity.value());
  const auto [it, added] = devices_.try_emplace(id);
  WEFT_CHECK(added, "device ", id.ToString(), " is in the pool already");
  it->second.capacity = capacity;
  it->second.free.Insert({ByteOffset(0), capacity});
}

void Allocator::RemoveDevice(const DeviceId& id) {
  WEFT_CHECK(devices_.erase(id) == 1, "device ", id.ToString(), " is not in the pool");
}

void Allocator::SetAllocatable(const DeviceId& id, bool allocatable) {
  Find(id).allocatable = allocatable;
}

absl::StatusOr<Allocation> Allocator::Allocate(const AllocationRequest& request) {
  if (const absl::Status status = CheckRequest(request); !status.ok()) return status;
  Sources sources;
  FreeStats stats;
  for (auto& [id, device] : devices_) {
    const bool wanted = request.only.empty() || request.only.contains(id);
    if (!device.allocatable || !wanted) continue;
    sources.push_back({id, &device.free});
    Add(StatsOf(device.free), stats);
  }
  if (stats.free < request.size) return PoolFull(request, stats);
  Order(request, sources);
  auto extents = GrowAndPlace(request, sources);
  if (!extents) return Fragmented(request, stats);
  return Allocation{*std::move(extents),
                    request.placement == v1::STRIPED ? request.stripe : Stripe{}};
}

absl::Status Allocator::Reserve(const Extent& extent) {
  if (const absl::Status status = CheckExtent(extent); !status.ok()) return status;
  if (!Find(extent.device).free.Take({extent.offset, extent.length})) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::IN_USE,
        absl::StrCat(FormatSize(extent.length), " at ", extent.offset.value(), " of device ",
                     extent.device.ToString(), " are not all free: choose another extent"));
  }
  return absl::OkStatus();
}

void Allocator::Free(const Extent& extent) {
  const absl::Status status = CheckExtent(extent);
  WEFT_CHECK(status.ok(), status.ToString());
  Find(extent.device).free.Insert({extent.offset, extent.length});
}

FreeStats Allocator::pool_stats() const {
  FreeStats total;
  for (const auto& [id, device] : devices_) {
    if (!device.allocatable) continue;
    Add(StatsOf(device.free), total);
  }
  return total;
}

FreeStats Allocator::device_stats(const DeviceId& id) const {
  const auto it = devices_.find(id);
  WEFT_CHECK(it != devices_.end(), "device ", id.ToString(), " is not in the pool");
  return StatsOf(it->second.free);
}

std::vector<Extent> Allocator::FreeExtents(const DeviceId& id, size_t most) const {
  const auto it = devices_.find(id);
  WEFT_CHECK(it != devices_.end(), "device ", id.ToString(), " is not in the pool");
  std::vector<Extent> extents;
  for (const auto& [offset, length] : it->second.free.extents()) {
    if (extents.size() == most) break;
    extents.push_back({id, offset, length});
  }
  return extents;
}

bool Allocator::IsFree(const Extent& extent) const {
  const auto it = devices_.find(extent.device);
  WEFT_CHECK(it != devices_.end(), "device ", extent.device.ToString(), " is not in the pool");
  return it->second.free.FreeFrom(extent.offset) >= extent.length;
}

Allocator::Device& Allocator::Find(const DeviceId& id) {
  const auto it = devices_.find(id);
  WEFT_CHECK(it != devices_.end(), "device ", id.ToString(), " is not in the pool");
  return it->second;
}

absl::Status Allocator::CheckExtent(const Extent& extent) const {
  const auto it = devices_.find(extent.device);
  if (it == devices_.end()) {
    return MakeError(
        absl::StatusCode::kNotFound, v1::DEVICE_NOT_FOUND,
        absl::StrCat("device ", extent.device.ToString(), " is not in the pool: add it first"));
  }
  const ByteCount capacity = it->second.capacity;
  const uint64_t offset = extent.offset.value();
  if (extent.length == kNone || !IsMultipleOf(extent.length.value(), kExtentUnit) ||
      !IsMultipleOf(offset, kExtentUnit) || offset >= capacity.value() ||
      extent.length.value() > capacity.value() - offset) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat(extent.length.value(), " bytes at ", offset, " of device ",
                                  extent.device.ToString(), " of ", FormatSize(capacity),
                                  ": not a whole number of 2 MiB units inside the device"));
  }
  return absl::OkStatus();
}

}  // namespace weft
