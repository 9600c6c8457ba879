// The version of Weft's programs.

#ifndef WEFT_SERVER_CORE_VERSION_H_
#define WEFT_SERVER_CORE_VERSION_H_

namespace weft {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace weft

#endif  // WEFT_SERVER_CORE_VERSION_H_
