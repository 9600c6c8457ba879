#include "server/node/work_table.h"

#include <set>
#include <utility>

#include "server/core/token_proto.h"

namespace weft {
namespace {

// Whether `b` is the work that `a` is, and not another under the same key.
bool SameWork(const v1::Assignment& a, const v1::Assignment& b) {
  if (a.key() != b.key() || a.work_case() != b.work_case()) return false;
  switch (a.work_case()) {
    case v1::Assignment::kScrub:
      return a.scrub().scrub_id() == b.scrub().scrub_id() &&
             FromProto(a.scrub().token()) == FromProto(b.scrub().token());
    case v1::Assignment::kCopy:
      return a.copy().id() == b.copy().id() &&
             FromProto(a.copy().token()) == FromProto(b.copy().token());
    case v1::Assignment::kExchange:
      return a.exchange().step_id() == b.exchange().step_id();
    case v1::Assignment::kLabel:
      return a.label().device() == b.label().device() &&
             a.label().pool_uuid() == b.label().pool_uuid();
    case v1::Assignment::kGrant:
    case v1::Assignment::WORK_NOT_SET:
      break;
  }
  return false;
}

bool IsWork(const v1::Assignment& assignment) {
  return assignment.has_scrub() || assignment.has_copy() || assignment.has_exchange() ||
         assignment.has_label();
}

}  // namespace

WorkTable::Changes WorkTable::Apply(const v1::Assignments& assignments) {
  Changes changes;
  std::set<std::string> listed;
  for (const v1::Assignment& work : assignments.upserts()) {
    if (!IsWork(work)) continue;
    listed.insert(work.key());
    const auto it = items_.find(work.key());
    if (it != items_.end() && SameWork(it->second.work, work)) continue;
    if (it != items_.end()) changes.stop.push_back(std::move(it->second.work));
    items_[work.key()] = {work, std::nullopt};
    changes.start.push_back(work);
  }
  std::set<std::string> removed(assignments.removals().begin(), assignments.removals().end());
  for (auto it = items_.begin(); it != items_.end();) {
    const bool gone =
        removed.contains(it->first) || (assignments.whole() && !listed.contains(it->first));
    if (gone) {
      changes.stop.push_back(std::move(it->second.work));
      it = items_.erase(it);
    } else {
      ++it;
    }
  }
  return changes;
}

bool WorkTable::Report(const v1::Assignment& work, const v1::NodeMessage& report) {
  if (!IsWanted(work)) return false;
  items_.at(work.key()).report = report;
  return true;
}

std::vector<v1::NodeMessage> WorkTable::Reports() const {
  std::vector<v1::NodeMessage> reports;
  for (const auto& [key, item] : items_) {
    if (item.report) reports.push_back(*item.report);
  }
  return reports;
}

std::vector<uint64_t> WorkTable::Scrubs() const {
  std::vector<uint64_t> scrubs;
  for (const auto& [key, item] : items_) {
    if (item.work.has_scrub()) scrubs.push_back(item.work.scrub().scrub_id());
    if (item.work.has_copy()) scrubs.push_back(item.work.copy().id());
  }
  return scrubs;
}

bool WorkTable::IsWanted(const v1::Assignment& work) const {
  const auto it = items_.find(work.key());
  return it != items_.end() && SameWork(it->second.work, work);
}

}  // namespace weft
