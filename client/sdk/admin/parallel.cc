#include "client/sdk/admin/parallel.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace weft::sdk {

void InParallel(size_t count, size_t at_a_time, absl::FunctionRef<void(size_t)> body) {
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (size_t n = std::min(count, at_a_time); n > 0; --n) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < count; i = next++) body(i);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace weft::sdk
