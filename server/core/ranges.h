// Sets of bytes. A set is *joined* if its ranges are in order and none touches another.

#ifndef WEFT_SERVER_CORE_RANGES_H_
#define WEFT_SERVER_CORE_RANGES_H_

#include <cstddef>
#include <vector>

#include "server/core/types.h"

namespace weft {

using ByteRanges = std::vector<ByteRange>;

// The same bytes, joined. Empty ranges vanish.
ByteRanges Joined(ByteRanges ranges);

// REQUIRES, for all below: the arguments are joined. So are the results.

ByteRanges Union(const ByteRanges& a, const ByteRanges& b);
ByteRanges Intersection(const ByteRanges& a, const ByteRanges& b);
// What is in `a` and not in `b`.
ByteRanges Difference(const ByteRanges& a, const ByteRanges& b);
// Enlarged to whole multiples of kExtentUnit.
ByteRanges ToUnits(const ByteRanges& ranges);
// At most `most` ranges that cover these: they themselves, else their units, else one.
// REQUIRES: most > 0.
ByteRanges Coarsened(const ByteRanges& ranges, size_t most);
ByteCount TotalOf(const ByteRanges& ranges);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_RANGES_H_
