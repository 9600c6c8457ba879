#include "server/platform/kmod_scratch.h"

#include "server/core/check.h"

namespace weft {

absl::Status WithScratch(Kmod& kmod, const KmodExtent& piece, Token token, Access access,
                         absl::FunctionRef<absl::Status(SegmentId, ByteOffset)> body) {
  WEFT_CHECK(piece.length <= Device::kMaxPiece, piece.length.value());
  const uint64_t unit = kExtentUnit.value();
  const uint64_t begin = piece.offset.value() / unit * unit;
  const uint64_t end = (piece.offset.value() + piece.length.value() + unit - 1) / unit * unit;
  const SegmentId scratch(kFirstScrubSegment | piece.device.value() << 40 | begin / unit);
  const KmodRun run{{{piece.device, ByteOffset(begin), ByteCount(end - begin)}}, ByteCount(0)};
  absl::Status created = kmod.CreateSegment(scratch, token, access, {run});
  if (!created.ok()) return created;
  absl::Status done = body(scratch, ByteOffset(piece.offset.value() - begin));
  const absl::Status destroyed = kmod.DestroySegment(scratch, token);
  return done.ok() ? destroyed : done;
}

}  // namespace weft
