// What keeps a host from giving out its fabric memory with the kernel module.

#ifndef WEFT_CLIENT_CLI_DOCTOR_H_
#define WEFT_CLIENT_CLI_DOCTOR_H_

#include <string>
#include <vector>

namespace weft::cli {

// Something that is not as it should be, and what to do about it.
struct Finding {
  // `module`, or a device's name: dax0.0.
  std::string object;
  std::string problem;
  std::string remedy;

  friend bool operator==(const Finding&, const Finding&) = default;
};

// Looks at /sys and /dev below `root` ("" for this host's own). Changes nothing. Needs no
// weftd and no privilege.
std::vector<Finding> Examine(const std::string& root);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_DOCTOR_H_
