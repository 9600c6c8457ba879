// Bytes of a device that no segment has, reached as a segment of the daemon's own.

#ifndef WEFT_SERVER_PLATFORM_KMOD_SCRATCH_H_
#define WEFT_SERVER_PLATFORM_KMOD_SCRATCH_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/core/types.h"
#include "server/platform/kmod.h"

namespace weft {

// Runs `body` with a segment around `piece`, and where the piece is in it. It lives as long as
// that; the order of scrubs and copies is the coordinator's, by tokens.
// REQUIRES: piece.length <= Device::kMaxPiece.
absl::Status WithScratch(Kmod& kmod, const KmodExtent& piece, Token token, Access access,
                         absl::FunctionRef<absl::Status(SegmentId, ByteOffset)> body);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_KMOD_SCRATCH_H_
