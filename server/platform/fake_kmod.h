// A kernel module in memory, for tests.

#ifndef WEFT_SERVER_PLATFORM_FAKE_KMOD_H_
#define WEFT_SERVER_PLATFORM_FAKE_KMOD_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/kmod.h"

namespace weft {

// Keeps the module's rules about tokens, states, overlaps and the dead-man, and no bytes:
// the descriptors of handles lead nowhere of use. Zeroing makes bad bytes of a segment's first
// extent good.
class FakeKmod final : public Kmod {
 public:
  struct Segment {
    KmodSegmentInfo info;
    std::vector<KmodRun> runs;
    std::vector<KmodHandleInfo> handles;
  };

  // ---- For tests

  // The segment; it must be there.
  Segment Get(SegmentId segment) const;
  bool Has(SegmentId segment) const;
  // What the next revokes find; 0: nothing is pinned.
  void SetPinned(uint64_t pages);
  // The last file and mapping of every handle of the segment are gone.
  void ReleaseHandles(SegmentId segment);
  // The memory of the device fails there.
  void Poison(KmodDeviceId device, ByteRange range);
  // Those of one handle of this token.
  void ReleaseHandle(SegmentId segment, Token token);
  // The device is unbound from its driver.
  void LoseDevice(KmodDeviceId device);
  // The deadline comes. REQUIRES: armed.
  void FireDeadMan();
  // What taking back has lasted at most.
  void SetLongestRevoke(absl::Duration longest);
  // As long as it takes back, it cannot be armed.
  void SetTakingBack(bool taking_back);
  BootTime deadline() const;
  // As of the last ArmDeadMan.
  absl::Duration bound() const;

  // ---- Kmod

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
  void StopEvents() override {}

 private:
  using Segments = std::map<SegmentId, Segment>;

  absl::StatusOr<Segment*> Find(SegmentId segment, Token token) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckOrder(const KmodRun& run, Token token) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckFree(const KmodRun& run) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckLease() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string driver_name_ = "weft";
  mutable absl::Mutex mu_;
  Segments segments_ ABSL_GUARDED_BY(mu_);
  std::map<KmodDeviceId, KmodDeviceInfo> devices_ ABSL_GUARDED_BY(mu_);
  // Under which tokens bytes were segments'.
  std::vector<std::pair<KmodExtent, Token>> history_ ABSL_GUARDED_BY(mu_);
  std::map<KmodDeviceId, std::vector<ByteRange>> bad_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, uint64_t> numbers_ ABSL_GUARDED_BY(mu_);  // by path, in their order
  uint64_t last_device_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t pinned_ ABSL_GUARDED_BY(mu_) = 0;
  KmodDeadMan dead_man_ ABSL_GUARDED_BY(mu_);
  KmodHost host_ ABSL_GUARDED_BY(mu_);
  absl::Duration bound_ ABSL_GUARDED_BY(mu_);
  BootTime deadline_ ABSL_GUARDED_BY(mu_) = BootTime::InfinitePast();
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_FAKE_KMOD_H_
