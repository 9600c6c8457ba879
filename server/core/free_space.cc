#include "server/core/free_space.h"

#include <iterator>

#include "server/core/check.h"

namespace weft {
namespace {

// The part of `extent` from its first multiple of kHugeUnit on, if long enough to index.
std::optional<Range> HugePart(const Range& extent) {
  const uint64_t unit = kHugeUnit.value();
  const ByteOffset start((extent.offset.value() + unit - 1) / unit * unit);
  if (start + kHugeUnit > extent.end()) return std::nullopt;
  return Range{start, extent.end() - start};
}

}  // namespace

void FreeSpace::Insert(const Range& range) {
  WEFT_CHECK(range.length > ByteCount(0));
  Range joined = range;
  const auto next = by_offset_.lower_bound(range.offset);
  std::optional<Range> before, after;
  if (next != by_offset_.end()) {
    WEFT_CHECK(next->first >= range.end(), "bytes at ", next->first.value(), " are free already");
    if (next->first == range.end()) after = Range{next->first, next->second};
  }
  if (next != by_offset_.begin()) {
    const auto previous = std::prev(next);
    const Range extent{previous->first, previous->second};
    WEFT_CHECK(extent.end() <= range.offset, "bytes at ", range.offset.value(),
               " are free already");
    if (extent.end() == range.offset) before = extent;
  }
  if (before) {
    Remove(*before);
    joined = Range{before->offset, before->length + joined.length};
  }
  if (after) {
    Remove(*after);
    joined.length += after->length;
  }
  Add(joined);
}

bool FreeSpace::Take(const Range& range) {
  WEFT_CHECK(range.length > ByteCount(0));
  const Range extent = Containing(range.offset);
  if (extent.end() < range.end()) return false;
  Remove(extent);
  if (extent.offset < range.offset) Add({extent.offset, range.offset - extent.offset});
  if (range.end() < extent.end()) Add({range.end(), extent.end() - range.end()});
  return true;
}

ByteCount FreeSpace::FreeFrom(ByteOffset offset) const {
  const Range extent = Containing(offset);
  return extent.length == ByteCount(0) ? ByteCount(0) : extent.end() - offset;
}

std::optional<Range> FreeSpace::BestFit(ByteCount size, Alignment alignment) const {
  const SizeIndex& index = IndexFor(alignment);
  const auto it = index.lower_bound({size, ByteOffset(0)});
  if (it == index.end()) return std::nullopt;
  return Range{it->second, size};
}

std::optional<Range> FreeSpace::Largest(Alignment alignment) const {
  const SizeIndex& index = IndexFor(alignment);
  if (index.empty()) return std::nullopt;
  const auto& [length, offset] = *index.rbegin();
  return Range{offset, length};
}

const FreeSpace::SizeIndex& FreeSpace::IndexFor(Alignment alignment) const {
  return alignment == Alignment::kHuge ? huge_by_size_ : by_size_;
}

Range FreeSpace::Containing(ByteOffset offset) const {
  const auto next = by_offset_.upper_bound(offset);
  if (next == by_offset_.begin()) return {};
  const auto it = std::prev(next);
  const Range extent{it->first, it->second};
  return offset < extent.end() ? extent : Range{};
}

void FreeSpace::Add(const Range& extent) {
  by_offset_.emplace(extent.offset, extent.length);
  by_size_.emplace(extent.length, extent.offset);
  if (const auto huge = HugePart(extent)) huge_by_size_.emplace(huge->length, huge->offset);
  free_bytes_ += extent.length;
}

void FreeSpace::Remove(const Range& extent) {
  by_offset_.erase(extent.offset);
  by_size_.erase({extent.length, extent.offset});
  if (const auto huge = HugePart(extent)) huge_by_size_.erase({huge->length, huge->offset});
  free_bytes_ -= extent.length;
}

}  // namespace weft
