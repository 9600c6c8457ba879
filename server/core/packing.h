// How an allocation is put together from free extents. Only for allocator.cc.

#ifndef WEFT_SERVER_CORE_PACKING_H_
#define WEFT_SERVER_CORE_PACKING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "server/core/free_space.h"
#include "server/core/types.h"

namespace weft {

// A device to take extents from.
struct Source {
  DeviceId id;
  FreeSpace* free;
};
// No device twice, in the order of preference.
using Sources = std::vector<Source>;

struct Piece {
  Source source;
  Range range;
};

// Pieces taken for one allocation, in its logical order. Gives them back when it goes out
// of scope, unless they were handed on.
class Draft {
 public:
  explicit Draft(size_t max_pieces) : max_pieces_(max_pieces) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft();

  // Takes `range` as the next piece, or as more of the last one if it follows that
  // directly. False, with nothing taken, if that is one piece too many.
  // REQUIRES: all of `range` is free.
  bool Take(const Source& source, const Range& range);

  // Finds the pieces with at least `size` free bytes right behind them; takes `size` behind
  // the one that has the fewest, and makes that piece the last. False if there is none.
  bool Extend(ByteCount size);

  // Appends the pieces of `other`, which loses them. False, with nothing done, if they are
  // too many.
  bool Append(Draft& other);

  // Hands the pieces over for good.
  std::vector<Extent> Commit();

  size_t room() const { return max_pieces_ - pieces_.size(); }

 private:
  const size_t max_pieces_;
  std::vector<Piece> pieces_;
};

// All that follow change nothing when they return false. `size` and `column` are multiples
// of kExtentUnit, not 0.

// Takes `size` bytes in the fewest pieces, aligned to kHugeUnit if possible. False if there
// are too few bytes or pieces would be too many.
bool Pack(const Sources& sources, ByteCount size, Draft& draft);

// As Pack, but takes all it can from the first source before it goes to the next.
bool PackInOrder(const Sources& sources, ByteCount size, Draft& draft);

// Takes one piece of `column` bytes from each of the first `columns` sources that have one.
bool TakeColumns(const Sources& sources, ByteCount column, uint32_t columns, Draft& draft);

// Takes the `column` bytes right behind each of `columns`. False if any is not free.
bool ContinueColumns(const Sources& sources, const std::vector<Extent>& columns, ByteCount column,
                     Draft& draft);

// Takes what is free right behind `last`, up to `size` bytes; returns how many.
ByteCount Continue(const Sources& sources, const Extent& last, ByteCount size, Draft& draft);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_PACKING_H_
