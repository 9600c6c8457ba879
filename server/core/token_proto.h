// Tokens as messages have them.

#ifndef WEFT_SERVER_CORE_TOKEN_PROTO_H_
#define WEFT_SERVER_CORE_TOKEN_PROTO_H_

#include "proto/weft/v1/types.pb.h"
#include "server/core/types.h"

namespace weft {

inline v1::Token ToProto(const Token& token) {
  v1::Token proto;
  proto.set_epoch(token.epoch);
  proto.set_counter(token.counter);
  return proto;
}

inline Token FromProto(const v1::Token& token) { return {token.epoch(), token.counter()}; }

}  // namespace weft

#endif  // WEFT_SERVER_CORE_TOKEN_PROTO_H_
