// Whether what clients were told can have happened one operation after the other.
//
// The algorithm is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993)
// with Lowe's memory of the configurations that were tried ("Testing for Linearizability",
// 2017), as in Porcupine and Knossos. Each segment name is an object of its own.

#ifndef WEFT_TESTS_SIM_LINEARIZABILITY_H_
#define WEFT_TESTS_SIM_LINEARIZABILITY_H_

#include <cstddef>
#include <string>
#include <vector>

#include "tests/sim/history.h"

namespace weft::sim {

struct Judgement {
  // Empty: it can, as far as was searched. Otherwise the name for which it cannot, with its
  // operations, for people.
  std::string contradiction;
  // One for each name.
  size_t searches = 0;
  // Those that tried as many configurations as they may: they are no evidence.
  size_t given_up = 0;
};

Judgement Judge(const std::vector<Op>& ops, size_t most_tried = 50'000);

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_LINEARIZABILITY_H_
