// The coordinator's whole API on its addresses.

#ifndef WEFT_SERVER_RPC_API_SERVER_H_
#define WEFT_SERVER_RPC_API_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/changes.h"
#include "server/core/state.h"
#include "server/rpc/calls.h"
#include "server/rpc/server.h"

namespace weft {

// The services of weft.v1, with health and reflection. OnLoaded and its like are to be
// called as RunnerObserver's, on the executor.
class ApiServer {
 public:
  // Listens; answers begin once the executor runs. Errors as StartServer's.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(const ServerOptions& options,
                                                          const ServiceDeps& deps);

  // REQUIRES: the executor has stopped; so every call is answered, or will be refused.
  ~ApiServer();

  // The state is served: health says so. Hosts that were connected have to register again,
  // since what they were sent, or what was kept only in memory, may be gone.
  void OnLoaded(const State& state);
  void OnUnloaded();
  // Sessions go on: hosts are told of all their assignments.
  void OnLoadedAgain(const State& state);
  // Another coordinator leads, or will: streams end with NOT_LEADER. To be called once every
  // command is refused.
  void OnDeposed();
  void OnCommitted(const State& state, const Changes& changes, uint64_t revision);

  // As ServerOptions::listen, with the ports that were bound.
  const std::vector<std::string>& addresses() const;

 private:
  struct Parts;
  explicit ApiServer(std::unique_ptr<Parts> parts);

  const std::unique_ptr<Parts> parts_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_API_SERVER_H_
