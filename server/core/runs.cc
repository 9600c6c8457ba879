#include "server/core/runs.h"

#include <utility>

#include "server/core/check.h"
#include "server/core/lookup.h"

namespace weft {
namespace {

bool Continues(const v1::Extent& last, const v1::Extent& next) {
  return last.device() == next.device() &&
         last.offset_bytes() + last.length_bytes() == next.offset_bytes();
}

bool Continues(const v1::Run& last, const v1::Run& next) {
  if (last.extents_size() != next.extents_size() || last.chunk_bytes() != next.chunk_bytes()) {
    return false;
  }
  for (int i = 0; i < last.extents_size(); ++i) {
    if (!Continues(last.extents(i), next.extents(i))) return false;
  }
  return true;
}

bool Contains(const Extent& whole, const Extent& part) {
  return whole.device == part.device && whole.offset <= part.offset && part.end() <= whole.end();
}

void AppendExtent(v1::Segment& segment, const Extent& extent) {
  if (extent.length == ByteCount(0)) return;
  v1::Run run;
  *run.add_extents() = ToProto(extent);
  AppendRun(segment, run);
}

// Appends `run` with the bytes replaced; false: it does not have them.
bool AppendReplaced(v1::Segment& segment, v1::Run run, const Extent& from,
                    const std::vector<Extent>& to) {
  for (v1::Extent& proto : *run.mutable_extents()) {
    const Extent extent = FromProto(proto);
    if (!Contains(extent, from)) continue;
    if (run.extents_size() > 1) {
      WEFT_CHECK(extent == from && to.size() == 1 && to[0].length == from.length);
      proto = ToProto(to[0]);
      AppendRun(segment, run);
      return true;
    }
    AppendExtent(segment, {from.device, extent.offset, from.offset - extent.offset});
    for (const Extent& part : to) AppendExtent(segment, part);
    AppendExtent(segment, {from.device, from.end(), extent.end() - from.end()});
    return true;
  }
  AppendRun(segment, run);
  return false;
}

}  // namespace

void AppendRun(v1::Segment& segment, const v1::Run& next) {
  if (segment.runs_size() > 0) {
    v1::Run& last = *segment.mutable_runs(segment.runs_size() - 1);
    if (Continues(last, next)) {
      for (int i = 0; i < last.extents_size(); ++i) {
        v1::Extent& extent = *last.mutable_extents(i);
        extent.set_length_bytes(extent.length_bytes() + next.extents(i).length_bytes());
      }
      return;
    }
  }
  *segment.add_runs() = next;
}

void ReplaceExtent(v1::Segment& segment, const Extent& from, const std::vector<Extent>& to) {
  const auto runs = std::exchange(*segment.mutable_runs(), {});
  int replaced = 0;
  for (const v1::Run& run : runs) replaced += AppendReplaced(segment, run, from, to) ? 1 : 0;
  WEFT_CHECK(replaced == 1, segment.name(), " does not have the bytes once");
}

}  // namespace weft
