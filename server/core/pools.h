// Pools: see PoolService in proto/weft/v1/pool.proto for what each call does.

#ifndef WEFT_SERVER_CORE_POOLS_H_
#define WEFT_SERVER_CORE_POOLS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/pool.pb.h"
#include "server/core/state.h"

namespace weft {

// A failed command changes neither the state nor `changes`. This holds for every command
// of server/core.
absl::StatusOr<v1::Pool> CreatePool(State& state, const Context& context,
                                    const v1::CreatePoolRequest& request, Changes& changes);
absl::Status DeletePool(State& state, const Context& context, const v1::DeletePoolRequest& request,
                        Changes& changes);
absl::StatusOr<v1::Pool> AddDevice(State& state, const Context& context,
                                   const v1::AddDeviceRequest& request, Changes& changes);

absl::StatusOr<v1::Pool> GetPool(const State& state, const v1::GetPoolRequest& request);
absl::StatusOr<v1::ListPoolsResponse> ListPools(const State& state,
                                                const v1::ListPoolsRequest& request);

// The bytes of one pool by state.
v1::Usage UsageOf(const State& state, const PoolState& pool);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_POOLS_H_
