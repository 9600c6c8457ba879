// Hosts that have to be stopped before another gets what they held: one that freezes as a whole,
// by its fence agent; one that is silent where there is none, by an administrator's word; one that
// is alive, by an administrator's wish.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/sdk/weft.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/weft/v1/event.grpc.pb.h"
#include "proto/weft/v1/host.grpc.pb.h"
#include "proto/weft/v1/pool.grpc.pb.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "tests/integration/cli.h"
#include "tests/integration/harness.h"
#include "tests/integration/holder.h"
#include "tests/integration/process.h"

namespace weft {
namespace {

using sdk::AccessMode;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;

constexpr uint64_t kSize = 2 * kExtentUnit.value();
constexpr char kFenceDummy[] = "/usr/sbin/fence_dummy";

// A process that stores to what this one has mapped when it is made, for ever.
class Writer {
 public:
  explicit Writer(std::byte* memory) : pid_(fork()) {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    auto* const word = reinterpret_cast<volatile uint64_t*>(memory);
    for (;;) *word = *word + 1;
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  // Without waiting for that.
  bool WasKilled() {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
    pid_ = -1;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

 private:
  pid_t pid_;
};

class FencingTest : public testing::Test {
 protected:
  FencingTest() : cluster_({.session_ttl = absl::Seconds(5)}) {}

  // Before Start.
  void NameAgent(const std::string& command, const std::string& members) {
    std::ofstream(cluster_.File("fence.json"))
        << R"({"agents": {"host-a": {"command": ")" << command << "\", " << members << "}}}";
    cluster_.AddCoordinatorFlag("--fence-config=" + cluster_.File("fence.json"));
  }
  // One that kills what UseA names, and fails until Permit.
  void NameAgentOfProcesses() {
    const char* const agent = getenv("FENCE_PROCESSES");
    ASSERT_NE(agent, nullptr);
    NameAgent(std::filesystem::absolute(agent),
              absl::StrCat(R"("action": "off", "options": {"pids": ")", cluster_.File("pids"),
                           R"(", "permit": ")", cluster_.File("permit"), "\"}"));
  }
  void Permit() { std::ofstream(cluster_.File("permit")) << "go"; }

  // Both hosts, pool "p" and an exclusive segment "p/s".
  void Start(v1::FencingPolicy policy) {
    ASSERT_TRUE(cluster_.StartCoordinator().ok());
    ASSERT_TRUE(cluster_.StartHost("host-a").ok());
    ASSERT_TRUE(cluster_.Format("host-a", 0).ok());
    ASSERT_TRUE(cluster_.StartHost("host-b").ok());
    const auto devices = cluster_.ListDevices();
    ASSERT_TRUE(devices.ok()) << devices.status();
    v1::CreatePoolRequest request;
    request.set_pool_id("p");
    request.mutable_pool()->set_fencing(policy);
    for (const v1::Device& device : *devices) request.add_devices(device.name());
    const auto pool = cluster_.admin().Call(&v1::PoolService::Stub::CreatePool, request);
    ASSERT_TRUE(pool.ok()) << pool.status();
    ASSERT_TRUE(cluster_.AwaitPool("p", {"host-a", "host-b"}).ok());
    a_ = Connect("host-a");
    b_ = Connect("host-b");
    const auto created = a_->CreateSegment("p/s", kSize, {.sharing = sdk::SharingMode::kExclusive});
    ASSERT_TRUE(created.ok()) << created.status();
  }
  // A client of host-a stores to the segment.
  void UseA() {
    handle_.emplace(*a_->Open("p/s", AccessMode::kReadWrite));
    {
      auto mapping = handle_->Map();
      ASSERT_TRUE(mapping.ok()) << mapping.status();
      writer_ = std::make_unique<Writer>(mapping->data());
    }
    std::ofstream(cluster_.File("pids")) << cluster_.host("host-a").pid() << "\n"
                                         << writer_->pid() << "\n";
  }
  // The whole host stops while it uses the segment.
  void FreezeA() {
    UseA();
    kill(cluster_.host("host-a").pid(), SIGSTOP);
    kill(writer_->pid(), SIGSTOP);
  }

  std::unique_ptr<sdk::Client> Connect(const std::string& host) {
    auto client = cluster_.Connect(
        host, {.connect_timeout = absl::Minutes(1), .call_timeout = absl::Minutes(1)});
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  absl::StatusOr<v1::Host> GetA() {
    v1::GetHostRequest request;
    request.set_name("hosts/host-a");
    return cluster_.admin().Call(&v1::HostService::Stub::GetHost, request);
  }
  void AwaitA(v1::HostState state, uint32_t failures = 0) {
    const absl::Status status =
        cluster_.Await(v1::HostState_Name(state), [&]() -> absl::StatusOr<bool> {
          const auto host = GetA();
          if (!host.ok()) return host.status();
          return host->state() == state && host->fence().failures() >= failures;
        });
    ASSERT_TRUE(status.ok()) << status << "\n" << cluster_.Log("coordinator");
  }
  v1::Reason WhyRefusedToB() { return ReasonOf(b_->Open("p/s", AccessMode::kReadWrite).status()); }
  // What `weft` prints; it must succeed.
  std::string Weft(const std::vector<std::string>& arguments) {
    EXPECT_EQ(cli_.Run(arguments), 0) << cli_.Output();
    return cli_.Output();
  }
  // What it prints when it fails.
  std::string WeftFails(const std::vector<std::string>& arguments) {
    EXPECT_EQ(cli_.Run(arguments), 1) << cli_.Output();
    return cli_.Output();
  }
  // The types of the events of host-a and of the segment, in order.
  std::vector<std::string> History() {
    v1::ListEventsRequest request;
    request.set_page_size(1000);
    const auto page = cluster_.admin().Call(&v1::EventService::Stub::ListEvents, request);
    EXPECT_TRUE(page.ok()) << page.status();
    std::vector<std::string> types;
    for (const v1::Event& event : page->events()) {
      if (event.resource() == "hosts/host-a" || event.resource() == "pools/p/segments/s") {
        types.push_back(v1::EventType_Name(event.type()));
      }
    }
    return types;
  }
  void ExpectHistoryEndsWith(const std::vector<v1::EventType>& expected) {
    std::vector<std::string> names;
    for (const v1::EventType type : expected) names.push_back(v1::EventType_Name(type));
    std::vector<std::string> end = History();
    end.erase(end.begin(), end.end() - static_cast<ptrdiff_t>(std::min(end.size(), names.size())));
    EXPECT_EQ(end, names) << cluster_.Log("coordinator");
  }

  Cluster cluster_;
  Cli cli_{cluster_};
  std::unique_ptr<sdk::Client> a_;
  std::unique_ptr<sdk::Client> b_;
  std::optional<sdk::Handle> handle_;
  std::unique_ptr<Writer> writer_;
};

TEST_F(FencingTest, TheAgentEndsAFrozenHostBeforeAnotherGetsItsSegment) {
  NameAgentOfProcesses();
  Start(v1::AGENT);
  FreezeA();
  AwaitA(v1::HOST_FENCING, /*failures=*/1);
  EXPECT_EQ(WhyRefusedToB(), v1::HELD);

  // The next coordinator goes on with it, and keeps the host out.
  cluster_.coordinator().Kill();
  ASSERT_TRUE(cluster_.StartCoordinator().ok());
  const auto host = GetA();
  ASSERT_TRUE(host.ok()) << host.status();
  EXPECT_EQ(host->state(), v1::HOST_FENCING);
  EXPECT_NE(host->fence().last_error().find("Unable to connect"), std::string::npos)
      << host->fence().last_error();
  EXPECT_EQ(WhyRefusedToB(), v1::HELD);

  Permit();
  AwaitA(v1::HOST_DOWN);
  auto granted = b_->Open("p/s", AccessMode::kReadWrite);
  ASSERT_TRUE(granted.ok()) << granted.status();
  EXPECT_TRUE(writer_->WasKilled()) << "host-b was granted what host-a still stored to";

  ExpectHistoryEndsWith({v1::SEGMENT_CREATED, v1::GRANT_ACQUIRED, v1::HOST_EXPIRED,
                         v1::HOST_FENCE_STARTED, v1::HOST_FENCE_FAILED, v1::HOST_FENCED,
                         v1::GRANT_RELEASED, v1::GRANT_ACQUIRED});

  // What was fenced may come back.
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  AwaitA(v1::HOST_ALIVE);
}

// The agent that Debian ships for trying out what uses agents.
TEST_F(FencingTest, AnAgentOfClusterLabsIsUnderstood) {
  ASSERT_TRUE(std::filesystem::exists(kFenceDummy)) << "apt-get install fence-agents";
  NameAgent(kFenceDummy, absl::StrCat(R"("action": "off", "options": {"status_file": ")",
                                      cluster_.File("power"), "\"}"));
  Start(v1::AGENT);
  std::ofstream(cluster_.File("power")) << "on";
  FreezeA();
  AwaitA(v1::HOST_DOWN);
  std::string power;
  std::ifstream(cluster_.File("power")) >> power;
  EXPECT_EQ(power, "off");
  EXPECT_TRUE(b_->Open("p/s", AccessMode::kReadWrite).ok());
  EXPECT_NE(cluster_.Log("coordinator").find("fence_agent_succeeded"), std::string::npos);
}

// Its backend cannot take memory back, and there is no agent that stops it.
TEST_F(FencingTest, AnAdministratorsWordFreesWhatASilentHostHolds) {
  Start(v1::LEASE);
  Holder holder(cluster_, "host-a", "p/s");
  EXPECT_THAT(WeftFails({"host", "fence", "host-a", "--confirm-powered-off"}),
              AllOf(HasSubstr("IN_USE"), HasSubstr("host-a is alive")));

  cluster_.host("host-a").Kill();
  AwaitA(v1::HOST_UNCERTAIN);
  const absl::Status held = b_->Open("p/s", AccessMode::kReadWrite).status();
  EXPECT_EQ(ReasonOf(held), v1::HELD);
  EXPECT_THAT(std::string(held.message()),
              AllOf(HasSubstr("hosts/host-a"), HasSubstr("may still have it mapped"),
                    HasSubstr("`weft host fence`")));
  EXPECT_THAT(Weft({"host", "list"}), ContainsRegex("host-a +uncertain"));
  EXPECT_THAT(Weft({"status"}), HasSubstr("1 alive of 2, 1 uncertain"));
  EXPECT_THAT(Weft({"grant", "list", "p/s"}), ContainsRegex("host-a +read-write +active"));
  EXPECT_THAT(WeftFails({"host", "fence", "host-a"}),
              AllOf(HasSubstr("NO_FENCE_AGENT"), HasSubstr("--confirm-powered-off")));
  EXPECT_EQ(WhyRefusedToB(), v1::HELD);

  EXPECT_THAT(Weft({"host", "fence", "host-a", "--confirm-powered-off"}),
              ContainsRegex("state +down"));
  auto granted = b_->Open("p/s", AccessMode::kReadWrite);
  ASSERT_TRUE(granted.ok()) << granted.status();
  EXPECT_THAT(Weft({"status"}), HasSubstr("1 alive of 2\n"));
  EXPECT_THAT(Weft({"events"}), ContainsRegex("HOST_FENCED +host-a +confirmed by hand"));
  ExpectHistoryEndsWith({v1::SEGMENT_CREATED, v1::GRANT_ACQUIRED, v1::HOST_EXPIRED, v1::HOST_FENCED,
                         v1::GRANT_RELEASED, v1::GRANT_ACQUIRED});

  // It was not off: it may come back, and what it held is its own no more.
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  AwaitA(v1::HOST_ALIVE);
  const auto notice = holder.AwaitNotice();
  ASSERT_TRUE(notice.ok()) << notice.status();
  EXPECT_FALSE(holder.handle().Map().ok());
  EXPECT_EQ(ReasonOf(a_->Open("p/s", AccessMode::kReadWrite).status()), v1::HELD);
  holder.LetGo();
  EXPECT_TRUE(granted->Close().ok());
  EXPECT_TRUE(a_->Open("p/s", AccessMode::kReadWrite).ok());
}

TEST_F(FencingTest, AHostThatIsAliveIsStoppedOnlyByForce) {
  NameAgentOfProcesses();
  Start(v1::LEASE);
  UseA();
  EXPECT_THAT(WeftFails({"host", "fence", "host-a"}),
              AllOf(HasSubstr("IN_USE"), HasSubstr("--force")));
  AwaitA(v1::HOST_ALIVE);

  EXPECT_THAT(Weft({"host", "fence", "host-a", "--force"}), ContainsRegex("state +fencing"));
  AwaitA(v1::HOST_FENCING, /*failures=*/1);
  EXPECT_THAT(Weft({"host", "list"}), ContainsRegex("host-a +fencing"));
  EXPECT_THAT(Weft({"status"}), HasSubstr("1 alive of 2, 1 fencing"));
  EXPECT_THAT(Weft({"host", "show", "host-a"}),
              AllOf(HasSubstr("fence failures"), HasSubstr("Unable to connect")));
  const absl::Status held = b_->Open("p/s", AccessMode::kReadWrite).status();
  EXPECT_EQ(ReasonOf(held), v1::HELD) << "it still stores there";
  EXPECT_THAT(std::string(held.message()), HasSubstr("being fenced"));
  const auto impatient = cluster_.Connect("host-a", {.call_timeout = absl::Seconds(5)});
  ASSERT_TRUE(impatient.ok()) << impatient.status();
  EXPECT_EQ(ReasonOf((*impatient)->Open("p/s", AccessMode::kReadOnly).status()), v1::UNREACHABLE)
      << "it is kept out";

  Process fence = cli_.Start({"host", "fence", "host-a", "--force", "--wait"});
  Permit();
  EXPECT_EQ(fence.Wait(), 0) << cli_.Output();
  EXPECT_THAT(cli_.Output(), ContainsRegex("state +down"));
  EXPECT_TRUE(b_->Open("p/s", AccessMode::kReadWrite).ok());
  EXPECT_TRUE(writer_->WasKilled()) << "host-b was granted what host-a still stored to";
  ExpectHistoryEndsWith({v1::SEGMENT_CREATED, v1::GRANT_ACQUIRED, v1::HOST_FENCE_STARTED,
                         v1::HOST_FENCE_FAILED, v1::HOST_FENCED, v1::GRANT_RELEASED,
                         v1::GRANT_ACQUIRED});
  ASSERT_TRUE(cluster_.StartHost("host-a").ok());
  AwaitA(v1::HOST_ALIVE);
}

}  // namespace
}  // namespace weft
