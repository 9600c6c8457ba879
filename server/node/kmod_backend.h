// Handles that are files of the kernel module: `kmod`.

#ifndef WEFT_SERVER_NODE_KMOD_BACKEND_H_
#define WEFT_SERVER_NODE_KMOD_BACKEND_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/node/backend.h"
#include "server/node/device_catalog.h"
#include "server/node/executor.h"
#include "server/node/kmod_inventory.h"
#include "server/platform/kmod.h"
#include "server/platform/record_dir.h"

namespace weft {

// What a session may have as B.
inline constexpr absl::Duration kMaxRevokeBound = absl::Minutes(10);

struct KmodBackendOptions {
  std::string host_id = "";
  // B: by when after the deadline all must be taken back, and what follows if it is not. No
  // less is asked of the coordinator.
  absl::Duration revoke_bound = absl::Seconds(5);
  FenceAction fence_action = FenceAction::kReboot;
  // How long one TakeBack waits for pages that are pinned.
  absl::Duration pin_wait = absl::Seconds(1);
};

// Makes the module ready for a daemon that starts: what the dead-man took from the one before
// stays taken, the labels can be read again. UNAVAILABLE while it is still taking back.
absl::Status ReleaseDeadMan(Kmod& kmod);

// At least `configured`, and twice what taking back has ever lasted on this host.
absl::StatusOr<absl::Duration> MeasuredBound(Kmod& kmod, absl::Duration configured);

// FAILED_PRECONDITION IN_USE: the module has segments of a host of another name.
absl::Status CheckHost(Kmod& kmod, const std::string& host_id);

// The segments are the module's: they outlive this process. `records` keeps of each grant
// what the module does not know, its names.
class KmodBackend final : public Backend, private DeadMan {
 public:
  // All outlive it. `blocking`: where the calls of Backend come from.
  KmodBackend(Kmod& kmod, DeviceCatalog& catalog, RecordDir& records, Executor& blocking,
              KmodBackendOptions options)
      : kmod_(kmod),
        catalog_(catalog),
        records_(records),
        blocking_(blocking),
        options_(std::move(options)),
        durable_bound_(options_.revoke_bound) {}

  v1::Backend kind() const override { return v1::KMOD; }
  bool can_revoke() const override { return true; }
  DeadMan* dead_man() override { return this; }
  absl::StatusOr<std::vector<v1::GrantAssignment>> Recall() override;
  absl::Status Prepare(const v1::GrantAssignment& grant) override;
  absl::Status Keep(const v1::GrantAssignment& grant) override;
  absl::StatusOr<HandleFiles> Open(const v1::GrantAssignment& grant, v1::AccessMode mode) override;
  absl::StatusOr<HandleFiles> Refresh(const v1::GrantAssignment& grant, v1::AccessMode mode,
                                      const std::set<std::string>& devices) override;
  // By the kernel's word: a handle ends with its last file and mapping, in any process. A
  // segment that is not in use is revoked, so that nothing of it is left in caches.
  absl::StatusOr<std::set<SegmentId>> FindInUse(
      const std::vector<v1::GrantAssignment>& grants) override;
  absl::StatusOr<bool> TakeBack(const v1::GrantAssignment& grant) override;
  // Twice what is the longest so far, or what flushing all that is coherent by software
  // would last.
  absl::StatusOr<absl::Duration> RevokeBound() override;
  void SetTerms(const std::string& session_id, absl::Duration revoke_bound) override;
  absl::StatusOr<std::vector<v1::KernelSegment>> KernelSegments(SegmentId after,
                                                                size_t most) override {
    return ListKernelSegments(kmod_, after, most);
  }
  absl::Status Forget(const v1::GrantAssignment& grant) override;

 private:
  void Arm(BootTime deadline) override;

  // One that was to be set `later` is not if another was meanwhile that is not before it.
  void SetDeadline(BootTime deadline, bool later);
  absl::Status SetDeadMan();
  // Forgets which grants of the session that is over were to be made ready: the coordinator
  // tells which it still counts as this host's.
  void EndSession();
  // Keeps the token in the module. STALE_TOKEN: it is of an older epoch than one that is kept.
  absl::Status KeepToken(Token token);
  absl::Duration FlushTime() const;
  // Does again what the dead-man, pinned pages or the disk kept from being done.
  void Retry();
  // What there is of the segment, and what there is not.
  absl::Status Resume(const v1::GrantAssignment& grant);
  absl::Status Make(const v1::GrantAssignment& grant);
  absl::Status MakeLive(const v1::GrantAssignment& grant, const KmodSegmentInfo& segment);
  absl::StatusOr<std::map<DeviceId, KmodDeviceId>> Devices(const v1::GrantAssignment& grant);
  absl::StatusOr<std::vector<KmodRun>> RunsFrom(const v1::GrantAssignment& grant, ByteCount from);
  absl::StatusOr<HandleFiles> Describe(const v1::GrantAssignment& grant) const;

  Kmod& kmod_;
  DeviceCatalog& catalog_;
  RecordDir& records_;
  Executor& blocking_;
  const KmodBackendOptions options_;
  // Grants to make ready or to destroy once more; for the blocking executor.
  std::map<SegmentId, v1::GrantAssignment> unready_;
  std::map<SegmentId, v1::GrantAssignment> undestroyed_;
  // What of the prepared segments a revoke has to flush, and how much of it in a second, at
  // worst; for the blocking executor.
  std::map<SegmentId, ByteCount> to_flush_;
  ByteCount flush_rate_ = kGiB;
  absl::Mutex mu_;
  std::string session_id_ ABSL_GUARDED_BY(mu_);
  absl::Duration durable_bound_ ABSL_GUARDED_BY(mu_);
  BootTime deadline_ ABSL_GUARDED_BY(mu_) = BootTime::InfinitePast();
  // Sessions of which work of the one before may be on the blocking executor still. The dead-man
  // is armed behind it, so that it cannot resume what others have been granted since.
  int sessions_beginning_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_KMOD_BACKEND_H_
