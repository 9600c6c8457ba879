// What a host holds, as it says in Register and to fsck.

#ifndef WEFT_SERVER_NODE_HELD_GRANTS_H_
#define WEFT_SERVER_NODE_HELD_GRANTS_H_

#include <vector>

#include "proto/weft/v1/session.pb.h"

namespace weft {

v1::HeldGrant ToHeld(const v1::GrantAssignment& assignment);

// All of them, in the same order. Where they are is said of the last only, which are the newest, as
// far as a message has room.
std::vector<v1::HeldGrant> ToHeld(const std::vector<const v1::GrantAssignment*>& grants);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_HELD_GRANTS_H_
