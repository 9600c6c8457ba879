// From a State to the store's records: the reverse of Loader.

#ifndef WEFT_SERVER_CORE_DUMP_H_
#define WEFT_SERVER_CORE_DUMP_H_

#include <map>
#include <string>

#include "server/core/state.h"

namespace weft {

// Every record that a store with this state holds, by key.
std::map<std::string, std::string> RecordsOf(const State& state);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_DUMP_H_
