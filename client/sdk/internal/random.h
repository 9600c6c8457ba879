// Randomness from the kernel: a process and its forked child never draw the same.

#ifndef WEFT_CLIENT_SDK_INTERNAL_RANDOM_H_
#define WEFT_CLIENT_SDK_INTERNAL_RANDOM_H_

#include <string>

namespace weft::sdk {

// 128 random bits in hexadecimal. The coordinator takes requests of one principal with
// equal ids for the same request, so these must never repeat.
std::string NewRequestId();

// Uniform in [0, 1).
double RandomFraction();

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_RANDOM_H_
