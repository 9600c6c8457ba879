#include "client/sdk/internal/address_range.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "client/sdk/internal/unique_fd.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kAlignment = 2 << 20;

UniqueFd MakeFile(uint64_t size_bytes) {
  UniqueFd file(memfd_create("range", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(file.get(), static_cast<off_t>(size_bytes)), 0);
  return file;
}

// Whether anything is mapped there. msync of what is not mapped is ENOMEM.
bool IsMapped(const std::byte* at) {
  return msync(const_cast<std::byte*>(at), kPage, MS_ASYNC) == 0;
}

TEST(AddressRangeTest, IsAlignedAndGoesAway) {
  std::byte* base = nullptr;
  {
    const auto range = AddressRange::Reserve(3 * kPage, kAlignment);
    ASSERT_TRUE(range.ok()) << range.status();
    base = (*range)->data();
    EXPECT_EQ(reinterpret_cast<uintptr_t>(base) % kAlignment, 0);
    EXPECT_TRUE(IsMapped(base + 2 * kPage));
    EXPECT_FALSE(IsMapped(base + 3 * kPage));
  }
  EXPECT_FALSE(IsMapped(base));
}

TEST(AddressRangeTest, PiecesLieBesideOneAnother) {
  const UniqueFd file = MakeFile(4 * kPage);
  const auto range = AddressRange::Reserve(2 * kPage, kAlignment);
  ASSERT_TRUE(range.ok());
  ASSERT_TRUE((*range)->MapFile(0, kPage, PROT_READ | PROT_WRITE, file.get(), 3 * kPage).ok());
  ASSERT_TRUE((*range)->MapFile(kPage, kPage, PROT_READ | PROT_WRITE, file.get(), kPage).ok());
  std::memset((*range)->data(), 'x', 2 * kPage);
  std::string bytes(4 * kPage, '\0');
  ASSERT_EQ(pread(file.get(), bytes.data(), bytes.size(), 0), 4 * kPage);
  const std::string blank(kPage, '\0');
  const std::string full(kPage, 'x');
  EXPECT_EQ(bytes, blank + full + blank + full);
}

TEST(AddressRangeTest, AFailedPieceLeavesWhatIsBefore) {
  const UniqueFd file = MakeFile(kPage);
  const auto range = AddressRange::Reserve(4 * kPage, kAlignment);
  ASSERT_TRUE(range.ok());
  ASSERT_TRUE((*range)->MapFile(0, kPage, PROT_READ | PROT_WRITE, file.get(), 0).ok());
  // The kernel has no such file.
  EXPECT_FALSE((*range)->MapFile(kPage, kPage, PROT_READ, -1, 0).ok());
  EXPECT_EQ((*range)->size_bytes(), kPage);
  std::memset((*range)->data(), 'x', kPage);
  EXPECT_FALSE(IsMapped((*range)->data() + 2 * kPage));
}

TEST(AddressRangeTest, TooMuchIsQuota) {
  const absl::Status status = AddressRange::Reserve(uint64_t{1} << 60, kAlignment).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), v1::QUOTA);
}

}  // namespace
}  // namespace weft::sdk
