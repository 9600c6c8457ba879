// Scrubs: bytes that were freed, or are new, and who zeroes them.

#ifndef WEFT_SERVER_CORE_SCRUBS_H_
#define WEFT_SERVER_CORE_SCRUBS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/btree_set.h"
#include "proto/weft/store/v1/records.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// How much of a device one scrub has: each report of its progress writes all of its record.
inline constexpr size_t kMaxScrubExtents = 1024;

// Makes `extents`, all of `device`, wait to be zeroed, but for units with bad bytes, which
// go into quarantine. They are not free until a host has
// said so under the scrub's token (invariant 5).
void StartScrub(State& state, const Context& context, const DeviceId& device,
                std::vector<Extent> extents, Changes& changes);

// As StartScrub, of extents from quarantine: those that are zeroed are good again.
void StartClearingScrub(State& state, const Context& context, const DeviceId& device,
                        const std::vector<Extent>& extents, Changes& changes);

// Has `host` copy `copy` to `extents`, all of `device` and free before, which are a scrub of that
// host until the copy ends: see copies.h. Returns its id.
uint64_t StartCopyScrub(State& state, const DeviceId& device, const std::vector<Extent>& extents,
                        const std::string& host, const store::v1::CopyRecord& copy,
                        Changes& changes);

// The host of the scrub, if it has one, zeroes its extents, under a later token, instead of copying
// there. REQUIRES: it is recorded as a copy.
void ZeroInstead(State& state, uint64_t scrub_id, Changes& changes);

// The extents of a copy are the segment's now: forgets the scrub. REQUIRES: a host has it.
void DropScrub(State& state, uint64_t scrub_id, Changes& changes);

// Whether the host may be given scrubs of a device that it has this attachment to.
bool CanScrub(const State& state, const std::string& host,
              const store::v1::AttachmentRecord& attachment);

// Frees what is known to be zero now. An older token, or an unknown scrub, is passed over.
void TakeScrubProgress(State& state, const Context& context, const std::string& host,
                       const v1::ScrubProgress& progress, Changes& changes);

// Gives waiting scrubs of `device`, unless it is in recovery, to hosts that are attached to it,
// as many as they may have at a time.
void AssignScrubs(State& state, const Context& context, const DeviceId& device, Changes& changes);

// Gives `host` more waiting scrubs, of any device that it is attached to.
void AssignScrubsTo(State& state, const Context& context, const std::string& host,
                    Changes& changes);

// The hosts that have `scrubs` cannot write there any more: what is not zeroed waits for
// another. REQUIRES: a host has each.
void AbandonScrubs(State& state, const Context& context, absl::btree_set<uint64_t> scrubs,
                   Changes& changes);

// The host makes no store to `device` any more, or to another memory than was proved: what
// it had not zeroed waits. The caller goes on with AssignScrubs and AssignScrubsTo.
void AbandonScrubsOn(State& state, const std::string& host, const DeviceId& device,
                     Changes& changes);

// The device lost its contents and is never allocated from again: nothing waits for it.
void ForgetScrubs(State& state, const Context& context, const DeviceId& device, Changes& changes);

// The bytes of the scrub's extents, taken together, in [begin, end).
std::vector<Extent> PartOf(const store::v1::ScrubRecord& record, uint64_t begin, uint64_t end);
// Those that are not free yet.
std::vector<Extent> RemainingOf(const store::v1::ScrubRecord& record);

void AppendScrubAssignments(const State& state, const std::string& host,
                            v1::Assignments& assignments);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_SCRUBS_H_
