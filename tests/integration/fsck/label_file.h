// The label of an emulated device, read and written behind its daemons' backs.

#ifndef WEFT_TESTS_INTEGRATION_FSCK_LABEL_FILE_H_
#define WEFT_TESTS_INTEGRATION_FSCK_LABEL_FILE_H_

#include <string>

#include "server/node/label.h"

namespace weft {

// REQUIRES: its copies make a good label.
Label ReadLabelFile(const std::string& path);
// Both copies, as `label` is.
void WriteLabelFile(const std::string& path, const Label& label);

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_FSCK_LABEL_FILE_H_
