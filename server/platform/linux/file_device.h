// A device behind a file descriptor: /dev/daxX.Y or the file of an emulated device.

#ifndef WEFT_SERVER_PLATFORM_LINUX_FILE_DEVICE_H_
#define WEFT_SERVER_PLATFORM_LINUX_FILE_DEVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/platform/dax.h"
#include "server/platform/device.h"
#include "server/platform/linux/mapped_window.h"

namespace weft {

class FileDevice final : public Device {
 public:
  // Errors as of Dax::Open.
  static absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info);

  const std::string& name() const override { return info_.name; }
  DeviceKind kind() const override { return info_.kind; }
  ByteCount size() const override { return info_.size; }
  ByteCount alignment() const override { return info_.alignment; }
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) override;
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) override;
  absl::Status Zero(ByteOffset offset, ByteCount length) override;
  // Emulated: takes what it zeroed from BadRanges.
  absl::Status Scrub(ByteOffset offset, ByteCount length, Token token) override;
  // Emulated: nothing is read of BadRanges, though the file has it.
  absl::Status CopyOut(ByteOffset offset, absl::Span<uint8_t> out, Token token) override;
  // Emulated: as emulated_poison.h says. Of others nothing is known.
  absl::StatusOr<std::vector<ByteRange>> BadRanges() override;
  absl::StatusOr<UniqueFd> OpenForClient(Access access) override;
  // A mark is a read lock of the open file description, far behind the end of any device.
  absl::Status MarkForClient(int fd, uint64_t mark) override;
  absl::StatusOr<bool> HasClient(uint64_t mark) override;

 private:
  FileDevice(DaxInfo info, UniqueFd fd) : info_(std::move(info)), fd_(std::move(fd)) {}

  // Maps the range and runs `body` on it under a guard against SIGBUS.
  absl::Status Touch(ByteOffset offset, ByteCount length, Access access,
                     absl::FunctionRef<void(uint8_t*)> body);
  absl::Status CheckRange(ByteOffset offset, ByteCount length) const;

  const DaxInfo info_;
  const UniqueFd fd_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_FILE_DEVICE_H_
