// One Open or Refresh under way, for the sources of GrantKeeper.

#ifndef WEFT_SERVER_NODE_GRANT_ACQUIRE_H_
#define WEFT_SERVER_NODE_GRANT_ACQUIRE_H_

#include <string>

#include "server/node/grant_keeper.h"

namespace weft {

struct GrantKeeper::Acquire {
  ConnectionId connection = 0;
  std::string principal;
  std::string segment;
  v1::AccessMode mode = v1::READ_ONLY;
  v1::OpenRequest open;
  Reply<v1::OpenReply> open_reply;  // or:
  v1::RefreshRequest refresh;
  Reply<v1::RefreshReply> refresh_reply;
  v1::AcquireGrantResponse response;
  // GrantKeeper's, when the coordinator was asked.
  uint64_t trusted = 0;

  void Fail(const absl::Status& status);
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_GRANT_ACQUIRE_H_
