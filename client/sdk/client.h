// A connection to the weftd of this host.

#ifndef WEFT_CLIENT_SDK_CLIENT_H_
#define WEFT_CLIENT_SDK_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/handle.h"
#include "client/sdk/options.h"
#include "client/sdk/types.h"

namespace weft::sdk {

class SegmentClient;
class Session;

// Thread-safe. Segments are named `<pool>/<segment>`.
//
// Every call blocks, for at most ClientOptions::call_timeout. Until then it is repeated,
// with backoff and with the same request id, when weftd or the coordinator cannot be
// reached, has too much to do, or does not know how an attempt ended; so a mutation is
// done at most once. Errors common to all calls: BAD_NAME (INVALID_ARGUMENT),
// NOT_ALLOWED (PERMISSION_DENIED), UNREACHABLE and OUTCOME_UNKNOWN (UNAVAILABLE, or
// DEADLINE_EXCEEDED when an answer did not come in time), OVERLOADED
// (RESOURCE_EXHAUSTED). See errors.h for how a program reads them.
//
// When weftd restarts, the client connects again by itself and claims its handles;
// memory stays mapped and usable meanwhile. A handle whose grant is gone by then becomes
// stale, which on_revoke is told.
//
// After fork, the child may use the memory of Mappings that it inherited and destroy SDK
// objects (which tells weftd nothing); every call fails with NO_IDENTITY
// (UNAUTHENTICATED). It makes a Client of its own for more. Weftd counts the parent's
// handles as open until the child has exited too.
class Client {
 public:
  // Errors: UNREACHABLE (UNAVAILABLE: names the socket); VERSION_TOO_NEW.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(ClientOptions options = {});

  // Handles and Mappings may outlive the Client: they keep the connection open, but
  // on_revoke is not called any more: a call under way is waited for.
  // REQUIRES: not called by on_revoke.
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Allocates and names a segment of zeros. Durable when it returns. `size_bytes` is a
  // positive multiple of 2 MiB. Errors: BAD_SIZE, BAD_ARGUMENT (INVALID_ARGUMENT);
  // POOL_NOT_FOUND; ALREADY_EXISTS; POOL_FULL, FRAGMENTED (RESOURCE_EXHAUSTED).
  absl::StatusOr<Segment> CreateSegment(std::string_view name, uint64_t size_bytes,
                                        const CreateOptions& options = {});

  // Errors: SEGMENT_NOT_FOUND.
  absl::StatusOr<Segment> GetSegment(std::string_view name);

  // Makes a segment `size_bytes` long, which is no error if it is already. Its bytes stay
  // where they are and Mappings stay valid; open handles see the new size after
  // Handle::Refresh. Errors: as CreateSegment; SEGMENT_NOT_FOUND; BAD_SIZE (it is longer);
  // MODE_NOT_ALLOWED (it is being deleted, or lost).
  absl::StatusOr<Segment> GrowSegment(std::string_view name, uint64_t size_bytes);

  // Deletes a segment that nobody holds; see DeleteOptions. Nobody gets its bytes before
  // they are zero. Errors: SEGMENT_NOT_FOUND; IN_USE (FAILED_PRECONDITION: names the
  // holders).
  absl::Status DeleteSegment(std::string_view name, const DeleteOptions& options = {});

  // Opens a segment for mapping. Errors: SEGMENT_NOT_FOUND; MODE_NOT_ALLOWED, HELD,
  // NOT_COHERENT, STALE_GENERATION, DEVICE_MISSING, DEVICE_MISMATCH (FAILED_PRECONDITION);
  // CONTENTS_LOST, BACKING_FILE_DAMAGED (DATA_LOSS); QUOTA (RESOURCE_EXHAUSTED: of
  // handles, or of this process's file descriptors).
  absl::StatusOr<Handle> Open(std::string_view name, AccessMode mode,
                              const OpenOptions& options = {});

  // For programs that call weftd's gRPC services themselves: the socket's address, and
  // the ticket that goes into the metadata `weft-ticket`. Both change when weftd restarts.
  struct Endpoint {
    std::string grpc_address;
    std::string ticket;
    std::string host_id;
    std::string principal;  // What weftd takes this process for: `uid:<n>@<host>`.
  };
  absl::StatusOr<Endpoint> GetEndpoint();

 private:
  Client(std::shared_ptr<Session> session, std::unique_ptr<SegmentClient> segments);

  const std::shared_ptr<Session> session_;
  const std::unique_ptr<SegmentClient> segments_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_CLIENT_H_
