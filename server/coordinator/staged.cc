#include "server/coordinator/staged.h"

#include <utility>

namespace weft {
namespace {

using Entry = std::pair<const std::string, std::optional<std::string>>;

size_t SizeOf(const Entry& entry) { return SizeBytes(Mutation{entry.first, entry.second}); }

// What a transaction grows by when `later` joins `earlier`. A key that both mutate counts
// once: nearly every command rewrites the cluster record.
struct Growth {
  size_t mutations = 0;
  // Modulo 2^64: a key's later value may be shorter.
  size_t bytes = 0;
};

Growth GrowthBy(const Changes& earlier, const Changes& later) {
  Growth growth;
  for (const Entry& entry : later.mutations) {
    growth.bytes += SizeOf(entry);
    const auto replaced = earlier.mutations.find(entry.first);
    if (replaced == earlier.mutations.end()) {
      ++growth.mutations;
    } else {
      growth.bytes -= SizeOf(*replaced);
    }
  }
  return growth;
}

}  // namespace

bool Staged::Fits(const Changes& later) const {
  if (changes_.mutations.empty()) return true;
  const Growth growth = GrowthBy(changes_, later);
  return changes_.mutations.size() + growth.mutations <= limits_.max_mutations &&
         size_bytes_ + growth.bytes <= limits_.max_bytes;
}

void Staged::Append(Changes later, uint64_t revision) {
  size_bytes_ += GrowthBy(changes_, later).bytes;
  changes_.Append(std::move(later));
  revision_ = revision;
}

}  // namespace weft
