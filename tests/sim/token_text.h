// Tokens for people.

#ifndef WEFT_TESTS_SIM_TOKEN_TEXT_H_
#define WEFT_TESTS_SIM_TOKEN_TEXT_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "server/core/types.h"

namespace weft::sim {

inline std::string Text(const Token& token) {
  return absl::StrCat(token.epoch, ".", token.counter);
}

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_TOKEN_TEXT_H_
