#include "tests/soak/kill/worker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/soak/kill/pattern.h"

namespace weft::soak {
namespace {

constexpr uint64_t kUnitBytes = 2 << 20;
constexpr uint64_t kMostUnits = 6;
constexpr int kSlots = 4;
constexpr uint32_t kStripeDevices = 2;

std::string ResourceName(const std::string& name) {
  return "pools/" + absl::StrReplaceAll(name, {{"/", "/segments/"}});
}

Acknowledged& CountsOf(std::map<std::string, Acknowledged>& counts, const std::string& name) {
  return counts[ResourceName(name)];
}

}  // namespace

Worker::Worker(std::string name, uint64_t seed, std::unique_ptr<sdk::Client> home,
               std::unique_ptr<sdk::Client> away, Progress& progress)
    : home_(std::move(home)), away_(std::move(away)), progress_(progress), random_(seed) {
  slots_.resize(kSlots);
  for (int i = 0; i < kSlots; ++i) slots_[i].name = absl::StrCat(name, "-", i);
}

void Worker::Run(int count) {
  for (int i = 0; i < count && !progress_.violated(); ++i) Step(slots_[Random(slots_.size())]);
}

void Worker::Step(Slot& slot) {
  if (!slot.promise.has_value()) {
    Create(slot);
  } else if (slot.mapping.has_value()) {
    StepMapped(slot);
  } else {
    StepUnmapped(slot);
  }
}

void Worker::StepMapped(Slot& slot) {
  const uint64_t choice = Random(100);
  if (choice < 30) {
    Write(slot);
  } else if (choice < 50) {
    ReadAway(slot);
  } else if (choice < 65) {
    Grow(slot);
  } else if (choice < 90) {
    Close(slot);
  } else if (choice < 95) {
    DeleteHeld(slot);
  } else {
    WriteAway(slot);
  }
}

void Worker::StepUnmapped(Slot& slot) {
  const uint64_t choice = Random(100);
  if (choice < 45) {
    Open(slot);
  } else if (choice < 55) {
    ReadAway(slot);
  } else if (choice < 65) {
    Grow(slot);
  } else {
    Delete(slot);
  }
}

void Worker::Create(Slot& slot) {
  constexpr sdk::Placement kPlacements[] = {sdk::Placement::kPoolDefault, sdk::Placement::kPack,
                                            sdk::Placement::kSpread, sdk::Placement::kStriped,
                                            sdk::Placement::kLocal};
  sdk::CreateOptions options{.placement = kPlacements[Random(std::size(kPlacements))]};
  slot.unit_bytes = kUnitBytes;
  if (options.placement == sdk::Placement::kStriped) {
    options.stripe_devices = kStripeDevices;
    options.chunk_bytes = kUnitBytes;
    slot.unit_bytes = kStripeDevices * kUnitBytes;
  }
  const uint64_t size = slot.unit_bytes * (1 + Random(kMostUnits / 2));
  const auto segment = home_->CreateSegment(slot.name, size, options);
  if (!Judge(slot, "create", segment.status(), {"POOL_FULL", "FRAGMENTED"})) return;
  ++CountsOf(acknowledged_, slot.name).creates;
  progress_.NoteId(segment->id, slot.name);
  slot.promise = {segment->id, size};
  slot.generation = segment->generation;
  slot.version = 0;
  slot.written_bytes = 0;
  slot.tokens[0] = slot.tokens[1] = {};
  if (segment->size_bytes != size) {
    Violate(slot, absl::StrCat("was created with ", segment->size_bytes, " bytes, not ", size));
  }
}

void Worker::Open(Slot& slot) {
  auto handle = home_->Open(slot.name, sdk::AccessMode::kReadWrite);
  if (!Judge(slot, "open", handle.status())) return;
  NoteOpened(slot, *handle, false);
  auto mapping = handle->Map({.reserve_bytes = kMostUnits * kStripeDevices * kUnitBytes});
  if (!Must(slot, "map", mapping.status())) return;
  slot.handle = *std::move(handle);
  slot.mapping = *std::move(mapping);
  Verify(slot, slot.mapping->bytes(), "at home");
}

void Worker::Write(Slot& slot) {
  Verify(slot, slot.mapping->bytes(), "before a write");
  ++slot.version;
  slot.written_bytes = slot.mapping->size();
  Fill(slot.mapping->bytes(), 0, {slot.promise->id, slot.generation, slot.version});
  Must(slot, "write", slot.mapping->Flush(0, slot.mapping->size()));
}

void Worker::Grow(Slot& slot) {
  const uint64_t size = slot.promise->size_bytes + slot.unit_bytes * (1 + Random(2));
  if (size > kMostUnits * slot.unit_bytes) return;
  const auto segment = home_->GrowSegment(slot.name, size);
  if (!Judge(slot, "grow", segment.status(), {"POOL_FULL", "FRAGMENTED"})) return;
  ++CountsOf(acknowledged_, slot.name).grows;
  slot.promise->size_bytes = size;
  if (!slot.mapping.has_value()) return;
  if (!Judge(slot, "refresh", slot.handle->Refresh())) return;
  if (!Must(slot, "extend", slot.mapping->Extend())) return;
  Verify(slot, slot.mapping->bytes(), "after growing");
}

void Worker::Close(Slot& slot) {
  slot.mapping.reset();
  sdk::Handle handle = *std::exchange(slot.handle, std::nullopt);
  Judge(slot, "close", handle.Close());
}

void Worker::Delete(Slot& slot) {
  // The host's grant may outlive the handle while the coordinator cannot be told.
  if (!Judge(slot, "delete", home_->DeleteSegment(slot.name), {"IN_USE"})) return;
  ++CountsOf(acknowledged_, slot.name).deletes;
  slot.promise.reset();
}

void Worker::ReadAway(Slot& slot) {
  auto handle = away_->Open(slot.name, sdk::AccessMode::kReadOnly);
  if (!Judge(slot, "open-away", handle.status())) return;
  NoteOpened(slot, *handle, true);
  {
    const auto mapping = handle->Map();
    if (!Must(slot, "map-away", mapping.status())) return;
    if (!Must(slot, "read-away", mapping->Invalidate(0, mapping->size()))) return;
    Verify(slot, mapping->bytes(), "on the other host");
  }
  Judge(slot, "close-away", handle->Close());
}

void Worker::DeleteHeld(Slot& slot) {
  MustRefuse(slot, "deleting it while it is held", home_->DeleteSegment(slot.name), "IN_USE");
}

void Worker::WriteAway(Slot& slot) {
  const auto handle = away_->Open(slot.name, sdk::AccessMode::kReadWrite);
  MustRefuse(slot, "opening it for a second writer", handle.status(), "HELD");
}

void Worker::VerifyAll() {
  for (Slot& slot : slots_) {
    if (!slot.promise.has_value()) continue;
    if (slot.mapping.has_value()) {
      if (slot.handle->state() != sdk::HandleState::kLive) Violate(slot, "its handle is stale");
      Write(slot);
    }
    ReadAway(slot);
  }
}

void Worker::CloseAll() {
  for (Slot& slot : slots_) {
    if (slot.mapping.has_value()) Close(slot);
  }
}

void Worker::Verify(const Slot& slot, std::span<const std::byte> bytes, std::string_view where) {
  if (bytes.size() != slot.promise->size_bytes) {
    Violate(slot, absl::StrCat("has ", bytes.size(), " bytes ", std::string(where), ", not ",
                               slot.promise->size_bytes));
    return;
  }
  Stamp stamp{slot.promise->id, slot.generation, slot.version};
  std::string difference = Differs(bytes.first(slot.written_bytes), 0, stamp);
  stamp.version = 0;
  if (difference.empty()) {
    difference = Differs(bytes.subspan(slot.written_bytes), slot.written_bytes, stamp);
  }
  if (!difference.empty()) Violate(slot, absl::StrCat(std::string(where), " ", difference));
}

void Worker::NoteOpened(Slot& slot, const sdk::Handle& handle, bool away) {
  if (handle.incarnation().segment_id != slot.promise->id) {
    Violate(slot, absl::StrCat("opened as id ", handle.incarnation().segment_id, ", not ",
                               slot.promise->id));
  }
  sdk::Token& last = slot.tokens[away ? 1 : 0];
  if (handle.token() < last) Violate(slot, "its token is older than one before");
  last = handle.token();
}

bool Worker::Judge(const Slot& slot, const std::string& operation, const absl::Status& status,
                   std::initializer_list<std::string_view> refusals) {
  if (status.ok()) {
    progress_.Acknowledge(operation);
    return true;
  }
  const std::string reason = sdk::ReasonName(status);
  if (std::find(refusals.begin(), refusals.end(), reason) != refusals.end() ||
      progress_.Tolerates(reason)) {
    progress_.Refuse(reason);
    return false;
  }
  return Must(slot, operation, status);
}

bool Worker::Must(const Slot& slot, const std::string& operation, const absl::Status& status) {
  if (!status.ok()) Violate(slot, absl::StrCat(operation, " gave ", status.ToString()));
  return status.ok();
}

void Worker::MustRefuse(const Slot& slot, const std::string& operation, const absl::Status& status,
                        const std::string& refusal) {
  const std::string reason = sdk::ReasonName(status);
  if (reason == refusal || progress_.Tolerates(reason)) return progress_.Refuse(reason);
  Violate(slot, absl::StrCat(operation, " gave ", status.ToString()));
}

void Worker::Violate(const Slot& slot, const std::string& what) {
  progress_.Violate(absl::StrCat(slot.name, ": ", what));
}

Promises Worker::promises() const {
  Promises promises;
  for (const Slot& slot : slots_) {
    if (slot.promise.has_value()) promises[ResourceName(slot.name)] = *slot.promise;
  }
  return promises;
}

std::map<std::string, Acknowledged> Worker::TakeAcknowledged() {
  return std::exchange(acknowledged_, {});
}

}  // namespace weft::soak
