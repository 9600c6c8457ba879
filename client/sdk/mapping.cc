#include "client/sdk/mapping.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/cache_ops.h"
#include "client/sdk/handle_core.h"
#include "client/sdk/internal/address_range.h"
#include "server/core/errors.h"

namespace weft::sdk {

Mapping::Mapping(std::shared_ptr<HandleCore> core, std::unique_ptr<AddressRange> range,
                 uint64_t offset_bytes, uint64_t size_bytes)
    : core_(std::move(core)),
      range_(std::move(range)),
      offset_bytes_(offset_bytes),
      size_bytes_(size_bytes),
      data_(range_->data()) {}

Mapping::Mapping(Mapping&&) noexcept = default;
Mapping::~Mapping() = default;

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  Mapping old(std::move(other));
  std::swap(core_, old.core_);
  std::swap(range_, old.range_);
  std::swap(offset_bytes_, old.offset_bytes_);
  std::swap(size_bytes_, old.size_bytes_);
  std::swap(data_, old.data_);
  return *this;
}

bool Mapping::coherent() const { return core_->coherent(); }

absl::Status Mapping::Extend(uint64_t size_bytes) {
  if (absl::Status live = core_->CheckLive(); !live.ok()) return live;
  const uint64_t available_bytes = core_->size_bytes() - offset_bytes_;
  if (size_bytes == 0) size_bytes = available_bytes;
  if (size_bytes > available_bytes) {
    return MakeError(
        absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
        absl::StrCat("cannot map ", size_bytes, " bytes: the segment has ", available_bytes,
                     " from the mapping's start; after it grew, "
                     "call Handle::Refresh"));
  }
  const uint64_t mapped_bytes = core_->RoundUpToPage(size_bytes_);
  const uint64_t wanted_bytes = core_->RoundUpToPage(size_bytes);
  if (size_bytes < size_bytes_ || wanted_bytes > range_->size_bytes()) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
                     absl::StrCat("cannot make a mapping of ", size_bytes_, " bytes ", size_bytes,
                                  " long: ", range_->size_bytes(), " are reserved for it"));
  }
  absl::Status mapped = core_->MapInto(*range_, mapped_bytes, offset_bytes_ + mapped_bytes,
                                       wanted_bytes - mapped_bytes);
  if (!mapped.ok()) return mapped;
  size_bytes_ = size_bytes;
  return absl::OkStatus();
}

absl::Status Mapping::CheckRange(uint64_t offset_bytes, uint64_t length_bytes) const {
  if (offset_bytes <= size_bytes_ && length_bytes <= size_bytes_ - offset_bytes) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                   absl::StrCat(length_bytes, " bytes at ", offset_bytes,
                                " are not within a mapping of ", size_bytes_));
}

absl::Status Mapping::Flush(uint64_t offset_bytes, uint64_t length_bytes) const {
  if (absl::Status range = CheckRange(offset_bytes, length_bytes); !range.ok()) return range;
  if (!coherent()) WriteBackCache(data_ + offset_bytes, length_bytes);
  return absl::OkStatus();
}

absl::Status Mapping::Invalidate(uint64_t offset_bytes, uint64_t length_bytes) const {
  if (absl::Status range = CheckRange(offset_bytes, length_bytes); !range.ok()) return range;
  if (!coherent()) InvalidateCache(data_ + offset_bytes, length_bytes);
  return absl::OkStatus();
}

}  // namespace weft::sdk
