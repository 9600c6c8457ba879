#include "client/sdk/internal/layout.h"

#include <algorithm>
#include <random>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft::sdk {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kPage = 4096;
// In a test, Run is a function of the test.
using Runs = std::vector<Run>;

const std::vector<std::string>& Devices() {
  static const auto& devices = *new std::vector<std::string>{"a", "b", "c"};
  return devices;
}

Run Linear(const std::string& device, uint64_t offset_pages, uint64_t pages) {
  return {{{device, offset_pages * kPage, pages * kPage}}, 0};
}

// Two columns of `pages` each, in chunks of two pages.
Run Striped(uint64_t offset_pages, uint64_t pages) {
  return {{{"a", offset_pages * kPage, pages * kPage}, {"b", 0, pages * kPage}}, 2 * kPage};
}

Layout Make(const std::vector<Run>& runs, uint64_t pages) {
  absl::StatusOr<Layout> layout = Layout::OfRuns(runs, Devices(), pages * kPage, kPage);
  EXPECT_TRUE(layout.ok()) << layout.status();
  return *std::move(layout);
}

Piece At(size_t source, uint64_t offset_pages, uint64_t pages) {
  return {source, offset_pages * kPage, pages * kPage};
}

TEST(LayoutTest, AFileIsOnePiece) {
  EXPECT_THAT(Layout::OfFile(8 * kPage).Slice(2 * kPage, 3 * kPage), ElementsAre(At(0, 2, 3)));
}

TEST(LayoutTest, RunsFollowOneAnother) {
  const Layout layout = Make({Linear("b", 10, 4), Linear("a", 7, 2), Linear("c", 0, 1)}, 7);
  EXPECT_THAT(layout.Slice(0, 7 * kPage), ElementsAre(At(1, 10, 4), At(0, 7, 2), At(2, 0, 1)));
  EXPECT_THAT(layout.Slice(3 * kPage, 2 * kPage), ElementsAre(At(1, 13, 1), At(0, 7, 1)));
  EXPECT_THAT(layout.Slice(7 * kPage, 0), ElementsAre());
}

TEST(LayoutTest, PiecesThatGoOnBecomeOne) {
  EXPECT_THAT(Make({Linear("a", 0, 4), Linear("a", 4, 4)}, 8).Slice(0, 8 * kPage),
              ElementsAre(At(0, 0, 8)));
}

TEST(LayoutTest, StripesAlternate) {
  const Layout layout = Make({Striped(6, 4)}, 8);
  EXPECT_THAT(layout.Slice(0, 8 * kPage),
              ElementsAre(At(0, 6, 2), At(1, 0, 2), At(0, 8, 2), At(1, 2, 2)));
  EXPECT_THAT(layout.Slice(1 * kPage, 2 * kPage), ElementsAre(At(0, 7, 1), At(1, 0, 1)));
}

// Where byte `offset` of the runs is, by the words of the API.
std::pair<std::string, uint64_t> Locate(const std::vector<Run>& runs, uint64_t offset) {
  for (const Run& run : runs) {
    const uint64_t n = run.extents.size();
    const uint64_t length = run.extents[0].length_bytes * n;
    if (offset >= length) {
      offset -= length;
      continue;
    }
    if (n == 1) return {run.extents[0].device, run.extents[0].offset_bytes + offset};
    const uint64_t chunk = offset / run.chunk_bytes;
    const Extent& extent = run.extents[chunk % n];
    return {extent.device,
            extent.offset_bytes + chunk / n * run.chunk_bytes + offset % run.chunk_bytes};
  }
  return {};
}

TEST(LayoutTest, EveryPageIsWhereTheRunsSay) {
  const Runs runs = {Linear("c", 3, 5), Striped(40, 8), Linear("a", 0, 1), Striped(60, 2),
                     Linear("b", 20, 7)};
  constexpr uint64_t kPages = 5 + 16 + 1 + 4 + 7;
  const Layout layout = Make(runs, kPages);
  std::mt19937 random(1);
  for (int round = 0; round < 1000; ++round) {
    const uint64_t from = random() % kPages;
    const uint64_t pages = random() % (kPages - from) + 1;
    uint64_t at = from * kPage;
    for (const Piece& piece : layout.Slice(from * kPage, pages * kPage)) {
      for (uint64_t done = 0; done < piece.length_bytes; done += kPage, at += kPage) {
        ASSERT_EQ(Locate(runs, at),
                  std::make_pair(Devices()[piece.source], piece.source_offset_bytes + done));
      }
    }
    ASSERT_EQ(at, (from + pages) * kPage);
  }
}

struct BadCase {
  const char* what;
  std::vector<Run> runs;
  uint64_t size_bytes;
};

TEST(LayoutTest, RefusesWhatCannotBe) {
  const uint64_t huge = uint64_t{1} << 63;
  auto unequal = Striped(0, 4);
  unequal.extents[1].length_bytes = 2 * kPage;
  auto uneven = Striped(0, 3);
  auto chunkless = Striped(0, 4);
  chunkless.chunk_bytes = 0;
  const std::vector<BadCase> cases = {
      {"an empty run", {{}}, kPage},
      {"but no descriptor", {Linear("d", 0, 1)}, kPage},
      {"whole pages", {{{{"a", 100, kPage}}, 0}}, kPage},
      {"whole pages", {{{{"a", 0, 100}}, 0}}, 100},
      {"whole pages", {{{{"a", 0, 0}}, 0}}, 0},
      {"whole pages", {{{{"a", huge, kPage}}, 0}}, kPage},
      {"unequal extents", {unequal}, 6 * kPage},
      {"whole chunks", {uneven}, 6 * kPage},
      {"whole chunks", {chunkless}, 8 * kPage},
      {"2^63", {Linear("a", 0, huge / kPage - 1), Linear("b", 0, 1)}, huge},
      {"a size of 8192", {Linear("a", 0, 1)}, 2 * kPage},
  };
  for (const BadCase& bad : cases) {
    const absl::Status status = Layout::OfRuns(bad.runs, Devices(), bad.size_bytes, kPage).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << bad.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(bad.what));
  }
}

}  // namespace
}  // namespace weft::sdk
