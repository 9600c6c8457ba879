// The whole of `weft`, but for main.

#ifndef WEFT_CLIENT_CLI_APP_H_
#define WEFT_CLIENT_CLI_APP_H_

#include <ostream>

namespace weft::cli {

// Does what the command line asks for. Results go to `out`; an error is one line on `err`.
// Returns the exit status: see exit_codes.h. Blocks until it is done.
int Run(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_APP_H_
