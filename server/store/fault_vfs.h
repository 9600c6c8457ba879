// SQLite's view of files, with failing disks and power cuts.

#ifndef WEFT_SERVER_STORE_FAULT_VFS_H_
#define WEFT_SERVER_STORE_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weft {

// A layer over SQLite's default one that remembers what was written since a file's last
// sync. Does not sync the real files. Creating and deleting files is taken for durable.
// Not thread-safe.
class FaultVfs {
 public:
  // Registers the layer under `name`.
  explicit FaultVfs(const std::string& name);
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  // REQUIRES: all files opened through it are closed.
  ~FaultVfs();

  // The next write of a file whose name ends in `suffix` returns `code` (SQLITE_FULL, ...).
  void FailNextWrite(const std::string& suffix, int code);
  // The next sync of such a file fails. What it should have written stays readable, but
  // only a sync after writing it again, whole, makes it durable: as on Linux.
  void FailNextSync(const std::string& suffix);
  // All writes, truncations and syncs after the next `count` fail: the machine is dead.
  void StopAfter(int count) { operations_left_ = count; }
  bool stopped() const { return operations_left_ == 0; }

  // Gives the files what a disk could hold after the power failed now: of everything not
  // synced, each 512-byte sector of each write may be there or not, by `seed`. Then the
  // machine runs again. REQUIRES: all files are closed.
  void CutPower(uint64_t seed);

 private:
  // What changed one file: a write of `bytes`, or a truncation to `offset`.
  struct Change {
    int64_t offset = 0;
    std::optional<std::string> bytes;
    // The file from `offset` on, as far as the change reaches (truncation: to its end).
    std::string old_bytes;
    int64_t old_size = 0;
    // A sync failed after this write: only writing the bytes again makes them durable.
    bool forgotten = false;
  };
  struct Failure {
    std::string suffix;
    int code = SQLITE_OK;
  };
  struct Vfs;
  struct File;
  struct Calls;

  bool Stop();
  void FinishSync(const std::string& path, bool ok);
  static bool IsWrittenAgain(const Change& change, const Change* later, const Change* end);
  // The code of `failure` if it is meant for `path`; it happens once.
  static std::optional<int> Take(std::optional<Failure>& failure, const std::string& path);
  static std::string DurableImage(const std::string& path, const std::vector<Change>& changes);
  static std::string ImageAfterCut(const std::string& path, const std::vector<Change>& changes,
                                   uint64_t seed);

  Vfs* vfs_;
  // By path: what no sync has made durable, oldest first.
  std::map<std::string, std::vector<Change>> unsynced_;
  std::optional<Failure> write_failure_;
  std::optional<Failure> sync_failure_;
  int operations_left_ = -1;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_FAULT_VFS_H_
