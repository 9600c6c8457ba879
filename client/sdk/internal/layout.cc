#include "client/sdk/internal/layout.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weft::sdk {
namespace {

// No capacity reaches this, so that sums below it cannot overflow.
constexpr uint64_t kMaxBytes = uint64_t{1} << 63;

absl::Status BadRun(absl::string_view what) {
  return absl::InternalError(absl::StrCat("weftd sent a segment with ", what));
}

bool Fits(const Extent& extent, uint64_t page_size_bytes) {
  return extent.length_bytes > 0 && extent.length_bytes < kMaxBytes &&
         extent.offset_bytes < kMaxBytes && extent.length_bytes % page_size_bytes == 0 &&
         extent.offset_bytes % page_size_bytes == 0;
}

// Adds `piece` to `pieces`, as part of the last one if it goes on there.
void Append(std::vector<Piece>& pieces, const Piece& piece) {
  if (!pieces.empty() && pieces.back().source == piece.source &&
      pieces.back().source_offset_bytes + pieces.back().length_bytes == piece.source_offset_bytes) {
    pieces.back().length_bytes += piece.length_bytes;
  } else {
    pieces.push_back(piece);
  }
}

}  // namespace

Layout Layout::OfFile(uint64_t size_bytes) {
  Layout layout;
  layout.size_bytes_ = size_bytes;
  layout.spans_.push_back({size_bytes, size_bytes, {{0, 0, size_bytes}}});
  return layout;
}

absl::StatusOr<Layout> Layout::OfRuns(const std::vector<Run>& runs,
                                      const std::vector<std::string>& devices, uint64_t size_bytes,
                                      uint64_t page_size_bytes) {
  Layout layout;
  for (const Run& run : runs) {
    absl::StatusOr<Span> span = SpanOf(run, devices, page_size_bytes);
    if (!span.ok()) return span.status();
    layout.size_bytes_ += span->length_bytes;
    if (layout.size_bytes_ >= kMaxBytes) return BadRun("more than 2^63 bytes");
    layout.spans_.push_back(*std::move(span));
  }
  if (layout.size_bytes_ != size_bytes) {
    return BadRun(
        absl::StrCat("runs of ", layout.size_bytes_, " bytes and a size of ", size_bytes));
  }
  return layout;
}

absl::StatusOr<Layout::Span> Layout::SpanOf(const Run& run, const std::vector<std::string>& devices,
                                            uint64_t page_size_bytes) {
  if (run.extents.empty()) return BadRun("an empty run");
  const uint64_t column_bytes = run.extents[0].length_bytes;
  Span span;
  for (const Extent& extent : run.extents) {
    const auto device = std::find(devices.begin(), devices.end(), extent.device);
    if (device == devices.end()) {
      return BadRun(absl::StrCat("an extent of ", extent.device, ", but no descriptor for it"));
    }
    if (!Fits(extent, page_size_bytes)) return BadRun("an extent that is not whole pages");
    if (extent.length_bytes != column_bytes) return BadRun("a stripe of unequal extents");
    const size_t source = static_cast<size_t>(device - devices.begin());
    span.columns.push_back({source, extent.offset_bytes, extent.length_bytes});
  }
  const size_t columns = span.columns.size();
  if (column_bytes >= kMaxBytes / columns) return BadRun("more than 2^63 bytes");
  span.length_bytes = column_bytes * columns;
  span.chunk_bytes = columns == 1 ? column_bytes : run.chunk_bytes;
  if (span.chunk_bytes == 0 || span.chunk_bytes % page_size_bytes != 0 ||
      column_bytes % span.chunk_bytes != 0) {
    return BadRun("a stripe whose extents are not whole chunks");
  }
  return span;
}

Piece Layout::Span::ChunkAt(uint64_t offset_bytes) const {
  const uint64_t chunk = offset_bytes / chunk_bytes;
  const uint64_t within = offset_bytes % chunk_bytes;
  const Piece& column = columns[chunk % columns.size()];
  return {column.source, column.source_offset_bytes + chunk / columns.size() * chunk_bytes + within,
          chunk_bytes - within};
}

std::vector<Piece> Layout::Slice(uint64_t offset_bytes, uint64_t length_bytes) const {
  std::vector<Piece> pieces;
  for (const Span& span : spans_) {
    if (length_bytes == 0) break;
    if (offset_bytes >= span.length_bytes) {
      offset_bytes -= span.length_bytes;
      continue;
    }
    while (length_bytes > 0 && offset_bytes < span.length_bytes) {
      Piece piece = span.ChunkAt(offset_bytes);
      piece.length_bytes = std::min(piece.length_bytes, length_bytes);
      Append(pieces, piece);
      offset_bytes += piece.length_bytes;
      length_bytes -= piece.length_bytes;
    }
    offset_bytes = 0;
  }
  return pieces;
}

}  // namespace weft::sdk
