// A rule for the values of all command line options.

#ifndef WEFT_SERVER_PLATFORM_OPTION_VALUES_H_
#define WEFT_SERVER_PLATFORM_OPTION_VALUES_H_

#include <CLI/CLI.hpp>
#include <string>

namespace weft {

// Has `app` refuse a value that begins with "--": in `--advertise= --insecure` (a variable of the
// shell was empty, say) CLI11 takes the second option for the value of the first. To be called
// once all options are added.
inline void RefuseOptionsAsValues(CLI::App& app) {
  const CLI::Validator no_option(
      [](const std::string& value) {
        return value.starts_with("--")
                   ? "\"" + value + "\" is no value: the option before it needs one"
                   : "";
      },
      "");
  for (CLI::Option* const option : app.get_options()) {
    if (option->get_items_expected_min() > 0) option->check(no_option);
  }
}

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_OPTION_VALUES_H_
