// What every store must do, run on each.

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"
#include "server/store/etcd/etcd_server.h"
#include "server/store/etcd/etcd_store.h"
#include "server/store/faulty_store.h"
#include "server/store/memory_store.h"
#include "server/store/schema.h"
#include "server/store/sqlite_store.h"
#include "server/store/store.h"
#include "server/store/store_test_util.h"
#include "server/store/store_workload.h"

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Opener = std::function<absl::StatusOr<std::unique_ptr<Store>>()>;

struct StoreKind {
  const char* name;
  // Returns what opens stores on one fresh medium, one after the other.
  std::function<Opener(const std::string& folder)> make;
};

void PrintTo(const StoreKind& kind, std::ostream* out) { *out << kind.name; }

Opener MakeSqlite(const std::string& folder) {
  return [folder] { return SqliteStore::Open({.path = folder + "/store.db", .vfs = ""}); };
}

Opener MakeMemory(const std::string&) {
  return [medium = std::make_shared<MemoryMedium>()] { return MemoryStore::Open(medium); };
}

Opener MakeFaulty(const std::string&) {
  return [medium = std::make_shared<MemoryMedium>()]() -> absl::StatusOr<std::unique_ptr<Store>> {
    auto store = MemoryStore::Open(medium);
    if (!store.ok()) return store.status();
    return std::make_unique<FaultyStore>(*std::move(store));
  };
}

// For all tests together, from the first that needs them: each test has keys of its own.
struct SharedEtcd {
  TempDir folder;
  EtcdServers servers{folder.path(), 3};
};
std::unique_ptr<SharedEtcd> shared_etcd;

Opener MakeEtcd(const std::string& folder) {
  if (shared_etcd == nullptr) shared_etcd = std::make_unique<SharedEtcd>();
  EtcdTermOptions options;
  options.prefix = folder;
  options.address = "127.0.0.1:9460";
  // No test waits for a term to end by itself.
  options.ttl = absl::Minutes(10);
  return [options]() -> absl::StatusOr<std::unique_ptr<Store>> {
    const std::shared_ptr<EtcdClient> client = shared_etcd->servers.Connect();
    EtcdLeader other;
    auto term = EtcdTerm::TryBegin(client, options, &other);
    if (!term.ok()) return term.status();
    return std::make_unique<EtcdStore>(client, *std::move(term));
  };
}

class StoreContractTest : public testing::TestWithParam<StoreKind> {
 protected:
  StoreContractTest() : open_(GetParam().make(folder_.path())) { Reopen(); }

  static void TearDownTestSuite() { shared_etcd.reset(); }

  void Reopen() {
    store_.reset();
    auto store = open_();
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  int64_t MustCommit(const Transaction& transaction) {
    const auto result = store_->Commit(transaction);
    WEFT_EXPECT_OK(result);
    return result.ok() ? result->revision : 0;
  }

  TempDir folder_;
  Opener open_;
  std::unique_ptr<Store> store_;
};

TEST_P(StoreContractTest, StartsEmpty) { EXPECT_THAT(ScanAll(*store_), IsEmpty()); }

TEST_P(StoreContractTest, ScanGivesWhatWasPutWithItsRevision) {
  const int64_t first = MustCommit(Put("a", "1"));
  const int64_t second = MustCommit(Put("b", "2"));
  EXPECT_GT(first, 0);
  EXPECT_GT(second, first);
  EXPECT_THAT(ScanAll(*store_), ElementsAre(KeyValue{"a", "1", first}, KeyValue{"b", "2", second}));
}

TEST_P(StoreContractTest, OneTransactionIsOneRevision) {
  const int64_t revision = MustCommit({{}, {{"a", "1"}, {"b", "2"}}});
  EXPECT_THAT(ScanAll(*store_),
              ElementsAre(KeyValue{"a", "1", revision}, KeyValue{"b", "2", revision}));
}

TEST_P(StoreContractTest, ScanReturnsTheNewestRevision) {
  MustCommit(Put("a", "1"));
  const int64_t revision = MustCommit(Put("b", "2"));
  const auto scanned = store_->Scan("a", [](const KeyValue&) { return absl::OkStatus(); });
  WEFT_ASSERT_OK(scanned);
  EXPECT_EQ(*scanned, revision);
}

TEST_P(StoreContractTest, ScanIsInOrderOfBytesAndStopsAtThePrefix) {
  for (const std::string& key :
       std::vector<std::string>{"p/\xff\xff", "p/b", "q", std::string("p/\0a", 4), "p/", "p",
                                "p/\x7f", "p/\x80", "o/z"}) {
    MustCommit(Put(key, "v"));
  }
  EXPECT_THAT(KeysOf(*store_, "p/"),
              ElementsAre("p/", std::string("p/\0a", 4), "p/b", "p/\x7f", "p/\x80", "p/\xff\xff"));
  EXPECT_THAT(KeysOf(*store_, "p/\xff"), ElementsAre("p/\xff\xff"));
  EXPECT_THAT(KeysOf(*store_, "x"), IsEmpty());
}

TEST_P(StoreContractTest, VisitorEndsTheScan) {
  MustCommit({{}, {{"a", "1"}, {"b", "2"}, {"c", "3"}}});
  int visited = 0;
  const auto scanned = store_->Scan("", [&](const KeyValue&) {
    return ++visited == 2 ? absl::OutOfRangeError("enough") : absl::OkStatus();
  });
  EXPECT_EQ(scanned.status(), absl::OutOfRangeError("enough"));
  EXPECT_EQ(visited, 2);
  EXPECT_EQ(ScanAll(*store_).size(), 3u);
}

TEST_P(StoreContractTest, PutReplacesAndDeleteRemoves) {
  MustCommit(Put("a", "1"));
  const int64_t revision = MustCommit(Put("a", "2"));
  EXPECT_THAT(ScanAll(*store_), ElementsAre(KeyValue{"a", "2", revision}));
  MustCommit(Delete("a"));
  EXPECT_THAT(ScanAll(*store_), IsEmpty());
  MustCommit(Delete("a"));
}

TEST_P(StoreContractTest, ValuesAreAnyBytes) {
  const std::string bytes("\0\xff\n\0", 4);
  MustCommit(Put("binary", bytes));
  MustCommit(Put("empty", ""));
  EXPECT_EQ(ValueOf(*store_, "binary"), bytes);
  EXPECT_EQ(ValueOf(*store_, "empty"), "");
}

TEST_P(StoreContractTest, CompareHoldsAtTheRevisionOnly) {
  const int64_t first = MustCommit(Put("a", "1"));
  const int64_t second = MustCommit({{{"a", first}}, {{"a", "2"}}});
  const auto stale = store_->Commit({{{"a", first}}, {{"a", "3"}}});
  EXPECT_TRUE(absl::IsAborted(stale.status())) << stale.status();
  EXPECT_THAT(std::string(stale.status().message()), HasSubstr("\"a\""));
  EXPECT_EQ(OutcomeOf(stale.status()), Outcome::kNotCommitted);
  EXPECT_THAT(ScanAll(*store_), ElementsAre(KeyValue{"a", "2", second}));
}

TEST_P(StoreContractTest, CompareWithZeroMeansAbsent) {
  MustCommit({{{"a", 0}}, {{"a", "1"}}});
  EXPECT_TRUE(absl::IsAborted(store_->Commit({{{"a", 0}}, {{"a", "2"}}}).status()));
  MustCommit(Delete("a"));
  MustCommit({{{"a", 0}}, {{"a", "3"}}});
  EXPECT_EQ(ValueOf(*store_, "a"), "3");
}

TEST_P(StoreContractTest, FailedCompareChangesNothing) {
  MustCommit({{}, {{"a", "1"}, {"b", "2"}}});
  const auto before = ScanAll(*store_);
  EXPECT_TRUE(absl::IsAborted(
      store_->Commit({{{"c", 0}, {"a", 999}}, {{"c", "new"}, {"b", std::nullopt}}}).status()));
  EXPECT_EQ(ScanAll(*store_), before);
}

TEST_P(StoreContractTest, ComparesAloneReadTheRevision) {
  const int64_t revision = MustCommit(Put("a", "1"));
  EXPECT_EQ(MustCommit({{{"a", revision}}, {}}), revision);
  EXPECT_EQ(MustCommit({}), revision);
  EXPECT_TRUE(absl::IsAborted(store_->Commit({{{"a", revision + 1}}, {}}).status()));
}

TEST_P(StoreContractTest, RefusesMalformedTransactions) {
  for (const Transaction& bad :
       {Put("", "v"), Transaction{{{"", 0}}, {}}, Transaction{{}, {{"a", "1"}, {"a", "2"}}}}) {
    const absl::Status status = store_->Commit(bad).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(ReasonOf(status), v1::BAD_ARGUMENT);
  }
  EXPECT_THAT(ScanAll(*store_), IsEmpty());
}

TEST_P(StoreContractTest, TakesTransactionsUpToItsLimits) {
  const StoreLimits limits = store_->limits();
  Transaction transaction;
  for (size_t i = 0; i < limits.max_mutations; ++i) {
    transaction.mutations.push_back({"key" + std::to_string(i), "v"});
  }
  for (size_t i = 0; i < limits.max_compares; ++i) transaction.compares.push_back({"none", 0});
  if (SizeBytes(transaction) <= limits.max_bytes) {
    MustCommit(transaction);
    EXPECT_EQ(ScanAll(*store_).size(), limits.max_mutations);
  }
  transaction.mutations.push_back({"one more", "v"});
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Commit(transaction).status()));
  transaction.mutations.pop_back();
  transaction.compares.push_back({"none", 0});
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Commit(transaction).status()));
}

TEST_P(StoreContractTest, TakesValuesUpToItsLimit) {
  const size_t overhead = SizeBytes(Put("big", ""));
  const std::string big(store_->limits().max_bytes - overhead, 'x');
  MustCommit(Put("big", big));
  EXPECT_TRUE(ValueOf(*store_, "big") == big);
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Commit(Put("big", big + "x")).status()));
  EXPECT_TRUE(ValueOf(*store_, "big") == big);
}

TEST_P(StoreContractTest, ContentsAndRevisionsOutliveTheStore) {
  MustCommit(Put("a", "1"));
  const int64_t deleted = MustCommit(Delete("a"));
  const int64_t kept = MustCommit(Put("b", "2"));
  const int64_t last = MustCommit({{}, {{"c", std::nullopt}}});
  Reopen();
  EXPECT_GT(kept, deleted);
  EXPECT_THAT(ScanAll(*store_), ElementsAre(KeyValue{"b", "2", kept}));
  EXPECT_GT(MustCommit(Put("d", "4")), last);
}

TEST_P(StoreContractTest, RecoverKeepsWhatWasCommitted) {
  const int64_t revision = MustCommit(Put("a", "1"));
  WEFT_ASSERT_OK(store_->Recover());
  WEFT_ASSERT_OK(store_->Recover());
  EXPECT_THAT(ScanAll(*store_), ElementsAre(KeyValue{"a", "1", revision}));
  EXPECT_GT(MustCommit(Put("a", "2")), revision);
}

TEST_P(StoreContractTest, HasOneOwner) {
  WEFT_EXPECT_OK(store_->ConfirmLeadership());
  const auto second = open_();
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_EQ(ReasonOf(second.status()), v1::STORE_IN_USE);
  WEFT_EXPECT_OK(store_->ConfirmLeadership());
  MustCommit(Put("a", "1"));
}

TEST_P(StoreContractTest, AgreesWithAModelOverRandomTransactions) {
  constexpr uint64_t kSeed = 7;
  constexpr uint64_t kCount = 300;
  for (uint64_t number = 1; number <= kCount; ++number) {
    MustCommit(WorkloadTransaction(kSeed, number));
    if (number % 50 == 0) Reopen();
  }
  const auto contents = ReadContents(*store_);
  WEFT_ASSERT_OK(contents);
  EXPECT_TRUE(*contents == WorkloadModel(kSeed).After(kCount));
}

TEST_P(StoreContractTest, SchemaIsCreatedOnceAndAcceptedAgain) {
  WEFT_ASSERT_OK(EnsureSchema(*store_));
  EXPECT_EQ(ValueOf(*store_, kSchemaKey), "1");
  MustCommit(Put("/weft/v1/pools/p", "x"));
  const auto before = ScanAll(*store_);
  Reopen();
  WEFT_ASSERT_OK(EnsureSchema(*store_));
  EXPECT_EQ(ScanAll(*store_), before);
}

TEST_P(StoreContractTest, NewerSchemaIsRefusedAndUntouched) {
  MustCommit(Put(kSchemaKey, "7"));
  const auto before = ScanAll(*store_);
  const absl::Status status = EnsureSchema(*store_);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(ReasonOf(status), v1::VERSION_TOO_NEW);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 7"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("up to 1"));
  EXPECT_EQ(ScanAll(*store_), before);
}

TEST_P(StoreContractTest, UnreadableSchemaIsDamage) {
  for (const char* bad : {"", "one", "0", "-1", "1x", "99999999999999999999"}) {
    MustCommit(Put(kSchemaKey, bad));
    const absl::Status status = EnsureSchema(*store_);
    EXPECT_TRUE(absl::IsDataLoss(status)) << bad << ": " << status;
    EXPECT_EQ(ReasonOf(status), v1::STORE_DAMAGED);
  }
}

TEST_P(StoreContractTest, MissingSchemaBesideOtherKeysIsDamage) {
  MustCommit(Put("/weft/v1/schema2", "x"));
  EXPECT_TRUE(absl::IsDataLoss(EnsureSchema(*store_)));
  EXPECT_THAT(KeysOf(*store_), ElementsAre("/weft/v1/schema2"));
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContractTest,
                         testing::Values(StoreKind{"Sqlite", MakeSqlite},
                                         StoreKind{"Memory", MakeMemory},
                                         StoreKind{"Faulty", MakeFaulty},
                                         StoreKind{"Etcd", MakeEtcd}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(OutcomeTest, OnlyWhatIsKnownToHaveChangedNothingIsNotCommitted) {
  EXPECT_EQ(OutcomeOf(absl::OkStatus()), Outcome::kCommitted);
  for (const auto code : {absl::StatusCode::kAborted, absl::StatusCode::kInvalidArgument,
                          absl::StatusCode::kResourceExhausted,
                          absl::StatusCode::kFailedPrecondition, absl::StatusCode::kDataLoss}) {
    EXPECT_EQ(OutcomeOf(absl::Status(code, "")), Outcome::kNotCommitted) << code;
  }
  for (const auto code :
       {absl::StatusCode::kUnavailable, absl::StatusCode::kDeadlineExceeded,
        absl::StatusCode::kInternal, absl::StatusCode::kUnknown, absl::StatusCode::kCancelled}) {
    EXPECT_EQ(OutcomeOf(absl::Status(code, "")), Outcome::kUnknown) << code;
  }
}

}  // namespace
}  // namespace weft
