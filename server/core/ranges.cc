#include "server/core/ranges.h"

#include <algorithm>
#include <utility>

namespace weft {
namespace {

ByteRange Between(ByteOffset begin, ByteOffset end) { return {begin, end - begin}; }

}  // namespace

ByteRanges Joined(ByteRanges ranges) {
  std::sort(ranges.begin(), ranges.end());
  ByteRanges joined;
  for (const ByteRange& range : ranges) {
    if (range.length == ByteCount(0)) continue;
    if (joined.empty() || joined.back().end() < range.offset) {
      joined.push_back(range);
    } else {
      ByteRange& last = joined.back();
      last = Between(last.offset, std::max(last.end(), range.end()));
    }
  }
  return joined;
}

ByteRanges Union(const ByteRanges& a, const ByteRanges& b) {
  ByteRanges all = a;
  all.insert(all.end(), b.begin(), b.end());
  return Joined(std::move(all));
}

ByteRanges Intersection(const ByteRanges& a, const ByteRanges& b) {
  ByteRanges common;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    const ByteOffset begin = std::max(i->offset, j->offset);
    const ByteOffset end = std::min(i->end(), j->end());
    if (begin < end) common.push_back(Between(begin, end));
    i->end() < j->end() ? ++i : ++j;
  }
  return common;
}

ByteRanges Difference(const ByteRanges& a, const ByteRanges& b) {
  ByteRanges rest;
  auto less = b.begin();
  for (const ByteRange& range : a) {
    ByteOffset begin = range.offset;
    while (less != b.end() && less->end() <= begin) ++less;
    for (auto it = less; it != b.end() && it->offset < range.end(); ++it) {
      if (begin < it->offset) rest.push_back(Between(begin, it->offset));
      begin = std::max(begin, it->end());
    }
    if (begin < range.end()) rest.push_back(Between(begin, range.end()));
  }
  return rest;
}

ByteRanges ToUnits(const ByteRanges& ranges) {
  const uint64_t unit = kExtentUnit.value();
  ByteRanges units;
  for (const ByteRange& range : ranges) {
    units.push_back(Between(ByteOffset(range.offset.value() / unit * unit),
                            ByteOffset((range.end().value() + unit - 1) / unit * unit)));
  }
  return Joined(std::move(units));
}

ByteRanges Coarsened(const ByteRanges& ranges, size_t most) {
  if (ranges.size() <= most) return ranges;
  const ByteRanges units = ToUnits(ranges);
  if (units.size() <= most) return units;
  return {Between(units.front().offset, units.back().end())};
}

ByteCount TotalOf(const ByteRanges& ranges) {
  ByteCount total;
  for (const ByteRange& range : ranges) total += range.length;
  return total;
}

}  // namespace weft
