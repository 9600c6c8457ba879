// The daemon's way to the bytes of a device that the kernel module has.

#ifndef WEFT_SERVER_PLATFORM_LINUX_KMOD_DEVICE_H_
#define WEFT_SERVER_PLATFORM_LINUX_KMOD_DEVICE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "server/platform/dax.h"
#include "server/platform/device.h"
#include "server/platform/kmod.h"
#include "server/platform/unique_fd.h"

namespace weft {

// Reads, writes and zeroes the label units only, through the segment that the module has for
// them; what lies between belongs to segments, and is scrubbed and copied as one.
//
// Errors besides those of Device:
//   UNAVAILABLE UNREACHABLE             the lease ran out: all was taken back, labels too
//   FAILED_PRECONDITION NOT_SUPPORTED   bytes between the labels; a client's open
//   FAILED_PRECONDITION BUSY_PINNED     what is to be scrubbed or copied belongs to a segment
//   FAILED_PRECONDITION STALE_TOKEN     the bytes were another's under a later token
class KmodDevice final : public Device {
 public:
  // `kmod` outlives it.
  static absl::StatusOr<std::unique_ptr<Device>> Open(Kmod& kmod, const KmodDeviceInfo& device,
                                                      const DaxInfo& info);

  const std::string& name() const override { return info_.name; }
  DeviceKind kind() const override { return info_.kind; }
  ByteCount size() const override { return info_.size; }
  ByteCount alignment() const override { return kExtentUnit; }
  absl::Status Read(ByteOffset offset, absl::Span<uint8_t> out) override;
  absl::Status Write(ByteOffset offset, absl::Span<const uint8_t> bytes) override;
  absl::Status Zero(ByteOffset offset, ByteCount length) override;
  absl::Status Scrub(ByteOffset offset, ByteCount length, Token token) override;
  absl::Status CopyOut(ByteOffset offset, absl::Span<uint8_t> out, Token token) override;
  absl::Status CopyIn(ByteOffset offset, absl::Span<const uint8_t> bytes, Token token) override;
  absl::StatusOr<std::vector<ByteRange>> BadRanges() override {
    return kmod_.ListBadRanges(device_.id);
  }
  absl::StatusOr<UniqueFd> OpenForClient(Access access) override;

 private:
  KmodDevice(Kmod& kmod, const KmodDeviceInfo& device, DaxInfo info, UniqueFd labels)
      : kmod_(kmod), device_(device), info_(std::move(info)), labels_(std::move(labels)) {}

  // Where the range is in the label segment.
  absl::StatusOr<ByteOffset> InLabels(ByteOffset offset, ByteCount length) const;
  absl::Status Touch(ByteOffset offset, ByteCount length, Access access,
                     absl::FunctionRef<void(uint8_t*)> body);
  absl::Status Resume();

  Kmod& kmod_;
  const KmodDeviceInfo device_;
  const DaxInfo info_;
  const UniqueFd labels_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_KMOD_DEVICE_H_
