// Tokens as records have them, and for people.

#ifndef WEFT_TESTS_SIM_TOKEN_TEXT_H_
#define WEFT_TESTS_SIM_TOKEN_TEXT_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "proto/weft/v1/types.pb.h"
#include "server/core/types.h"

namespace weft::sim {

inline Token TokenOf(const v1::Token& token) { return {token.epoch(), token.counter()}; }

inline std::string Text(const Token& token) {
  return absl::StrCat(token.epoch, ".", token.counter);
}

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_TOKEN_TEXT_H_
