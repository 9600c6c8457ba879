// What the tests of the stores share.

#ifndef WEFT_SERVER_STORE_STORE_TEST_UTIL_H_
#define WEFT_SERVER_STORE_STORE_TEST_UTIL_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "server/store/store.h"

namespace weft {

inline const absl::Status& GetStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& GetStatus(const absl::StatusOr<T>& result) {
  return result.status();
}

#define WEFT_EXPECT_OK(expression) EXPECT_EQ(::weft::GetStatus(expression), absl::OkStatus())
#define WEFT_ASSERT_OK(expression) ASSERT_EQ(::weft::GetStatus(expression), absl::OkStatus())

Transaction Put(std::string key, std::string value);
Transaction Delete(std::string key);

// The records under `prefix`. A failed scan fails the test.
std::vector<KeyValue> ScanAll(Store& store, std::string_view prefix = "");

// The keys alone.
std::vector<std::string> KeysOf(Store& store, std::string_view prefix = "");

// The value of `key`, or "(none)".
std::string ValueOf(Store& store, std::string_view key);

}  // namespace weft

#endif  // WEFT_SERVER_STORE_STORE_TEST_UTIL_H_
