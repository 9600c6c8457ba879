#include "server/platform/linux/file_device.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/sdk/cache_ops.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/ranges.h"
#include "server/platform/linux/bus_guard.h"
#include "server/platform/linux/emulated_file.h"
#include "server/platform/linux/emulated_poison.h"
#include "server/platform/linux/errno_status.h"

namespace weft {
namespace {

absl::Status CheckIsCharacterDevice(int fd, const DaxInfo& info) {
  struct stat st;
  if (fstat(fd, &st) != 0) return ErrnoError(errno, "fstat", info.path);
  if (S_ISCHR(st.st_mode)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                   absl::StrCat(info.path, " is not a character device"));
}

absl::Status CheckBehind(int fd, const DaxInfo& info) {
  return info.kind == DeviceKind::kEmulated ? CheckEmulatedFile(fd, info.path, info.size)
                                            : CheckIsCharacterDevice(fd, info);
}

absl::Status FaultError(const DaxInfo& info, uint64_t offset, bool hardware) {
  const std::string where = absl::StrCat(info.name, " at offset ", offset);
  if (hardware) {
    return MakeError(absl::StatusCode::kDataLoss, v1::POISONED,
                     absl::StrCat(where, ": the memory is bad (SIGBUS, BUS_MCEERR_AR)"));
  }
  if (info.kind == DeviceKind::kEmulated) {
    return MakeError(
        absl::StatusCode::kDataLoss, v1::BACKING_FILE_DAMAGED,
        absl::StrCat(where, ": ", info.path, " got shorter, or its file system is full (SIGBUS)"));
  }
  // The kernel also says so of a page that it took away when the memory failed before.
  return MakeError(absl::StatusCode::kDataLoss, v1::POISONED,
                   absl::StrCat(where, ": the memory cannot be reached (SIGBUS)"));
}

struct flock LockOf(uint64_t mark, short type) {
  constexpr uint64_t kMarksBegin = uint64_t{1} << 62;
  WEFT_CHECK(mark < kMarksBegin, mark);
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(kMarksBegin + mark);
  lock.l_len = 1;
  return lock;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Device>> FileDevice::Open(const DaxInfo& info) {
  UniqueFd fd(open(info.path.c_str(), O_RDWR | O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "open", info.path);
  if (absl::Status s = CheckBehind(fd.get(), info); !s.ok()) return s;
  return std::unique_ptr<Device>(new FileDevice(info, std::move(fd)));
}

absl::Status FileDevice::CheckRange(ByteOffset offset, ByteCount length) const {
  if (length <= info_.size && offset.value() <= info_.size.value() - length.value()) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
                   absl::StrCat(length.value(), " bytes at ", offset.value(), " are not within ",
                                info_.name, ", which has ", info_.size.value()));
}

absl::Status FileDevice::Touch(ByteOffset offset, ByteCount length, Access access,
                               absl::FunctionRef<void(uint8_t*)> body) {
  if (absl::Status s = CheckRange(offset, length); !s.ok()) return s;
  if (length == ByteCount(0)) return absl::OkStatus();
  absl::StatusOr<MappedWindow> window =
      MappedWindow::Map(fd_.get(), info_.name, offset, length, info_.alignment, access);
  if (!window.ok()) return window.status();
  // All of the mapping is guarded: a cache operation faults at the start of its line,
  // which may lie before the range.
  const std::optional<BusFault> fault =
      RunGuarded(window->begin(), window->size(), [&] { body(window->data()); });
  if (fault) {
    const auto before = static_cast<uint64_t>(window->data() - window->begin());
    return FaultError(info_, offset.value() - before + fault->offset, fault->hardware);
  }
  return absl::OkStatus();
}

absl::Status FileDevice::Read(ByteOffset offset, absl::Span<uint8_t> out) {
  return Touch(offset, ByteCount(out.size()), Access::kReadOnly, [&](uint8_t* bytes) {
    InvalidateCache(bytes, out.size());
    std::memcpy(out.data(), bytes, out.size());
  });
}

absl::Status FileDevice::Write(ByteOffset offset, absl::Span<const uint8_t> in) {
  return Touch(offset, ByteCount(in.size()), Access::kReadWrite, [&](uint8_t* bytes) {
    std::memcpy(bytes, in.data(), in.size());
    WriteBackCache(bytes, in.size());
  });
}

absl::Status FileDevice::Zero(ByteOffset offset, ByteCount length) {
  WEFT_CHECK(length <= kMaxPiece, length.value());
  if (absl::Status s = CheckRange(offset, length); !s.ok()) return s;
  if (info_.kind == DeviceKind::kEmulated && length > ByteCount(0)) {
    // A hole beyond the end can be punched without an error, so look at the size too.
    if (absl::Status s = CheckBehind(fd_.get(), info_); !s.ok()) return s;
    if (fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(offset.value()), static_cast<off_t>(length.value())) == 0) {
      return absl::OkStatus();
    }
    if (errno != EOPNOTSUPP) return ErrnoError(errno, "fallocate", info_.path);
  }
  return Touch(offset, length, Access::kReadWrite,
               [&](uint8_t* bytes) { ZeroAndWriteBack(bytes, length.value()); });
}

absl::Status FileDevice::Scrub(ByteOffset offset, ByteCount length, Token) {
  absl::Status zeroed = Zero(offset, length);
  if (!zeroed.ok() || info_.kind != DeviceKind::kEmulated) return zeroed;
  return ClearEmulatedPoison(info_.path, {offset, length});
}

absl::Status FileDevice::CopyOut(ByteOffset offset, absl::Span<uint8_t> out, Token) {
  const absl::StatusOr<std::vector<ByteRange>> bad = BadRanges();
  if (!bad.ok()) return bad.status();
  const ByteRanges hit = Intersection(*bad, {{offset, ByteCount(out.size())}});
  if (hit.empty()) return Read(offset, out);
  return MakeError(
      absl::StatusCode::kDataLoss, v1::POISONED,
      absl::StrCat(info_.name, " at offset ", hit.front().offset.value(), ": the memory is bad"));
}

absl::StatusOr<std::vector<ByteRange>> FileDevice::BadRanges() {
  if (info_.kind != DeviceKind::kEmulated) return ByteRanges();
  return ReadEmulatedPoison(info_.path);
}

absl::StatusOr<UniqueFd> FileDevice::OpenForClient(Access access) {
  // Through /proc rather than the path: the very file that was checked, whatever the path
  // leads to by now.
  const std::string self = absl::StrCat("/proc/self/fd/", fd_.get());
  UniqueFd fd(open(self.c_str(), (access == Access::kReadOnly ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  if (!fd.valid()) return ErrnoError(errno, "open", info_.path);
  if (absl::Status s = CheckBehind(fd.get(), info_); !s.ok()) return s;
  return fd;
}

absl::Status FileDevice::MarkForClient(int fd, uint64_t mark) {
  struct flock lock = LockOf(mark, F_RDLCK);
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return absl::OkStatus();
  return ErrnoError(errno, "fcntl(F_OFD_SETLK)", info_.path);
}

absl::StatusOr<bool> FileDevice::HasClient(uint64_t mark) {
  struct flock lock = LockOf(mark, F_WRLCK);
  if (fcntl(fd_.get(), F_OFD_GETLK, &lock) == 0) return lock.l_type != F_UNLCK;
  return ErrnoError(errno, "fcntl(F_OFD_GETLK)", info_.path);
}

}  // namespace weft
