#include "server/store/sqlite_wal.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

// The greatest page of SQLite: its file layer does not take 128 KiB and more at once.
constexpr sqlite3_int64 kChunkBytes = 65536;

struct FreeFilename {
  void operator()(const char* name) const { sqlite3_free_filename(const_cast<char*>(name)); }
};

// A file as SQLite's own layer opens it.
class VfsFile {
 public:
  explicit VfsFile(const sqlite3_vfs& vfs)
      : memory_(new std::max_align_t[vfs.szOsFile / sizeof(std::max_align_t) + 1]()) {}
  VfsFile(const VfsFile&) = delete;
  VfsFile& operator=(const VfsFile&) = delete;
  ~VfsFile() {
    if (raw()->pMethods != nullptr) raw()->pMethods->xClose(raw());
  }

  sqlite3_file* raw() { return reinterpret_cast<sqlite3_file*>(memory_.get()); }
  const sqlite3_io_methods* operator->() { return raw()->pMethods; }

 private:
  std::unique_ptr<std::max_align_t[]> memory_;
};

// SQLite's code of the first call that fails.
int Rewrite(VfsFile& file) {
  sqlite3_int64 size = 0;
  if (const int code = file->xFileSize(file.raw(), &size); code != SQLITE_OK) return code;
  std::vector<char> chunk(std::min(size, kChunkBytes));
  for (sqlite3_int64 offset = 0; offset < size;) {
    const int length = static_cast<int>(std::min(size - offset, kChunkBytes));
    int code = file->xRead(file.raw(), chunk.data(), length, offset);
    if (code == SQLITE_OK) code = file->xWrite(file.raw(), chunk.data(), length, offset);
    if (code != SQLITE_OK) return code;
    offset += length;
  }
  return size == 0 ? SQLITE_OK : file->xSync(file.raw(), SQLITE_SYNC_NORMAL);
}

}  // namespace

absl::Status RewriteWalDurably(const std::string& path, const std::string& vfs_name) {
  const auto error = [&path](int code, const char* doing) {
    return absl::UnavailableError(absl::StrCat(path, "-wal: ", doing, ": ", sqlite3_errstr(code),
                                               " (SQLite code ", code, ")"));
  };
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name.empty() ? nullptr : vfs_name.c_str());
  const std::string wal = path + "-wal";
  // In the form that the layer's open demands.
  const std::unique_ptr<const char, FreeFilename> name(
      sqlite3_create_filename(path.c_str(), (path + "-journal").c_str(), wal.c_str(), 0, nullptr));
  if (vfs == nullptr || name == nullptr) return error(SQLITE_NOMEM, "open");

  int exists = 0;
  int code = vfs->xAccess(vfs, wal.c_str(), SQLITE_ACCESS_EXISTS, &exists);
  if (code != SQLITE_OK) return error(code, "access");
  if (exists == 0) return absl::OkStatus();

  VfsFile file(*vfs);
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL;
  code = vfs->xOpen(vfs, sqlite3_filename_wal(name.get()), file.raw(), flags, &flags);
  if (code != SQLITE_OK) return error(code, "open");
  code = Rewrite(file);
  return code == SQLITE_OK ? absl::OkStatus() : error(code, "rewrite");
}

}  // namespace weft
