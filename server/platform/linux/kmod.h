// /dev/weft.

#ifndef WEFT_SERVER_PLATFORM_LINUX_KMOD_H_
#define WEFT_SERVER_PLATFORM_LINUX_KMOD_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/platform/kmod.h"

namespace weft {

class LinuxKmod final : public Kmod {
 public:
  // `path`: /dev/weft. Errors: of Kmod; FAILED_PRECONDITION NOT_SUPPORTED if the module
  // speaks another version of the interface.
  static absl::StatusOr<std::unique_ptr<Kmod>> Open(const std::string& path);

  const std::string& driver_name() const override { return driver_name_; }
  absl::StatusOr<KmodDeviceInfo> AddDevice(const std::string& path, const DeviceId& uuid,
                                           bool software_coherent) override;
  absl::Status RemoveDevice(KmodDeviceId device) override;
  absl::StatusOr<std::vector<KmodDeviceInfo>> ListDevices() override;
  absl::StatusOr<std::vector<ByteRange>> ListBadRanges(KmodDeviceId device) override;
  SegmentId LabelSegment(KmodDeviceId device) const override;
  absl::Status CreateSegment(SegmentId segment, Token token, Access mode,
                             const std::vector<KmodRun>& runs) override;
  absl::Status ExtendSegment(SegmentId segment, Token token, const KmodRun& run) override;
  absl::StatusOr<UniqueFd> OpenSegment(SegmentId segment, Token token, Access mode) override;
  absl::StatusOr<KmodRevoke> RevokeSegment(SegmentId segment, Token token,
                                           absl::Duration wait) override;
  absl::Status ResumeSegment(SegmentId segment, Token token, Access mode) override;
  absl::Status DestroySegment(SegmentId segment, Token token) override;
  absl::Status ZeroSegment(SegmentId segment, Token token, ByteOffset offset,
                           ByteCount length) override;
  absl::StatusOr<KmodSegmentInfo> FindSegment(SegmentId segment) override;
  absl::StatusOr<std::vector<KmodSegmentInfo>> ListSegments() override;
  absl::StatusOr<std::vector<KmodHandleInfo>> ListHandles(SegmentId segment) override;
  absl::Status ArmDeadMan(BootTime deadline, absl::Duration bound, FenceAction action) override;
  absl::Status DisarmDeadMan() override;
  absl::StatusOr<KmodDeadMan> GetDeadMan() override;
  absl::StatusOr<KmodHost> GetHost() override;
  absl::Status SetHost(const KmodHost& host) override;
  absl::StatusOr<std::vector<KmodEvent>> WaitEvents() override;
  void StopEvents() override;

 private:
  LinuxKmod(UniqueFd fd, UniqueFd stop, std::string path)
      : fd_(std::move(fd)), stop_(std::move(stop)), path_(std::move(path)) {}

  absl::Status ReadInfo();
  // `object` is for the message.
  template <typename Arg>
  absl::Status Call(unsigned long command, const char* name, const std::string& object,
                    Arg& arg) const;
  template <typename Entry>
  absl::StatusOr<std::vector<Entry>> List(unsigned long command, const char* name,
                                          uint64_t object_id) const;

  // Opened for reading, nonblocking: commands and events.
  const UniqueFd fd_;
  // An eventfd that ends WaitEvents.
  const UniqueFd stop_;
  const std::string path_;
  std::string driver_name_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_KMOD_H_
