#include "client/cli/fsck.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/exit_codes.h"
#include "client/sdk/admin/rpc_client.h"
#include "gmock/gmock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/fsck.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"
#include "server/core/errors.h"
#include "server/rpc/status.h"

namespace weft::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

absl::Status DoesNotAnswer() {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::SESSION_EXPIRED, "it is gone");
}

v1::Difference Missing(const std::string& host) {
  v1::Difference one;
  one.set_kind(v1::GRANT_MISSING);
  one.set_resource("pools/p/segments/s");
  one.set_host(host);
  one.set_segment_id(1);
  one.set_recorded("READ_WRITE");
  one.set_found("no grant");
  one.set_repair(v1::RESYNC_HOST);
  one.set_remedy("the host registers again");
  return one;
}

// What a host answers a check.
using Answer = absl::StatusOr<std::vector<v1::Difference>>;

Answer Finds(std::vector<v1::Difference> differences) { return differences; }

class FakeHosts final : public v1::HostService::Service {
 public:
  explicit FakeHosts(std::vector<std::string> names) : names_(std::move(names)) {}

  grpc::Status ListHosts(grpc::ServerContext*, const v1::ListHostsRequest*,
                         v1::ListHostsResponse* reply) override {
    for (const std::string& name : names_) {
      v1::Host& host = *reply->add_hosts();
      host.set_name(name);
      host.set_state(name == "hosts/down" ? v1::HOST_DOWN : v1::HOST_ALIVE);
    }
    return grpc::Status::OK;
  }

 private:
  const std::vector<std::string> names_;
};

class FakeFsck final : public v1::FsckService::Service {
 public:
  grpc::Status CheckRecords(grpc::ServerContext*, const v1::CheckRecordsRequest*,
                            v1::CheckResponse*) override {
    absl::MutexLock lock(&mu_);
    return ToGrpcStatus(records_);
  }
  grpc::Status CheckHost(grpc::ServerContext* context, const v1::CheckHostRequest* request,
                         v1::CheckResponse* reply) override {
    absl::MutexLock lock(&mu_);
    checked_.insert(request->name());
    if (!mu_.AwaitWithTimeout(absl::Condition(this, &FakeFsck::AllAreHere), absl::Seconds(10))) {
      awaited_ = 0;
      return ToGrpcStatus(DoesNotAnswer());
    }
    const gpr_timespec deadline = context->raw_deadline();
    time_left_ = absl::Milliseconds(
        gpr_time_to_millis(gpr_time_sub(deadline, gpr_now(deadline.clock_type))));
    std::deque<Answer>& answers = answers_[request->name()];
    if (answers.empty()) return grpc::Status::OK;
    const Answer answer = answers.front();
    if (answers.size() > 1) answers.pop_front();
    if (!answer.ok()) return ToGrpcStatus(answer.status());
    for (const v1::Difference& one : *answer) *reply->add_differences() = one;
    return grpc::Status::OK;
  }
  grpc::Status Repair(grpc::ServerContext*, const v1::RepairRequest* request,
                      google::protobuf::Empty*) override {
    absl::MutexLock lock(&mu_);
    repairs_.push_back(*request);
    answers_[request->host()] = {after_repair_};
    return grpc::Status::OK;
  }

  // Of a host, one check after another; the last one goes on.
  void Answers(const std::string& host, std::deque<Answer> answers) {
    absl::MutexLock lock(&mu_);
    answers_[host] = std::move(answers);
  }
  // Of any host.
  void AnswersAfterRepair(Answer answer) {
    absl::MutexLock lock(&mu_);
    after_repair_ = std::move(answer);
  }
  void RecordsFail(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    records_ = status;
  }
  // No check of a host is answered before so many are asked.
  void WaitFor(size_t hosts) {
    absl::MutexLock lock(&mu_);
    awaited_ = hosts;
  }
  std::set<std::string> checked() {
    absl::MutexLock lock(&mu_);
    return checked_;
  }
  std::vector<v1::RepairRequest> repairs() {
    absl::MutexLock lock(&mu_);
    return repairs_;
  }
  absl::Duration time_left() {
    absl::MutexLock lock(&mu_);
    return time_left_;
  }

 private:
  bool AllAreHere() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return checked_.size() >= awaited_; }

  absl::Mutex mu_;
  absl::Status records_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, std::deque<Answer>> answers_ ABSL_GUARDED_BY(mu_);
  Answer after_repair_ ABSL_GUARDED_BY(mu_) = Finds({});
  std::set<std::string> checked_ ABSL_GUARDED_BY(mu_);
  size_t awaited_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<v1::RepairRequest> repairs_ ABSL_GUARDED_BY(mu_);
  absl::Duration time_left_ ABSL_GUARDED_BY(mu_);
};

class FsckTest : public testing::Test {
 protected:
  FsckTest() { Serve({"hosts/a", "hosts/b", "hosts/down"}); }

  void Serve(const std::vector<std::string>& hosts) {
    hosts_ = std::make_unique<FakeHosts>(hosts);
    int port = 0;
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(hosts_.get());
    builder.RegisterService(&coordinator_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }

  absl::Status Run(FsckOptions options = {}, bool json = false) {
    options.between_passes = absl::ZeroDuration();
    options.repair_time = absl::ZeroDuration();
    out_.str("");
    err_.str("");
    Context context(out_, err_);
    context.options().coordinator = address_;
    context.options().timeout = absl::Seconds(30);
    context.options().json = json;
    const absl::Status status = Fsck(context, options);
    code_ = context.exit_code();
    return status;
  }
  void Repair(bool json = false) {
    const absl::Status status = Run({.repair = true, .yes = true}, json);
    EXPECT_TRUE(status.ok()) << status;
  }

  FakeFsck coordinator_;
  std::unique_ptr<FakeHosts> hosts_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::ostringstream out_, err_;
  std::optional<int> code_;
};

TEST_F(FsckTest, AClusterInOrderIsClean) {
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(code_, kExitOk);
  EXPECT_EQ(out_.str(), "clean: 2 hosts checked\n");
}

TEST_F(FsckTest, WhatIsGoneInTheSecondPassWasUnderWay) {
  coordinator_.Answers("hosts/a", {Finds({Missing("hosts/a")}), Finds({})});
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(code_, kExitOk) << out_.str();
}

TEST_F(FsckTest, DifferencesComeByHost) {
  coordinator_.Answers("hosts/b", {Finds({Missing("hosts/b")})});
  coordinator_.Answers("hosts/a", {Finds({Missing("hosts/a")})});
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(code_, kFsckLeft);
  EXPECT_THAT(out_.str(), HasSubstr("GRANT_MISSING pools/p/segments/s on a\n"));
  EXPECT_LT(out_.str().find("on a\n"), out_.str().find("on b\n"));
  EXPECT_THAT(coordinator_.repairs(), IsEmpty());
}

TEST_F(FsckTest, WhatIsGoneAfterARepairIsRepaired) {
  coordinator_.Answers("hosts/a", {Finds({Missing("hosts/a")})});
  Repair();
  EXPECT_EQ(code_, kFsckRepaired);
  EXPECT_THAT(out_.str(), HasSubstr("1 difference repaired, 0 left"));
  ASSERT_THAT(coordinator_.repairs(), SizeIs(1));
  EXPECT_EQ(coordinator_.repairs()[0].action(), v1::RESYNC_HOST);
  EXPECT_EQ(coordinator_.repairs()[0].host(), "hosts/a");
}

TEST_F(FsckTest, AHostThatCannotBeCheckedAfterARepairIsNotRepaired) {
  coordinator_.Answers("hosts/a", {Finds({Missing("hosts/a")})});
  coordinator_.Answers("hosts/b", {Finds({Missing("hosts/b")})});
  coordinator_.AnswersAfterRepair(DoesNotAnswer());
  Repair();
  EXPECT_EQ(code_, kFsckLeft | kFsckNotChecked);
  EXPECT_THAT(out_.str(), HasSubstr("0 differences repaired, 2 left"));
  EXPECT_THAT(err_.str(), HasSubstr("a was not checked: it is gone"));
}

TEST_F(FsckTest, AHostThatIsCheckedOnlyOnceIsNotChecked) {
  coordinator_.Answers("hosts/a", {DoesNotAnswer(), Finds({Missing("hosts/a")})});
  coordinator_.Answers("hosts/b", {Finds({Missing("hosts/b")})});
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(code_, kFsckLeft | kFsckNotChecked);
  EXPECT_THAT(out_.str(), HasSubstr("1 host checked"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("on a\n"))) << "nobody has said it twice";
}

TEST_F(FsckTest, WhatANewerCoordinatorWouldRepairIsLeft) {
  v1::Difference unknown = Missing("hosts/a");
  unknown.set_kind(static_cast<v1::DifferenceKind>(99));
  unknown.set_repair(static_cast<v1::RepairAction>(99));
  v1::Difference none = Missing("hosts/a");
  none.set_repair(v1::REPAIR_ACTION_UNSPECIFIED);
  coordinator_.Answers("hosts/a", {Finds({unknown, none})});
  Repair();
  EXPECT_EQ(code_, kFsckLeft);
  EXPECT_THAT(coordinator_.repairs(), IsEmpty());
  EXPECT_THAT(out_.str(), HasSubstr("DIFFERENCE_99 pools/p/segments/s on a"));
  EXPECT_THAT(out_.str(), HasSubstr("2 of them to be repaired by hand"));
}

TEST_F(FsckTest, HostsAreAskedTogether) {
  std::vector<std::string> hosts;
  for (int i = 0; i < 40; ++i) hosts.push_back("hosts/h" + std::to_string(i));
  Serve(hosts);
  coordinator_.WaitFor(16);
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(code_, kExitOk) << err_.str();
  EXPECT_EQ(coordinator_.checked(), std::set<std::string>(hosts.begin(), hosts.end()));
}

TEST_F(FsckTest, AHostHasAsLongAsTheCallerSaysAlsoIfOneOfSeveralCoordinatorsAsksIt) {
  address_ += ",unix:/nonexistent/weft.sock";
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(code_, kExitOk) << err_.str();
  EXPECT_GT(coordinator_.time_left(), 2 * sdk::RpcClient::kAttemptTimeout);
}

TEST_F(FsckTest, WhatEndsTheCheckLeavesItUndone) {
  coordinator_.RecordsFail(MakeError(absl::StatusCode::kNotFound, v1::HOST_NOT_FOUND, "none"));
  EXPECT_EQ(ReasonOf(Run()), v1::HOST_NOT_FOUND);
  EXPECT_EQ(code_, kFsckNotChecked);
}

TEST_F(FsckTest, WhoCannotBeAskedHasToSayYes) {
  coordinator_.Answers("hosts/a", {Finds({Missing("hosts/a")})});
  for (const bool json : {false, true}) {
    EXPECT_EQ(ReasonOf(Run({.repair = true}, json)), v1::BAD_ARGUMENT);
    EXPECT_EQ(code_, std::nullopt) << "as any wrong usage";
  }
  EXPECT_THAT(coordinator_.checked(), IsEmpty());
}

TEST_F(FsckTest, Json) {
  coordinator_.Answers("hosts/a", {Finds({Missing("hosts/a")})});
  coordinator_.Answers("hosts/b", {DoesNotAnswer()});
  Repair(/*json=*/true);
  EXPECT_EQ(code_, kFsckRepaired | kFsckNotChecked);
  const auto json = nlohmann::json::parse(out_.str());
  ASSERT_THAT(json["differences"], SizeIs(1));
  EXPECT_EQ(json["differences"][0]["kind"], "GRANT_MISSING");
  EXPECT_EQ(json["differences"][0]["segmentId"], "1");
  EXPECT_THAT(json["left"], IsEmpty());
  ASSERT_THAT(json["notChecked"], SizeIs(1));
  EXPECT_EQ(json["notChecked"][0]["host"], "hosts/b");
  EXPECT_EQ(json["notChecked"][0]["reason"], "it is gone");
}

}  // namespace
}  // namespace weft::cli
