#include "server/store/fault_vfs.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <new>
#include <random>
#include <utility>

namespace weft {
namespace {

constexpr size_t kSectorBytes = 512;

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void WriteAt(std::string& image, size_t offset, const std::string& bytes) {
  image.resize(std::max(image.size(), offset + bytes.size()));
  image.replace(offset, bytes.size(), bytes);
}

}  // namespace

struct FaultVfs::Vfs : sqlite3_vfs {
  std::string name;
  sqlite3_vfs* real = nullptr;
  FaultVfs* owner = nullptr;
};

// Allocated by SQLite, with the real file in the bytes after it.
struct FaultVfs::File : sqlite3_file {
  FaultVfs* owner;
  std::string path;

  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  int64_t Size() {
    sqlite3_int64 size = 0;
    real()->pMethods->xFileSize(real(), &size);
    return size;
  }
  std::string Read(int64_t offset, int64_t end) {
    std::string bytes(std::max<int64_t>(0, std::min(end, Size()) - offset), '\0');
    real()->pMethods->xRead(real(), bytes.data(), static_cast<int>(bytes.size()), offset);
    return bytes;
  }
};

struct FaultVfs::Calls {
  static File& Of(sqlite3_file* file) { return *static_cast<File*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return Of(file).real(); }
  static const sqlite3_io_methods* On(sqlite3_file* file) { return Real(file)->pMethods; }

  static int Open(sqlite3_vfs* base, const char* name, sqlite3_file* memory, int flags,
                  int* out_flags) {
    Vfs& vfs = *static_cast<Vfs*>(base);
    File* file = new (memory) File;
    file->pMethods = nullptr;
    file->owner = vfs.owner;
    file->path = name == nullptr ? "" : name;
    const int code = vfs.real->xOpen(vfs.real, name, file->real(), flags, out_flags);
    if (code == SQLITE_OK) {
      file->pMethods = &kMethods;
    } else {
      std::destroy_at(file);
      // SQLite looks at this even after a failure.
      memory->pMethods = nullptr;
    }
    return code;
  }

  static int Close(sqlite3_file* file) {
    const int code = On(file)->xClose(Real(file));
    std::destroy_at(&Of(file));
    return code;
  }

  static int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset) {
    return On(file)->xRead(Real(file), to, size, offset);
  }

  static int Write(sqlite3_file* base, const void* from, int size, sqlite3_int64 offset) {
    File& file = Of(base);
    FaultVfs& owner = *file.owner;
    if (owner.Stop()) return SQLITE_IOERR_WRITE;
    if (const auto code = Take(owner.write_failure_, file.path)) return *code;
    owner.unsynced_[file.path].push_back({offset, std::string(static_cast<const char*>(from), size),
                                          file.Read(offset, offset + size), file.Size()});
    return On(base)->xWrite(Real(base), from, size, offset);
  }

  static int Truncate(sqlite3_file* base, sqlite3_int64 size) {
    File& file = Of(base);
    FaultVfs& owner = *file.owner;
    if (owner.Stop()) return SQLITE_IOERR_TRUNCATE;
    const int64_t old_size = file.Size();
    if (size < old_size) {
      owner.unsynced_[file.path].push_back(
          {size, std::nullopt, file.Read(size, old_size), old_size});
    }
    return On(base)->xTruncate(Real(base), size);
  }

  static int Sync(sqlite3_file* base, int) {
    File& file = Of(base);
    FaultVfs& owner = *file.owner;
    if (owner.Stop()) return SQLITE_IOERR_FSYNC;
    const std::optional<int> failure = Take(owner.sync_failure_, file.path);
    owner.FinishSync(file.path, !failure);
    return failure.value_or(SQLITE_OK);
  }

  static int FileSize(sqlite3_file* file, sqlite3_int64* size) {
    return On(file)->xFileSize(Real(file), size);
  }
  static int Lock(sqlite3_file* file, int level) { return On(file)->xLock(Real(file), level); }
  static int Unlock(sqlite3_file* file, int level) { return On(file)->xUnlock(Real(file), level); }
  static int CheckReservedLock(sqlite3_file* file, int* out) {
    return On(file)->xCheckReservedLock(Real(file), out);
  }
  static int FileControl(sqlite3_file* file, int operation, void* argument) {
    return On(file)->xFileControl(Real(file), operation, argument);
  }
  static int SectorSize(sqlite3_file* file) { return On(file)->xSectorSize(Real(file)); }
  static int DeviceCharacteristics(sqlite3_file* file) {
    return On(file)->xDeviceCharacteristics(Real(file));
  }

  // Version 1: no shared memory, no mapping.
  static constexpr sqlite3_io_methods kMethods = {1,
                                                  Close,
                                                  Read,
                                                  Write,
                                                  Truncate,
                                                  Sync,
                                                  FileSize,
                                                  Lock,
                                                  Unlock,
                                                  CheckReservedLock,
                                                  FileControl,
                                                  SectorSize,
                                                  DeviceCharacteristics,
                                                  nullptr,
                                                  nullptr,
                                                  nullptr,
                                                  nullptr,
                                                  nullptr,
                                                  nullptr};
};

FaultVfs::FaultVfs(const std::string& name) : vfs_(new Vfs) {
  sqlite3_vfs* real = sqlite3_vfs_find(nullptr);
  static_cast<sqlite3_vfs&>(*vfs_) = *real;
  vfs_->name = name;
  vfs_->real = real;
  vfs_->owner = this;
  vfs_->zName = vfs_->name.c_str();
  vfs_->szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  vfs_->xOpen = Calls::Open;
  sqlite3_vfs_register(vfs_, 0);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(vfs_);
  delete vfs_;
}

void FaultVfs::FailNextWrite(const std::string& suffix, int code) {
  write_failure_ = Failure{suffix, code};
}

void FaultVfs::FailNextSync(const std::string& suffix) {
  sync_failure_ = Failure{suffix, SQLITE_IOERR_FSYNC};
}

bool FaultVfs::Stop() {
  if (operations_left_ > 0) --operations_left_;
  return operations_left_ == 0;
}

std::optional<int> FaultVfs::Take(std::optional<Failure>& failure, const std::string& path) {
  if (!failure || !path.ends_with(failure->suffix)) return std::nullopt;
  return std::exchange(failure, std::nullopt)->code;
}

// By writes in ascending order, or by cutting it off.
bool FaultVfs::IsWrittenAgain(const Change& change, const Change* later, const Change* end) {
  int64_t missing = change.offset;
  const std::string& bytes = change.bytes ? *change.bytes : change.old_bytes;
  const int64_t change_end = change.offset + static_cast<int64_t>(bytes.size());
  for (; later != end; ++later) {
    if (later->forgotten || later->offset > missing) continue;
    if (!later->bytes) return true;
    missing = std::max(missing, later->offset + static_cast<int64_t>(later->bytes->size()));
    if (missing >= change_end) return true;
  }
  return false;
}

void FaultVfs::FinishSync(const std::string& path, bool ok) {
  std::vector<Change>& changes = unsynced_[path];
  if (!ok) {
    for (Change& change : changes) change.forgotten = change.bytes.has_value();
    return;
  }
  std::vector<Change> left;
  const Change* const end = changes.data() + changes.size();
  for (const Change& change : changes) {
    if (change.forgotten && !IsWrittenAgain(change, &change + 1, end)) left.push_back(change);
  }
  changes = std::move(left);
}

std::string FaultVfs::DurableImage(const std::string& path, const std::vector<Change>& changes) {
  std::string image = ReadFile(path);
  for (auto change = changes.rbegin(); change != changes.rend(); ++change) {
    WriteAt(image, change->offset, change->old_bytes);
    image.resize(change->old_size);
  }
  return image;
}

std::string FaultVfs::ImageAfterCut(const std::string& path, const std::vector<Change>& changes,
                                    uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string image = DurableImage(path, changes);
  for (const Change& change : changes) {
    // All of it, none of it, or some of its sectors.
    const uint64_t fate = random() % 4;
    if (fate == 0) continue;
    if (!change.bytes) {
      if (fate > 1) image.resize(std::min<size_t>(image.size(), change.offset));
      continue;
    }
    for (size_t begin = 0; begin < change.bytes->size(); begin += kSectorBytes) {
      if (fate == 1 && random() % 2 == 0) continue;
      WriteAt(image, change.offset + begin, change.bytes->substr(begin, kSectorBytes));
    }
  }
  return image;
}

void FaultVfs::CutPower(uint64_t seed) {
  for (const auto& [path, changes] : unsynced_) {
    const std::string image = ImageAfterCut(path, changes, seed++);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << image;
  }
  unsynced_.clear();
  operations_left_ = -1;
}

}  // namespace weft
