// Whether what clients were told can have happened one operation after the other.
//
// The algorithm is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993)
// with Lowe's memory of the configurations that were tried ("Testing for Linearizability",
// 2017), as in Porcupine and Knossos. Each segment name is an object of its own.

#ifndef WEFT_TESTS_SIM_LINEARIZABILITY_H_
#define WEFT_TESTS_SIM_LINEARIZABILITY_H_

#include <string>
#include <vector>

#include "tests/sim/history.h"

namespace weft::sim {

// Empty: it can. Otherwise the name for which it cannot, with its operations, for people.
std::string FindContradiction(const std::vector<Op>& ops);

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_LINEARIZABILITY_H_
