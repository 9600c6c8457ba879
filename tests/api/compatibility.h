// What a change of an API would break.

#ifndef WEFT_TESTS_API_COMPATIBILITY_H_
#define WEFT_TESTS_API_COMPATIBILITY_H_

#include <string>
#include <vector>

#include "google/protobuf/descriptor.pb.h"

namespace weft {

// One line for each thing of `before` that a program built against it would miss or
// misread in `after`: messages, fields, enum values, services and calls that are gone, or
// that have another number, name, type, label or oneof. Additions are no such thing.
std::vector<std::string> IncompatibleChanges(const google::protobuf::FileDescriptorSet& before,
                                             const google::protobuf::FileDescriptorSet& after);

}  // namespace weft

#endif  // WEFT_TESTS_API_COMPATIBILITY_H_
