#include "server/store/store_workload.h"

#include <random>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/core/check.h"

namespace weft {
namespace {

constexpr char kCountKey[] = "/test/count";
constexpr uint64_t kKeys = 100;

// Mostly a few hundred bytes, as records are; sometimes many pages.
std::string RandomValue(std::mt19937_64& random) {
  const size_t size = random() % 20 == 0 ? random() % 100'000 : random() % 400;
  std::string value = absl::StrCat(random(), "-");
  value.resize(size, static_cast<char>(random()));
  return value;
}

}  // namespace

Transaction WorkloadTransaction(uint64_t seed, uint64_t number) {
  std::seed_seq seeds{seed, number};
  std::mt19937_64 random(seeds);
  Transaction transaction;
  transaction.mutations.push_back({kCountKey, absl::StrCat(number)});
  std::set<std::string> keys;
  for (uint64_t i = random() % 8 + 1; i > 0; --i) {
    keys.insert(absl::StrCat("/test/key/", random() % kKeys));
  }
  for (const std::string& key : keys) {
    Mutation& mutation = transaction.mutations.emplace_back(Mutation{key, std::nullopt});
    if (random() % 4 != 0) mutation.value = RandomValue(random);
  }
  return transaction;
}

const Contents& WorkloadModel::After(uint64_t count) {
  WEFT_CHECK(count >= count_);
  while (count_ < count) {
    for (Mutation& mutation : WorkloadTransaction(seed_, ++count_).mutations) {
      if (mutation.value) {
        contents_[mutation.key] = *std::move(mutation.value);
      } else {
        contents_.erase(mutation.key);
      }
    }
  }
  return contents_;
}

absl::StatusOr<Contents> ReadContents(Store& store) {
  Contents contents;
  const absl::StatusOr<int64_t> revision = store.Scan("", [&](const KeyValue& record) {
    contents.emplace(record.key, record.value);
    return absl::OkStatus();
  });
  if (!revision.ok()) return revision.status();
  return contents;
}

uint64_t WorkloadCount(const Contents& contents) {
  const auto found = contents.find(kCountKey);
  uint64_t count = 0;
  if (found != contents.end() && !absl::SimpleAtoi(found->second, &count)) return UINT64_MAX;
  return count;
}

}  // namespace weft
