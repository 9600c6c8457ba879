#include "server/core/backup_file.h"

#include <map>
#include <string>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

using Records = std::map<std::string, std::string>;

std::string Write(const Records& records) {
  BackupWriter writer(1'700'000'000'000);
  for (const auto& [key, value] : records) writer.Add(key, value);
  return std::move(writer).Finish();
}

absl::StatusOr<BackupInfo> Read(std::string_view bytes, Records& records) {
  return ReadBackup(bytes, [&](std::string_view key, std::string_view value) {
    records[std::string(key)] = std::string(value);
    return absl::OkStatus();
  });
}

v1::Reason ReasonFor(std::string_view bytes) {
  Records records;
  return ReasonOf(Read(bytes, records).status());
}

const Records kRecords = {{"/weft/v1/cluster", std::string("a\0b", 3)},
                          {"/weft/v1/pools/fam", ""},
                          {"/weft/v1/schema", "1"}};

TEST(BackupFileTest, WhatIsReadIsWhatWasWritten) {
  Records records;
  const auto info = Read(Write(kRecords), records);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(records, kRecords);
  EXPECT_EQ(info->records, 3u);
  EXPECT_EQ(info->create_time_unix_ms, 1'700'000'000'000u);
  records.clear();
  EXPECT_TRUE(Read(Write({}), records).ok());
  EXPECT_TRUE(records.empty());
}

// The example of docs/formats.md.
TEST(BackupFileTest, IsTheDocumentedFormat) {
  EXPECT_EQ(absl::BytesToHexString(Write({{"/weft/v1/schema", "1"}})),
            "57656674426b7570"  // WeftBkup
            "01000000"
            "00000000"
            "0068e5cf8b010000"
            "00000000"
            "97cc2a60"
            "0f000000"
            "01000000"
            "2f776566742f76312f736368656d61"  // /weft/v1/schema
            "31"
            "9c93b24f"
            "00000000"
            "08000000"
            "0100000000000000"
            "bc302e85");
}

TEST(BackupFileTest, NoticesEveryChangedByteAndEveryMissingOne) {
  const std::string good = Write(kRecords);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x10);
    EXPECT_EQ(ReasonFor(bad), v1::STORE_DAMAGED) << "byte " << i;
    EXPECT_EQ(ReasonFor(good.substr(0, i)), v1::STORE_DAMAGED) << "cut off at " << i;
  }
  EXPECT_EQ(ReasonFor(good + "x"), v1::STORE_DAMAGED);
}

TEST(BackupFileTest, NoticesRecordsThatWereTakenOutOrSwapped) {
  const size_t header = Write({}).size() - 20;
  const auto part = [&](const std::string& key) {
    const std::string whole = Write({{key, kRecords.at(key)}});
    return whole.substr(header, whole.size() - header - 20);
  };
  const std::string good = Write(kRecords);
  const std::string end = good.substr(good.size() - 20);
  const std::string a = part("/weft/v1/cluster");
  const std::string b = part("/weft/v1/pools/fam");
  const std::string c = part("/weft/v1/schema");
  ASSERT_EQ(good.substr(0, header) + a + b + c + end, good);
  EXPECT_EQ(ReasonFor(good.substr(0, header) + a + c + end), v1::STORE_DAMAGED);
  EXPECT_EQ(ReasonFor(good.substr(0, header) + b + a + c + end), v1::STORE_DAMAGED);
}

TEST(BackupFileTest, EndsWhenTheVisitorDoes) {
  const auto stopped =
      ReadBackup(Write(kRecords), [](std::string_view, std::string_view) -> absl::Status {
        return absl::CancelledError("enough");
      });
  EXPECT_TRUE(absl::IsCancelled(stopped.status()));
}

}  // namespace
}  // namespace weft
