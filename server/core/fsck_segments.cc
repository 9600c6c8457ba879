#include <algorithm>
#include <optional>
#include <string>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "server/core/differences.h"
#include "server/core/lookup.h"

namespace weft {
namespace {

using Runs = google::protobuf::RepeatedPtrField<v1::Run>;

std::string Text(const Token& token) { return absl::StrCat(token.epoch, ".", token.counter); }

// Of a v1::Grant or a v1::HeldGrant.
template <typename Grant>
std::string TextOf(const Grant& grant) {
  return absl::StrCat(v1::AccessMode_Name(grant.mode()), " under token ",
                      Text(FromProto(grant.token())));
}

std::string Text(const v1::KernelSegment& kernel) {
  return absl::StrCat("the kernel has it ", v1::KernelSegmentState_Name(kernel.state()),
                      " under token ", Text(FromProto(kernel.token())), ", ", kernel.size_bytes(),
                      " bytes, ", kernel.handles(), " handles");
}

bool Same(const Runs& a, const Runs& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const v1::Run& x, const v1::Run& y) {
    return x.chunk_bytes() == y.chunk_bytes() &&
           std::equal(x.extents().begin(), x.extents().end(), y.extents().begin(),
                      y.extents().end(), [](const v1::Extent& e, const v1::Extent& f) {
                        return e.device() == f.device() && e.offset_bytes() == f.offset_bytes() &&
                               e.length_bytes() == f.length_bytes();
                      });
  });
}

// What the host should have of one segment.
struct Expected {
  const v1::Grant* grant = nullptr;
  const Runs* runs = nullptr;
};

class Comparison {
 public:
  Comparison(const State& state, const std::string& host, const v1::HostInventory& found,
             v1::CheckResponse& response)
      : state_(state),
        last_{state.cluster.epoch(), state.cluster.last_token_counter()},
        host_(host),
        found_(found),
        response_(response) {}

  void Compare(const v1::InventoryRequest& asked) {
    absl::btree_map<SegmentId, const v1::HostSegment*> there;
    for (const v1::HostSegment& segment : found_.segments()) {
      there[SegmentId(segment.segment_id())] = &segment;
    }
    absl::btree_map<SegmentId, Expected> expected =
        ExpectedAfter(asked.after_segment_id(), found_.through_segment_id());
    for (const auto& [id, segment] : there) CompareOne(id, expected[id], *segment);
    for (const auto& [id, one] : expected) {
      if (!there.contains(id)) GrantMissing(id, one);
    }
  }

 private:
  absl::btree_map<SegmentId, Expected> ExpectedAfter(uint64_t after, uint64_t through) const {
    absl::btree_map<SegmentId, Expected> expected;
    const auto in_page = [&](SegmentId id) {
      return id.value() > after && (through == 0 || id.value() <= through);
    };
    const HostState& host = state_.hosts.at(host_);
    for (auto it = host.grants.upper_bound(SegmentId(after));
         it != host.grants.end() && in_page(*it); ++it) {
      if (host.releasing.contains(*it)) continue;
      expected[*it] = {&state_.grants.at({*it, host_}).grant(),
                       &SegmentById(state_, *it).segment().runs()};
    }
    for (const SegmentId id : host.strays) {
      if (!in_page(id) || state_.leaving_strays.contains({id, host_})) continue;
      const store::v1::StrayRecord& stray = state_.strays.at({id, host_});
      expected[id] = {&stray.grant(), &stray.runs()};
    }
    return expected;
  }

  void CompareOne(SegmentId id, const Expected& expected, const v1::HostSegment& segment) {
    if (!segment.has_grant()) {
      if (expected.grant != nullptr) GrantMissing(id, expected);
      if (segment.has_kernel()) KernelUnknown(id, segment);
      return;
    }
    if (expected.grant == nullptr) {
      Report(v1::GRANT_UNKNOWN, id, segment, "no grant of this host",
             absl::StrCat("weftd has it ", TextOf(segment.grant())));
    } else {
      CompareGrant(id, expected, segment);
    }
    if (found_.has_kernel()) CompareKernel(id, segment);
  }

  void CompareGrant(SegmentId id, const Expected& expected, const v1::HostSegment& segment) {
    const v1::HeldGrant& held = segment.grant();
    const Token token = FromProto(held.token());
    if (token > last_) {
      TokenAhead(id, segment, token, "weftd");
    } else if (token != FromProto(expected.grant->token()) ||
               held.mode() != expected.grant->mode()) {
      Report(v1::GRANT_DIFFERS, id, segment, TextOf(*expected.grant), TextOf(held));
    }
    if (!held.runs().empty() && !Same(held.runs(), *expected.runs)) {
      Report(v1::EXTENTS_DIFFER, id, segment, ExtentsText(*expected.runs),
             ExtentsText(held.runs()));
    }
  }

  void CompareKernel(SegmentId id, const v1::HostSegment& segment) {
    if (!segment.has_kernel()) {
      if (segment.handles() == 0) return;
      ReportByHand(v1::HANDLE_WITHOUT_SEGMENT, id, segment,
                   absl::StrCat("clients have ", segment.handles(),
                                " handles, and the kernel has no such segment"),
                   "end the programs on the host that have the segment open");
      return;
    }
    const v1::KernelSegment& kernel = segment.kernel();
    if (FromProto(kernel.last_token()) > last_) {
      TokenAhead(id, segment, FromProto(kernel.last_token()), "the kernel");
    }
    if (kernel.state() == v1::KERNEL_REVOKING && kernel.pages_pinned() > 0) {
      ReportByHand(v1::SEGMENT_PINNED, id, segment,
                   absl::StrCat("it is being taken back, and ", kernel.pages_pinned(),
                                " pages of it are pinned"),
                   "end the programs on the host that do I/O from it, or fence the host");
      return;
    }
    const bool other_token = FromProto(kernel.token()) != FromProto(segment.grant().token()) &&
                             kernel.state() == v1::KERNEL_LIVE;
    // Shorter it is until someone opens it after it has grown.
    if (!other_token && kernel.size_bytes() <= segment.grant().size_bytes()) return;
    Report(v1::KERNEL_SEGMENT_DIFFERS, id, segment,
           absl::StrCat("weftd has it ", TextOf(segment.grant()), ", ",
                        segment.grant().size_bytes(), " bytes"),
           Text(kernel));
  }

  void KernelUnknown(SegmentId id, const v1::HostSegment& segment) {
    Report(v1::KERNEL_SEGMENT_UNKNOWN, id, segment, "weftd has no grant", Text(segment.kernel()));
  }

  void GrantMissing(SegmentId id, const Expected& expected) {
    Finding finding = Make(v1::GRANT_MISSING, id, expected.grant->segment());
    finding.recorded = TextOf(*expected.grant);
    finding.found = "weftd has no grant";
    weft::Add(finding, response_);
  }

  void TokenAhead(SegmentId id, const v1::HostSegment& segment, const Token& token,
                  const std::string& who) {
    Finding finding = Make(v1::TOKEN_AHEAD, id, segment.grant().segment());
    finding.recorded = absl::StrCat("the last token given out is ", Text(last_));
    finding.found = absl::StrCat(who, " has token ", Text(token),
                                 ": the coordinator runs on an old copy of its store");
    finding.remedy =
        "raise the epoch above that token and grant the segment anew; a store that was put back "
        "by hand should be restored with `weft coordinator restore`";
    weft::Add(finding, response_);
  }

  void Report(v1::DifferenceKind kind, SegmentId id, const v1::HostSegment& segment,
              const std::string& recorded, const std::string& found) {
    Finding finding = Make(kind, id, segment.grant().segment());
    finding.recorded = recorded;
    finding.found = found;
    weft::Add(finding, response_);
  }

  void ReportByHand(v1::DifferenceKind kind, SegmentId id, const v1::HostSegment& segment,
                    const std::string& found, const std::string& remedy) {
    Finding finding = Make(kind, id, segment.grant().segment());
    finding.recorded = TextOf(segment.grant());
    finding.found = found;
    finding.repair = v1::REPAIR_BY_HAND;
    finding.remedy = remedy;
    weft::Add(finding, response_);
  }

  Finding Make(v1::DifferenceKind kind, SegmentId id, const std::string& name) const {
    Finding finding;
    finding.kind = kind;
    finding.host = host_;
    finding.segment = id;
    const auto known = state_.segment_by_id.find(id);
    if (known != state_.segment_by_id.end()) {
      finding.resource = state_.segments.at(known->second).segment().name();
    } else {
      finding.resource = ParseSegmentName(name).ok() ? name : absl::StrCat("segment ", id.value());
    }
    return finding;
  }

  const State& state_;
  const Token last_;
  const std::string& host_;
  const v1::HostInventory& found_;
  v1::CheckResponse& response_;
};

void CompareScrubs(const State& state, const std::string& host, const v1::HostInventory& found,
                   v1::CheckResponse& response) {
  const absl::btree_set<uint64_t>& expected = state.hosts.at(host).scrubs;
  const absl::btree_set<uint64_t> there(found.scrub_ids().begin(), found.scrub_ids().end());
  Finding finding;
  finding.host = host;
  for (const uint64_t id : expected) {
    if (there.contains(id)) continue;
    finding.kind = v1::SCRUB_MISSING;
    finding.resource = state.scrubs.at(id).extents(0).device();
    finding.recorded = absl::StrCat("scrub ", id, " is assigned to this host");
    finding.found = "weftd does not know it";
    Add(finding, response);
  }
  for (const uint64_t id : there) {
    if (expected.contains(id)) continue;
    finding.kind = v1::SCRUB_UNKNOWN;
    finding.resource = absl::StrCat("scrub ", id);
    finding.recorded = "no scrub of this host";
    finding.found = "weftd zeroes for it";
    Add(finding, response);
  }
}

}  // namespace

std::string ExtentsText(const Runs& runs) {
  constexpr int kMost = 4;
  std::string text;
  int extents = 0;
  for (const v1::Run& run : runs) {
    for (const v1::Extent& extent : run.extents()) {
      if (++extents > kMost) continue;
      absl::StrAppend(&text, text.empty() ? "" : ", ", extent.device(), " ", extent.offset_bytes(),
                      "+", extent.length_bytes());
    }
  }
  return extents > kMost ? absl::StrCat(text, " and ", extents - kMost, " more") : text;
}

void CompareSegments(const State& state, const std::string& host, const v1::InventoryRequest& asked,
                     const v1::HostInventory& found, v1::CheckResponse& response) {
  Comparison(state, host, found, response).Compare(asked);
  if (asked.after_segment_id() == 0) CompareScrubs(state, host, found, response);
}

}  // namespace weft
