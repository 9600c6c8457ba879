// What is durable, and what that makes of every access to memory: invariants 1, 2, 3 and 5.

#ifndef WEFT_TESTS_SIM_TRUTH_H_
#define WEFT_TESTS_SIM_TRUTH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/weft/store/v1/records.pb.h"
#include "server/core/types.h"
#include "server/store/store.h"
#include "tests/sim/memory.h"
#include "tests/sim/world.h"

namespace weft::sim {

// Reads the coordinator's records as they become durable, without any of the coordinator's
// code or its state in memory, and knows from them who may touch which bytes at this
// instant. Judges every write that arrives in memory and every read of a client.
class Truth {
 public:
  // `dirty_host`: a host with dirty lines of the memory in [first, last); empty: none.
  using DirtyFn = std::function<std::string(const Memory&, uint64_t first, uint64_t last)>;

  Truth(World& world, DirtyFn dirty_host) : world_(world), dirty_host_(std::move(dirty_host)) {}

  // The device of this id is this memory, and no other that has the same label.
  void SetMemory(const DeviceId& device, const std::shared_ptr<Memory>& memory);

  // A transaction has become durable.
  void Apply(const Transaction& transaction);

  // As of Memory::Watch.
  void OnWrite(const Memory& memory, const Writer& writer, uint64_t first, uint64_t last);
  void OnRead(const Memory& memory, const Writer& reader, uint64_t line, const Line& value);
  // A grant or a scrub with this token leaves the coordinator.
  void OnTokenLeaves(const Token& token);

  // A segment that moved has another id each time: the first.
  SegmentId OriginOf(SegmentId segment) const;

  // ---- What is durable, for the end of a run

  size_t grants() const { return grants_.size(); }
  size_t scrubs() const { return scrubs_.size(); }
  const std::map<SegmentId, store::v1::SegmentRecord>& segments() const { return segments_; }
  const std::map<std::string, store::v1::HostRecord>& hosts() const { return hosts_; }
  const std::map<std::pair<DeviceId, std::string>, store::v1::AttachmentRecord>& attachments()
      const {
    return attachments_;
  }
  const store::v1::DeviceRecord* FindDevice(const DeviceId& device) const;
  // Whether the unit has memory that is recorded as bad.
  bool IsBad(const DeviceId& device, uint64_t unit) const { return Contains(bad_, device, unit); }
  // Whether the host holds the segment under this token, and nobody wants it back.
  bool IsHeld(SegmentId segment, const std::string& host, const Token& token) const;
  bool HasBad(const DeviceId& device) const {
    return bad_.contains(device) && !bad_.at(device).empty();
  }
  // The first unit of the device, from `first` on, that a scrub has or a copy is to fill.
  std::optional<uint64_t> NextScrubbed(const DeviceId& device, uint64_t first, bool copy) const;
  std::string DescribeLeftovers() const;

 private:
  struct Owner {
    // kQuarantine: nobody, since memory of it failed.
    enum class Kind { kNobody, kSegment, kScrub, kQuarantine };
    Kind kind = Kind::kNobody;
    uint64_t id = 0;

    friend bool operator==(const Owner&, const Owner&) = default;
  };
  using BadUnits = std::map<DeviceId, std::set<uint64_t>>;
  // By unit of 2 MiB.
  using Units = std::vector<Owner>;
  using GrantId = std::pair<SegmentId, std::string>;  // with the host's id
  struct Scrub {
    store::v1::ScrubRecord record;
    // Its host may write under this token, and those that it got after it.
    Token since;
  };
  struct Move {
    v1::Segment before;
    v1::Segment after;
  };

  static bool Contains(const BadUnits& bad, const DeviceId& device, uint64_t unit);
  void ApplyOne(const std::string& key, const std::string* value);
  void ApplyGrant(const std::string& key, const std::string* value);
  void ApplyScrub(const std::string& key, const std::string* value);
  void ApplySegment(const std::string& key, const std::string* value);
  void ApplyHost(const std::string& id, const std::string& value);
  void ApplyAttachment(const std::string& key, const std::string* value);
  void ApplyPoison(const std::string& key, const std::string* value);
  bool IsReleasing(SegmentId segment, const std::string& host) const;
  void UpdateHoldings();
  void CheckExclusion();
  // Invariant 1, and 5 where the owner of a unit changes.
  void CheckBytes();
  void Take(std::map<DeviceId, Units>& units, const v1::Extent& extent, const Owner& owner);
  // Of `units`, those with bad memory that nobody has.
  void Quarantine(const DeviceId& device, Units& units);
  // A unit with memory that is known to be bad is given to nobody.
  void CheckGood(const DeviceId& device, uint64_t unit, const Owner& owner);
  void CheckZero(const DeviceId& device, uint64_t unit, const std::string& why);
  // What a segment has at its new place is what it had.
  void CheckMove(const Move& move);
  bool IsSegmentsStill(const Owner& before, const Owner& now) const;

  // Why the host may not touch the segment so; empty: it may.
  std::string WhyNot(const Writer& writer, bool write) const;
  const Owner* OwnerOf(const Memory& memory, uint64_t line) const;
  std::string Describe(const Memory& memory, uint64_t line) const;
  void JudgeClient(const Memory& memory, const Writer& writer, uint64_t line, bool write);
  void JudgeScrub(const Memory& memory, const Writer& writer, uint64_t first, uint64_t last);

  World& world_;
  const DirtyFn dirty_host_;
  std::map<DeviceId, std::shared_ptr<Memory>> memory_;
  std::map<int, DeviceId> device_of_;  // by the memory's number

  std::map<SegmentId, store::v1::SegmentRecord> segments_;
  std::map<std::string, SegmentId> segment_by_key_;
  std::map<GrantId, store::v1::GrantRecord> grants_;
  // What hosts may touch at this instant: under the token under which each began to hold the
  // segment, and those that it got since without losing it.
  std::map<GrantId, Token> holdings_;
  std::map<uint64_t, Scrub> scrubs_;
  store::v1::ClusterRecord cluster_;
  std::map<std::string, store::v1::HostRecord> hosts_;
  std::map<DeviceId, store::v1::DeviceRecord> devices_;
  std::map<std::pair<DeviceId, std::string>, store::v1::AttachmentRecord> attachments_;
  std::map<DeviceId, Units> units_;
  // The units with bad memory, as recorded; and before the transaction that is being applied.
  BadUnits bad_;
  BadUnits bad_before_;
  // Of the transaction that is being applied.
  std::vector<Move> moves_;
  std::set<std::pair<DeviceId, uint64_t>> moved_to_;
  std::map<SegmentId, SegmentId> origins_;
  bool bytes_changed_ = false;
  bool grants_changed_ = false;

  // Of all that ever were. Those of one transaction are compared with those before it.
  std::map<SegmentId, Token> newest_grant_;
  std::map<SegmentId, Token> newest_before_;
  std::map<uint64_t, Token> newest_scrub_;
  std::set<SegmentId> segment_ids_;
  std::set<Token> tokens_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_TRUTH_H_
