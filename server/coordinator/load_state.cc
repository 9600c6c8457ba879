#include "server/coordinator/load_state.h"

#include <utility>

#include "server/core/keys.h"
#include "server/core/load.h"
#include "server/store/schema.h"

namespace weft {

Transaction ToTransaction(const Changes& changes) {
  Transaction transaction;
  transaction.mutations.reserve(changes.mutations.size());
  for (const auto& [key, value] : changes.mutations) {
    transaction.mutations.push_back({key, value});
  }
  return transaction;
}

absl::StatusOr<std::unique_ptr<State>> LoadState(Store& store, const CoreOptions& options,
                                                 const Now& now) {
  if (absl::Status status = store.Recover(); !status.ok()) return status;
  if (absl::Status status = EnsureSchema(store); !status.ok()) return status;
  Loader loader(options);
  const auto add = [&](const KeyValue& record) { return loader.Add(record.key, record.value); };
  if (absl::Status status = store.Scan(keys::kRoot, add).status(); !status.ok()) return status;

  Changes changes;
  absl::StatusOr<std::unique_ptr<State>> state = std::move(loader).Finish(now, &changes);
  if (!state.ok()) return state;
  if (changes.mutations.empty()) return state;
  if (absl::Status status = store.Commit(ToTransaction(changes)).status(); !status.ok()) {
    return status;
  }
  return state;
}

}  // namespace weft
