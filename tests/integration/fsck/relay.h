// Between daemons and their coordinator: loses, or changes, what the coordinator assigns, so that
// the two are out of step as no fault outside of Weft makes them.

#ifndef WEFT_TESTS_INTEGRATION_FSCK_RELAY_H_
#define WEFT_TESTS_INTEGRATION_FSCK_RELAY_H_

#include <functional>
#include <memory>
#include <string>

#include "grpcpp/server.h"
#include "proto/weft/v1/session.pb.h"

namespace weft {

// Thread-safe. Carries what a daemon itself calls, but not its clients' calls of SegmentService.
class Relay {
 public:
  using Edit = std::function<void(v1::Assignments&)>;

  // Addresses as gRPC has them.
  Relay(const std::string& listen, const std::string& coordinator);
  // Breaks off what is under way.
  ~Relay();

  // Done from now on to all Assignments on their way to a daemon; nullptr: they pass as they are.
  void Set(Edit edit);

 private:
  class Link;

  const std::unique_ptr<Link> link_;
  const std::unique_ptr<grpc::Server> server_;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_FSCK_RELAY_H_
