#include "server/platform/linux/mapped_window.h"

#include <errno.h>
#include <sys/mman.h>

#include <string_view>
#include <utility>

#include "server/platform/linux/errno_status.h"

namespace weft {

absl::StatusOr<MappedWindow> MappedWindow::Map(int fd, absl::string_view name, ByteOffset offset,
                                               ByteCount length, ByteCount alignment,
                                               Access access) {
  const uint64_t unit = alignment.value();
  const uint64_t begin = offset.value() / unit * unit;
  const uint64_t end = (offset.value() + length.value() + unit - 1) / unit * unit;
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const mapping =
      mmap(nullptr, end - begin, protection, MAP_SHARED, fd, static_cast<off_t>(begin));
  if (mapping == MAP_FAILED) {
    return ErrnoError(errno, "mmap", std::string_view(name.data(), name.size()));
  }
  auto* const bytes = static_cast<uint8_t*>(mapping);
  return MappedWindow(bytes, end - begin, bytes + (offset.value() - begin));
}

MappedWindow::MappedWindow(MappedWindow&& other) noexcept
    : begin_(std::exchange(other.begin_, nullptr)), size_(other.size_), data_(other.data_) {}

MappedWindow::~MappedWindow() {
  if (begin_ != nullptr) munmap(begin_, size_);
}

}  // namespace weft
