// The whole C++ SDK of Weft. example.cc shows it in use.

#ifndef WEFT_CLIENT_SDK_WEFT_H_
#define WEFT_CLIENT_SDK_WEFT_H_

#include "client/sdk/client.h"   // IWYU pragma: export
#include "client/sdk/errors.h"   // IWYU pragma: export
#include "client/sdk/handle.h"   // IWYU pragma: export
#include "client/sdk/mapping.h"  // IWYU pragma: export
#include "client/sdk/options.h"  // IWYU pragma: export
#include "client/sdk/types.h"    // IWYU pragma: export

#endif  // WEFT_CLIENT_SDK_WEFT_H_
