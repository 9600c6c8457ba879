// Where the lines of a segment are.

#ifndef WEFT_TESTS_SIM_LINE_PLACE_H_
#define WEFT_TESTS_SIM_LINE_PLACE_H_

#include <cstddef>
#include <cstdint>

namespace weft::sim {

struct LinePlace {
  size_t extent = 0;
  uint64_t line = 0;  // in it
};

// Of a run of so many extents of the same length.
inline LinePlace PlaceInRun(size_t extents, uint64_t chunk_lines, uint64_t line) {
  if (extents == 1) return {0, line};
  return {line / chunk_lines % extents,
          line / chunk_lines / extents * chunk_lines + line % chunk_lines};
}

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_LINE_PLACE_H_
