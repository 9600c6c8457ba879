// A piece of a device, mapped for one access.

#ifndef WEFT_SERVER_PLATFORM_LINUX_MAPPED_WINDOW_H_
#define WEFT_SERVER_PLATFORM_LINUX_MAPPED_WINDOW_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/core/types.h"
#include "server/platform/device.h"

namespace weft {

// Maps no more than an access needs, and only as long: a stray pointer of the daemon's
// then hits no fabric memory, and a device is not kept from being unbound.
class MappedWindow {
 public:
  // Maps [offset, offset + length) of `fd`, which `name` stands for in errors, with
  // offset and length widened to multiples of `alignment`.
  static absl::StatusOr<MappedWindow> Map(int fd, absl::string_view name, ByteOffset offset,
                                          ByteCount length, ByteCount alignment, Access access);
  MappedWindow(MappedWindow&& other) noexcept;
  MappedWindow& operator=(MappedWindow&&) = delete;
  ~MappedWindow();

  // Where the `offset` asked for is mapped.
  uint8_t* data() const { return data_; }
  // All that is mapped.
  const uint8_t* begin() const { return begin_; }
  size_t size() const { return size_; }

 private:
  MappedWindow(uint8_t* begin, size_t size, uint8_t* data)
      : begin_(begin), size_(size), data_(data) {}

  uint8_t* begin_;
  size_t size_;
  uint8_t* data_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_MAPPED_WINDOW_H_
