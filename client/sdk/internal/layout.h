// Where the bytes of a segment are, as something to walk along.

#ifndef WEFT_CLIENT_SDK_INTERNAL_LAYOUT_H_
#define WEFT_CLIENT_SDK_INTERNAL_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/sdk/types.h"

namespace weft::sdk {

// Consecutive bytes of a segment that one mmap covers.
struct Piece {
  size_t source = 0;  // Index of the file that holds them.
  uint64_t source_offset_bytes = 0;
  uint64_t length_bytes = 0;

  friend bool operator==(const Piece&, const Piece&) = default;
};

// Immutable.
class Layout {
 public:
  // A segment of `size_bytes` that is one file.
  static Layout OfFile(uint64_t size_bytes);

  // A segment on devices; `devices` are the names of the files, in order. INTERNAL if
  // `runs` do not make up `size_bytes`, name another device, or have a part that is not a
  // multiple of `page_size_bytes`: what weftd sends is checked before it becomes mmaps.
  static absl::StatusOr<Layout> OfRuns(const std::vector<Run>& runs,
                                       const std::vector<std::string>& devices, uint64_t size_bytes,
                                       uint64_t page_size_bytes);

  uint64_t size_bytes() const { return size_bytes_; }

  // The pieces of a part of the segment, in order, as few as they can be.
  // REQUIRES: the range is within the segment.
  std::vector<Piece> Slice(uint64_t offset_bytes, uint64_t length_bytes) const;

 private:
  // A Run whose devices are indices. Not striped: chunk_bytes is length_bytes.
  struct Span {
    uint64_t length_bytes = 0;
    uint64_t chunk_bytes = 0;
    std::vector<Piece> columns;

    // The bytes from `offset_bytes` to the end of their chunk.
    Piece ChunkAt(uint64_t offset_bytes) const;
  };

  static absl::StatusOr<Span> SpanOf(const Run& run, const std::vector<std::string>& devices,
                                     uint64_t page_size_bytes);

  uint64_t size_bytes_ = 0;
  std::vector<Span> spans_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_LAYOUT_H_
