#include "tests/sim/linearizability.h"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weft::sim {
namespace {

// Of the segment of one name.
struct Object {
  bool there = false;
  // 0: not known yet, of a segment whose creator got no answer.
  uint64_t id = 0;
  uint64_t size_bytes = 0;
  // Taken back from its holders: it may be gone at any moment.
  bool going = false;

  friend auto operator<=>(const Object&, const Object&) = default;
};

// The object as far as the reply of `op` shows it: false if it cannot be.
bool Shows(const Op& op, Object& object) {
  if (!object.there || (object.id != 0 && object.id != op.id)) return false;
  object.id = op.id;
  return object.size_bytes == op.size_bytes;
}

bool MayBeAbsent(const Object& object) { return !object.there || object.going; }

// What a create, grow or delete without a known outcome may have done.
std::vector<Object> Effects(const Op& op, const Object& object) {
  switch (op.kind) {
    case OpKind::kCreate:
      if (MayBeAbsent(object)) return {{true, 0, op.wanted_bytes, false}};
      return {};
    case OpKind::kGrow: {
      if (!object.there || object.going || op.wanted_bytes < object.size_bytes) return {};
      Object grown = object;
      grown.size_bytes = op.wanted_bytes;
      return {grown};
    }
    case OpKind::kDelete: {
      if (!object.there) return {};
      std::vector<Object> after = {Object()};
      if (op.force || object.going) {
        after.push_back(object);
        after.back().going = true;
      }
      return after;
    }
    case OpKind::kGet:
    case OpKind::kOpen:
      break;
  }
  return {};
}

std::vector<Object> AfterOk(const Op& op, Object object) {
  switch (op.kind) {
    case OpKind::kCreate:
      if (MayBeAbsent(object)) return {{true, op.id, op.size_bytes, false}};
      return {};
    case OpKind::kGrow:
      if (!object.there || op.size_bytes < object.size_bytes) return {};
      object.size_bytes = op.size_bytes;
      break;
    case OpKind::kDelete:
      return Effects(op, object);
    case OpKind::kGet:
    case OpKind::kOpen:
      break;
  }
  if (!Shows(op, object)) return {};
  return {object};
}

// The states that `op` may leave, if it happens now. None: it cannot.
std::vector<Object> Apply(const Op& op, const Object& object) {
  switch (op.result) {
    case OpResult::kOk:
      return AfterOk(op, object);
    case OpResult::kAbsent:
      if (MayBeAbsent(object)) return {Object()};
      return {};
    case OpResult::kPresent:
      if (object.there) return {object};
      return {};
    case OpResult::kRefused:
      return {object};
    case OpResult::kUnknown:
      return Effects(op, object);
  }
  return {};
}

// The search over one name's operations, in the order of their calls.
class Search {
 public:
  Search(std::vector<Op> ops, size_t most_tried)
      : ops_(std::move(ops)), most_tried_(most_tried), done_(ops_.size(), '\0') {}

  // True if it was given up, too.
  bool Succeeds() { return From(Object()); }
  bool given_up() const { return tried_.size() >= most_tried_; }

 private:
  // An operation without an outcome need not happen at all.
  bool MustHappen(size_t i) const { return ops_[i].result != OpResult::kUnknown; }

  std::string KeyOf(const Object& object) const {
    return absl::StrCat(done_, object.there ? "1" : "0", object.going ? "1" : "0", object.id, "/",
                        object.size_bytes);
  }

  // When the first of those that are left had returned; the end of time: none is left.
  uint64_t FirstReturn() {
    while (begin_ < ops_.size() && (done_[begin_] != 0 || !MustHappen(begin_))) ++begin_;
    uint64_t first = ~uint64_t{0};
    for (size_t i = begin_; i < ops_.size() && ops_[i].called < first; ++i) {
      if (done_[i] == 0 && MustHappen(i)) first = std::min(first, ops_[i].returned);
    }
    return first;
  }

  // Goes on with operation `i` done and the object as it then is.
  bool With(size_t i, const Object& after) {
    const size_t begin = begin_;
    done_[i] = 1;
    if (From(after)) return true;
    done_[i] = 0;
    begin_ = begin;
    return false;
  }

  bool From(const Object& object) {
    const uint64_t first_return = FirstReturn();
    if (first_return == ~uint64_t{0}) return true;
    if (given_up()) return true;
    if (!tried_.insert(KeyOf(object)).second) return false;
    // Next can only be what was called before any that is left had returned.
    std::vector<std::pair<size_t, std::vector<Object>>> next;
    for (size_t i = 0; i < ops_.size() && ops_[i].called < first_return; ++i) {
      if (done_[i] != 0) continue;
      std::vector<Object> after = Apply(ops_[i], object);
      // What changes nothing can as well be now as later.
      if (MustHappen(i) && after == std::vector<Object>{object}) return With(i, object);
      next.emplace_back(i, std::move(after));
    }
    for (const auto& [i, states] : next) {
      for (const Object& after : states) {
        if (With(i, after)) return true;
      }
    }
    return false;
  }

  const std::vector<Op> ops_;
  const size_t most_tried_;
  std::string done_;
  // Those before are done, or need not happen.
  size_t begin_ = 0;
  std::unordered_set<std::string> tried_;
};

const char* Name(OpKind kind) {
  static constexpr const char* kNames[] = {"create", "get", "open", "grow", "delete"};
  return kNames[static_cast<size_t>(kind)];
}

const char* Name(OpResult result) {
  static constexpr const char* kNames[] = {"OK", "absent", "present", "refused", "unknown"};
  return kNames[static_cast<size_t>(result)];
}

std::string Describe(const std::vector<Op>& ops) {
  std::string text;
  for (const Op& op : ops) {
    absl::StrAppend(&text, "\n  [", op.called, ", ",
                    op.returned == ~uint64_t{0} ? "never" : absl::StrCat(op.returned), "] ",
                    Name(op.kind), op.force ? " by force" : "", " ", op.wanted_bytes >> 20,
                    " MiB: ", Name(op.result));
    if (op.result == OpResult::kOk) {
      absl::StrAppend(&text, ", segment ", op.id, " of ", op.size_bytes >> 20, " MiB");
    }
  }
  return text;
}

// What says something of the segments. A request that was refused, and of which a copy may
// have come later, is two operations: what the answer shows, and what the copy may have done.
std::vector<Op> Telling(const std::vector<Op>& ops) {
  std::vector<Op> telling;
  for (Op op : ops) {
    const bool mutates = op.kind != OpKind::kGet && op.kind != OpKind::kOpen;
    const bool open = op.result == OpResult::kUnknown;
    if (!open && op.result != OpResult::kRefused) telling.push_back(op);
    const bool may_still_happen = open || (op.may_be_late && op.result != OpResult::kOk);
    if (!mutates || !may_still_happen) continue;
    op.result = OpResult::kUnknown;
    op.returned = ~uint64_t{0};
    telling.push_back(op);
  }
  return telling;
}

}  // namespace

Judgement Judge(const std::vector<Op>& ops, size_t most_tried) {
  Judgement judgement;
  std::map<std::string, std::vector<Op>> by_name;
  for (const Op& op : Telling(ops)) by_name[op.segment].push_back(op);
  for (const auto& [name, own] : by_name) {
    Search search(own, most_tried);
    const bool succeeds = search.Succeeds();
    ++judgement.searches;
    if (search.given_up()) ++judgement.given_up;
    if (succeeds) continue;
    judgement.contradiction = absl::StrCat("no order of the operations on segment \"", name,
                                           "\" explains their outcomes:", Describe(own));
    break;
  }
  return judgement;
}

}  // namespace weft::sim
