// What a commit costs, as a multiple of the least that a durable write can cost on the
// same disk in the same run. Run on an idle machine:
//   bazel run -c opt //server/store:store_benchmark
// The folder is $TEST_TMPDIR, or /var/tmp: not a tmpfs, where a sync costs nothing.

#include <benchmark/benchmark.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/platform/linux/temp_dir.h"
#include "server/store/sqlite_store.h"
#include "server/store/store.h"

namespace weft {
namespace {

constexpr char kFloorName[] = "BM_PwriteAndDatasync4KiB";
constexpr size_t kValueBytes = 256;

std::string Parent() {
  const char* const given = getenv("TEST_TMPDIR");
  return given == nullptr ? "/var/tmp" : given;
}

std::string Key(uint64_t number) {
  return absl::StrCat("/weft/v1/segments/", absl::Dec(number, absl::kZeroPad12));
}

// Writes the same 1 MiB over and over, as a WAL in its steady state does.
void BM_PwriteAndDatasync4KiB(benchmark::State& state) {
  const TempDir folder(Parent());
  std::string path = folder.File("floorXXXXXX");
  const int fd = mkstemp(path.data());
  const std::vector<char> file(1 << 20, 'x');
  bool ok = pwrite(fd, file.data(), file.size(), 0) == static_cast<ssize_t>(file.size()) &&
            fsync(fd) == 0;
  off_t offset = 0;
  for (auto _ : state) {
    ok = ok && pwrite(fd, file.data(), 4096, offset) == 4096 && fdatasync(fd) == 0;
    offset = (offset + 4096) % file.size();
  }
  if (!ok) state.SkipWithError("write failed");
  close(fd);
}
BENCHMARK(BM_PwriteAndDatasync4KiB)->UseRealTime();

// Commits range(0) puts at a time into a store of range(1) records.
void BM_Commit(benchmark::State& state) {
  const TempDir folder(Parent());
  const auto store = SqliteStore::Open({.path = folder.File("store.db"), .vfs = ""});
  if (!store.ok()) return state.SkipWithError(store.status().ToString().c_str());
  const uint64_t records = state.range(1);
  for (uint64_t first = 0; first < records; first += 1000) {
    Transaction transaction;
    for (uint64_t i = first; i < first + 1000; ++i) {
      transaction.mutations.push_back({Key(i), std::string(kValueBytes, 'v')});
    }
    if (!(*store)->Commit(transaction).ok()) return state.SkipWithError("fill failed");
  }
  uint64_t next = 0;
  for (auto _ : state) {
    Transaction transaction;
    for (int64_t i = 0; i < state.range(0); ++i) {
      // Scattered over all records; the stride shares no factor with their number.
      next = (next + 7919) % records;
      transaction.mutations.push_back({Key(next), std::string(kValueBytes, 'w')});
    }
    if (!(*store)->Commit(transaction).ok()) return state.SkipWithError("commit failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Commit)->ArgsProduct({{1, 8, 32}, {10'000, 100'000}})->UseRealTime();

void BM_ScanAll(benchmark::State& state) {
  const TempDir folder(Parent());
  const auto store = SqliteStore::Open({.path = folder.File("store.db"), .vfs = ""});
  if (!store.ok()) return state.SkipWithError(store.status().ToString().c_str());
  for (int64_t first = 0; first < state.range(0); first += 1000) {
    Transaction transaction;
    for (int64_t i = first; i < first + 1000; ++i) {
      transaction.mutations.push_back({Key(i), std::string(kValueBytes, 'v')});
    }
    if (!(*store)->Commit(transaction).ok()) return state.SkipWithError("fill failed");
  }
  for (auto _ : state) {
    size_t bytes = 0;
    const auto revision = (*store)->Scan("", [&](const KeyValue& record) {
      bytes += record.value.size();
      return absl::OkStatus();
    });
    if (!revision.ok()) return state.SkipWithError("scan failed");
    benchmark::DoNotOptimize(bytes);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ScanAll)->Arg(300'000)->UseRealTime()->Unit(benchmark::kMillisecond);

// The usual table, and after it every commit as a multiple of the floor.
class RatioReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.error_occurred) continue;
      const std::string name = run.benchmark_name();
      if (name.starts_with(kFloorName)) floor_ = run.GetAdjustedRealTime();
      if (name.starts_with("BM_Commit")) commits_.push_back({name, run.GetAdjustedRealTime()});
    }
  }

  void Finalize() override {
    ConsoleReporter::Finalize();
    if (floor_ == 0) return;
    for (const Commit& commit : commits_) {
      GetOutputStream() << commit.name << ": " << commit.nanoseconds / floor_
                        << " x pwrite 4 KiB + fdatasync\n";
    }
  }

 private:
  struct Commit {
    std::string name;
    double nanoseconds;
  };

  double floor_ = 0;
  std::vector<Commit> commits_;
};

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  weft::RatioReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return 0;
}
