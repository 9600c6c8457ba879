// What there is, as the API, the coordinator's store and the devices themselves tell it.

#ifndef WEFT_TESTS_SOAK_KILL_OBSERVER_H_
#define WEFT_TESTS_SOAK_KILL_OBSERVER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/sdk/admin/rpc_client.h"
#include "proto/weft/v1/event.pb.h"
#include "proto/weft/v1/segment.pb.h"
#include "tests/soak/kill/checker.h"

namespace weft::soak {

absl::StatusOr<std::vector<v1::Segment>> ListSegments(sdk::RpcClient& admin);
// Those after `after_revision`.
absl::StatusOr<std::vector<v1::Event>> ListEvents(sdk::RpcClient& admin, uint64_t after_revision);

// Who has which extents, segments and scrubs, according to the store of a coordinator that
// does not run. Reads a copy: the store stays as the coordinator left it.
absl::StatusOr<std::vector<Claim>> ReadStoredClaims(const std::string& store_path);

absl::StatusOr<std::vector<std::byte>> ReadDevice(const std::string& path);

}  // namespace weft::soak

#endif  // WEFT_TESTS_SOAK_KILL_OBSERVER_H_
