#include "server/store/store_test_util.h"

#include <utility>

namespace weft {

Transaction Put(std::string key, std::string value) {
  return {.compares = {}, .mutations = {{std::move(key), std::move(value)}}};
}

Transaction Delete(std::string key) {
  return {.compares = {}, .mutations = {{std::move(key), std::nullopt}}};
}

std::vector<KeyValue> ScanAll(Store& store, std::string_view prefix) {
  std::vector<KeyValue> records;
  const auto revision = store.Scan(prefix, [&](const KeyValue& record) {
    records.push_back(record);
    return absl::OkStatus();
  });
  WEFT_EXPECT_OK(revision);
  return records;
}

std::vector<std::string> KeysOf(Store& store, std::string_view prefix) {
  std::vector<std::string> keys;
  for (KeyValue& record : ScanAll(store, prefix)) keys.push_back(std::move(record.key));
  return keys;
}

std::string ValueOf(Store& store, std::string_view key) {
  for (KeyValue& record : ScanAll(store, key)) {
    if (record.key == key) return std::move(record.value);
  }
  return "(none)";
}

}  // namespace weft
