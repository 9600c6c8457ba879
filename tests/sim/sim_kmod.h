// The kernel module of one simulated machine, with the bytes behind its segments.

#ifndef WEFT_TESTS_SIM_SIM_KMOD_H_
#define WEFT_TESTS_SIM_SIM_KMOD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/core/ranges.h"
#include "server/platform/fake_kmod.h"
#include "server/platform/kmod.h"
#include "tests/sim/in_flight.h"
#include "tests/sim/memory.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_dax.h"
#include "tests/sim/truth.h"
#include "tests/sim/world.h"

namespace weft::sim {

// FakeKmod knows the module's rules; here are the dead-man's timer, the caches, and what a
// client's loads and stores do. Lives as long as its machine runs.
class SimKmod final : public Kmod {
 public:
  SimKmod(World& world, Process& kernel, const SimClock& clock, SimDax& dax, Truth& truth,
          std::string host);

  // ---- The machine's side

  // The device at `name` is about to go.
  void OnUnplug(const std::string& name);
  // The processor writes a dirty line back that it chooses.
  void EvictOne();
  // The machine goes on after a standstill: its timers come before its processes.
  void OnWake() { CheckDeadline(watch_); }
  // The machine's clock runs otherwise from now on.
  void OnClockChanged() { WatchDeadline(); }
  void WriteBackAll();
  bool HasDirty(const Memory& memory, uint64_t first, uint64_t last) const;
  // Of the handles that processes have: those that a Resume under their own token would give back.
  std::vector<std::pair<SegmentId, Token>> TakenBack() const;
  // The line is bad, says whoever has found out: the memory's own patrol, or an access.
  void OnMemoryFailure(const Memory& memory, uint64_t line);
  // Of a device of this memory, all that the module knows to be bad.
  ByteRanges BadRangesOf(const Memory& memory) const;
  // Told with what weftd is to be told.
  std::function<void(const KmodEvent&)> on_memory_failure;
  // Told when the dead-man has taken all back.
  std::function<void()> on_dead_man_done;
  // Told with every handle that ends.
  std::function<void(SegmentId)> on_handle_released;

  // ---- The processes' side

  // The handle behind a descriptor that OpenSegment gave. From here on it is a process's.
  HandleId Claim(int fd) { return in_flight_.Claim(fd); }
  // The last file and mapping of it are gone.
  void Release(HandleId handle);
  // False: SIGBUS. `line`: from the segment's start.
  bool Store(HandleId handle, uint64_t line, const Line& value);
  std::optional<Line> Load(HandleId handle, uint64_t line);
  // The SDK's Flush and Invalidate.
  void Flush(HandleId handle, uint64_t line);
  // Zero: no access.
  uint64_t LinesOf(HandleId handle) const;
  // Descriptors that nobody has any more end their handles: to be called now and then.
  void SweepDescriptors();

  // ---- Kmod

  const std::string& driver_name() const override { return rules_.driver_name(); }
  absl::StatusOr<KmodDeviceInfo> AddDevice(const std::string& path, const DeviceId& uuid,
                                           bool software_coherent) override;
  absl::Status RemoveDevice(KmodDeviceId device) override;
  absl::StatusOr<std::vector<KmodDeviceInfo>> ListDevices() override;
  absl::StatusOr<std::vector<ByteRange>> ListBadRanges(KmodDeviceId device) override;
  SegmentId LabelSegment(KmodDeviceId device) const override { return rules_.LabelSegment(device); }
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
  absl::StatusOr<KmodSegmentInfo> FindSegment(SegmentId segment) override {
    return rules_.FindSegment(segment);
  }
  absl::StatusOr<std::vector<KmodSegmentInfo>> ListSegments() override {
    return rules_.ListSegments();
  }
  absl::StatusOr<std::vector<KmodHandleInfo>> ListHandles(SegmentId segment) override;
  absl::Status ArmDeadMan(BootTime deadline, absl::Duration bound, FenceAction action) override;
  absl::Status DisarmDeadMan() override { return rules_.DisarmDeadMan(); }
  absl::StatusOr<KmodDeadMan> GetDeadMan() override { return rules_.GetDeadMan(); }
  absl::StatusOr<KmodHost> GetHost() override { return rules_.GetHost(); }
  absl::Status SetHost(const KmodHost& host) override { return rules_.SetHost(host); }
  absl::StatusOr<std::vector<KmodEvent>> WaitEvents() override { return rules_.WaitEvents(); }
  void StopEvents() override {}

  // The daemon's way to a device: what KmodDevice is on a real machine.
  absl::StatusOr<std::unique_ptr<Device>> OpenDevice(const KmodDeviceInfo& device,
                                                     const DaxInfo& info);

 private:
  friend class SimDevice;

  struct DeviceEntry {
    KmodDeviceInfo info;
    std::string name;
    bool software_coherent = false;
    std::shared_ptr<Memory> memory;
    // Whole pages that were found bad and have not been rewritten by this machine since: no other
    // list than its own tells it of them.
    ByteRanges bad;
  };
  struct Segment {
    uint64_t serial = 0;
    std::vector<KmodRun> runs;
  };
  struct Handle {
    SegmentId segment;
    uint64_t serial = 0;  // of the segment, so that another of its id is another
    Token token;
    Access mode = Access::kReadOnly;
  };
  // Where a line of a segment is.
  struct Place {
    DeviceEntry* device = nullptr;
    uint64_t line = 0;
  };

  // Null: no access under this handle now.
  const Handle* Live(HandleId handle, Access access) const;
  std::optional<Place> Locate(const Segment& segment, uint64_t line);
  // Whether some of what is touched there is bad, which the module knows from then on.
  bool HitsBadMemory(const Place& place, uint64_t lines);
  // Where the handle's line is; null: SIGBUS.
  std::optional<Place> Reach(const Handle* handle, uint64_t line);
  absl::Status ReadSegment(SegmentId segment, ByteOffset offset, absl::Span<uint8_t> out);
  absl::Status WriteSegment(SegmentId segment, Token token, ByteOffset offset,
                            absl::Span<const uint8_t> bytes);
  // What was written there, past the caches, is good again.
  static void Heal(const Place& place, ByteCount length);
  Cache& CacheOf(const DeviceEntry& device);
  void WriteBackSegment(SegmentId segment);
  void WriteBackRun(const KmodRun& run);
  void WatchDeadline();
  void CheckDeadline(uint64_t watch);
  void Fire();
  bool LabelsReachable();

  World& world_;
  Process& kernel_;
  const SimClock& clock_;
  SimDax& dax_;
  Truth& truth_;
  const std::string host_;
  Rng rng_;
  FakeKmod rules_;
  std::map<KmodDeviceId, DeviceEntry> devices_;
  std::map<SegmentId, Segment> segments_;
  uint64_t last_serial_ = 0;
  std::map<HandleId, Handle> handles_;
  HandleId last_handle_ = 0;
  InFlight in_flight_;
  std::map<int, std::unique_ptr<Cache>> caches_;  // by the memory's number
  // For the planted bug "zero again": the last token, by the memory's number and line.
  std::map<std::pair<int, uint64_t>, Token> zeroed_;
  BootTime deadline_ = BootTime::InfinitePast();
  absl::Duration bound_;
  // Counts watches of the deadline: only the last is of interest.
  uint64_t watch_ = 0;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_KMOD_H_
