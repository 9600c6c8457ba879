#include "server/core/packing.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/core/check.h"

namespace weft {
namespace {

constexpr ByteCount kNone(0);

std::optional<Piece> BestFit(const Sources& sources, ByteCount size, Alignment alignment) {
  std::optional<Piece> best;
  ByteCount best_free;
  for (const Source& source : sources) {
    const auto fit = source.free->BestFit(size, alignment);
    if (!fit) continue;
    const ByteCount free = source.free->FreeFrom(fit->offset);
    if (!best || free < best_free) {
      best = Piece{source, *fit};
      best_free = free;
    }
  }
  return best;
}

std::optional<Piece> Largest(const Sources& sources, Alignment alignment) {
  std::optional<Piece> largest;
  for (const Source& source : sources) {
    const auto range = source.free->Largest(alignment);
    if (range && (!largest || range->length > largest->range.length)) {
      largest = Piece{source, *range};
    }
  }
  return largest;
}

// Takes `size` bytes in the fewest pieces that start aligned. Under kHuge what is left of
// less than kHugeUnit need not, as no huge page fits in there. On failure leaves in `draft`
// what it took so far.
//
// Why the fewest: whole pieces are taken in order of length, so no other choice of as many
// holds more. Under kHuge the rest is had for nothing if it fits behind one of them; of all
// choices that hold as many whole units these have the most behind, again because of the
// order. (Only if it fits nowhere in one piece may there be one piece too many.)
bool PackAligned(const Sources& sources, ByteCount size, Alignment alignment, Draft& draft) {
  while (size > kNone) {
    if (alignment == Alignment::kHuge && size < kHugeUnit) {
      return draft.Extend(size) || PackAligned(sources, size, Alignment::kExtent, draft);
    }
    if (const auto fit = BestFit(sources, size, alignment)) {
      return draft.Take(fit->source, fit->range);
    }
    auto largest = Largest(sources, alignment);
    if (!largest) return false;
    const ByteCount unit = alignment == Alignment::kHuge ? kHugeUnit : kExtentUnit;
    Range& range = largest->range;
    range.length -= ByteCount(range.length.value() % unit.value());
    if (!draft.Take(largest->source, range)) return false;
    size -= range.length;
  }
  return true;
}

// Takes `size` bytes in the fewest pieces, aligned as preferred if possible. On failure
// changes nothing.
bool PackPreferring(Alignment preferred, const Sources& sources, ByteCount size, Draft& draft) {
  if (preferred == Alignment::kHuge && size >= kHugeUnit) {
    Draft attempt(draft.room());
    if (PackAligned(sources, size, Alignment::kHuge, attempt)) return draft.Append(attempt);
  }
  Draft attempt(draft.room());
  return PackAligned(sources, size, Alignment::kExtent, attempt) && draft.Append(attempt);
}

// As PackPreferring, all it can from the first source before it goes to the next; but on
// failure leaves in `draft` what it took so far.
bool PackInOrderPreferring(Alignment preferred, const Sources& sources, ByteCount size,
                           Draft& draft) {
  for (const Source& source : sources) {
    const ByteCount part = std::min(size, source.free->free_bytes());
    if (part == kNone) continue;
    if (!PackPreferring(preferred, {source}, part, draft)) return false;
    size -= part;
  }
  return size == kNone;
}

const Source* FindSource(const Sources& sources, const DeviceId& id) {
  const auto it = std::find_if(sources.begin(), sources.end(),
                               [&](const Source& source) { return source.id == id; });
  return it == sources.end() ? nullptr : &*it;
}

}  // namespace

Draft::~Draft() {
  for (const Piece& piece : pieces_) piece.source.free->Insert(piece.range);
}

bool Draft::Take(const Source& source, const Range& range) {
  const bool joins = !pieces_.empty() && pieces_.back().source.free == source.free &&
                     pieces_.back().range.end() == range.offset;
  if (!joins && room() == 0) return false;
  WEFT_CHECK(source.free->Take(range), source.id.ToString(), " at ", range.offset.value());
  if (joins) {
    pieces_.back().range.length += range.length;
  } else {
    pieces_.push_back({source, range});
  }
  return true;
}

bool Draft::Extend(ByteCount size) {
  auto best = pieces_.end();
  ByteCount best_free = kMaxBytes;
  for (auto it = pieces_.begin(); it != pieces_.end(); ++it) {
    const ByteCount free = it->source.free->FreeFrom(it->range.end());
    if (free >= size && free < best_free) {
      best = it;
      best_free = free;
    }
  }
  if (best == pieces_.end()) return false;
  std::rotate(best, best + 1, pieces_.end());
  const Piece& last = pieces_.back();
  return Take(last.source, {last.range.end(), size});
}

bool Draft::Append(Draft& other) {
  if (other.pieces_.size() > room()) return false;
  pieces_.insert(pieces_.end(), other.pieces_.begin(), other.pieces_.end());
  other.pieces_.clear();
  return true;
}

std::vector<Extent> Draft::Commit() {
  std::vector<Extent> extents;
  extents.reserve(pieces_.size());
  for (const Piece& piece : pieces_) {
    extents.push_back({piece.source.id, piece.range.offset, piece.range.length});
  }
  pieces_.clear();
  return extents;
}

bool Pack(const Sources& sources, ByteCount size, Draft& draft) {
  return PackPreferring(Alignment::kHuge, sources, size, draft);
}

bool PackInOrder(const Sources& sources, ByteCount size, Draft& draft) {
  // What alignment costs on one device may be missing on a later one: hence twice.
  for (const Alignment preferred : {Alignment::kHuge, Alignment::kExtent}) {
    Draft attempt(draft.room());
    if (PackInOrderPreferring(preferred, sources, size, attempt)) return draft.Append(attempt);
  }
  return false;
}

bool TakeColumns(const Sources& sources, ByteCount column, uint32_t columns, Draft& draft) {
  Draft attempt(columns);
  for (const Source& source : sources) {
    if (attempt.room() == 0) break;
    Draft one(1);
    if (Pack({source}, column, one)) attempt.Append(one);
  }
  return attempt.room() == 0 && draft.Append(attempt);
}

bool ContinueColumns(const Sources& sources, const std::vector<Extent>& columns, ByteCount column,
                     Draft& draft) {
  Draft attempt(columns.size());
  for (const Extent& last : columns) {
    const Source* source = FindSource(sources, last.device);
    if (source == nullptr || source->free->FreeFrom(last.end()) < column) return false;
    attempt.Take(*source, {last.end(), column});
  }
  return draft.Append(attempt);
}

ByteCount Continue(const Sources& sources, const Extent& last, ByteCount size, Draft& draft) {
  const Source* source = FindSource(sources, last.device);
  if (source == nullptr) return kNone;
  const ByteCount part = std::min(size, source->free->FreeFrom(last.end()));
  return part > kNone && draft.Take(*source, {last.end(), part}) ? part : kNone;
}

}  // namespace weft
