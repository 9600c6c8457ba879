#include "server/node/held_grants.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace weft {
namespace {

// What a backup of the coordinator does not know is the newest: it is described in Register,
// within what a message may have.
constexpr size_t kMaxDescribed = 64;
constexpr size_t kMaxDescribedBytes = size_t{256} << 10;

// To what every Register says.
void Shorten(v1::HeldGrant& held) {
  held.clear_segment();
  held.clear_runs();
  held.clear_size_bytes();
  held.clear_generation();
  held.clear_coherence();
}

}  // namespace

v1::HeldGrant ToHeld(const v1::GrantAssignment& assignment) {
  v1::HeldGrant held;
  held.set_segment_id(assignment.grant().segment_id());
  *held.mutable_token() = assignment.grant().token();
  held.set_mode(assignment.grant().mode());
  held.set_segment(assignment.grant().segment());
  *held.mutable_runs() = assignment.runs();
  held.set_size_bytes(assignment.size_bytes());
  held.set_generation(assignment.generation());
  held.set_coherence(assignment.coherence());
  return held;
}

std::vector<v1::HeldGrant> ToHeld(const std::vector<const v1::GrantAssignment*>& grants) {
  std::vector<v1::HeldGrant> held;
  size_t described = 0;
  size_t described_bytes = 0;
  for (auto grant = grants.rbegin(); grant != grants.rend(); ++grant) {
    v1::HeldGrant entry = ToHeld(**grant);
    const size_t bytes = entry.ByteSizeLong();
    if (described < kMaxDescribed && described_bytes + bytes <= kMaxDescribedBytes) {
      ++described;
      described_bytes += bytes;
    } else {
      Shorten(entry);
    }
    held.push_back(std::move(entry));
  }
  std::reverse(held.begin(), held.end());
  return held;
}

}  // namespace weft
