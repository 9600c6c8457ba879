#include "tests/integration/failover/rivals.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "tests/soak/kill/pattern.h"

namespace weft {
namespace {

constexpr uint64_t kSizeBytes = 4 << 20;
constexpr absl::Duration kBetweenStores = absl::Milliseconds(1);
// No version of the heir's is one of the holder's.
constexpr uint64_t kHolderVersions = uint64_t{1} << 32;
// Longer than any lease of the tests, and what comes on top of it.
constexpr absl::Duration kPatience = absl::Minutes(2);

std::string HostName(const std::string& host) { return "hosts/" + host; }

}  // namespace

absl::StatusOr<std::unique_ptr<Rivals>> Rivals::Make(const RivalsOptions& options,
                                                     sdk::RpcClient& admin,
                                                     soak::Progress& progress) {
  std::unique_ptr<Rivals> rivals(new Rivals(options, admin, progress));
  if (absl::Status status = rivals->Connect(); !status.ok()) return status;
  return rivals;
}

Rivals::Rivals(const RivalsOptions& options, sdk::RpcClient& admin, soak::Progress& progress)
    : options_(options),
      resource_("pools/" + absl::StrReplaceAll(options.segment, {{"/", "/segments/"}})),
      admin_(admin),
      progress_(progress) {}

Rivals::~Rivals() {
  {
    absl::MutexLock lock(&mu_);
    told_ = true;
  }
  if (writer_.joinable()) writer_.join();
}

absl::Status Rivals::Connect() {
  sdk::ClientOptions options;
  options.call_timeout = options_.call_timeout;
  options.socket_path = options_.heir_socket;
  auto heir = sdk::Client::Connect(options);
  if (!heir.ok()) return heir.status();
  heir_ = *std::move(heir);
  options.socket_path = options_.holder_socket;
  options.on_revoke = [this](const sdk::RevokeNotice&) {
    absl::MutexLock lock(&mu_);
    told_ = true;
  };
  auto holder = sdk::Client::Connect(options);
  if (!holder.ok()) return holder.status();
  holder_ = *std::move(holder);
  const auto segment =
      heir_->CreateSegment(options_.segment, kSizeBytes, {.sharing = sdk::SharingMode::kExclusive});
  if (!segment.ok()) return segment.status();
  promise_ = {segment->id, segment->size_bytes};
  generation_ = segment->generation;
  return absl::OkStatus();
}

void Rivals::Hold(uint64_t revision) {
  revision_ = revision;
  {
    absl::MutexLock lock(&mu_);
    told_ = false;
    let_go_at_.reset();
  }
  if (writer_.joinable()) writer_.join();
  std::optional<sdk::Handle> handle = Open(*holder_);
  if (!handle.has_value()) return;
  writer_ = std::thread([this, handle = *std::move(handle)]() mutable { Store(handle); });
}

void Rivals::Store(const sdk::Handle& handle) {
  uint64_t version = kHolderVersions;
  do {
    const auto mapping = handle.Map();
    // It may know before its callback runs.
    if (!mapping.ok() && handle.state() != sdk::HandleState::kLive) break;
    if (!Expect(mapping.status(), "mapping it under a lease")) break;
    soak::Fill(mapping->bytes(), 0, {promise_.id, generation_, ++version});
  } while (!AwaitNotice(kBetweenStores));
  absl::MutexLock lock(&mu_);
  let_go_at_ = absl::Now();
}

bool Rivals::AwaitNotice(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(&told_), timeout);
}

void Rivals::Inherit() {
  const auto expired = AwaitEvent([this](const v1::Event& event) {
    return event.type() == v1::HOST_EXPIRED && event.resource() == HostName(options_.holder_host);
  });
  if (!expired.has_value()) return;
  ++expiries_;
  const absl::Time expired_at = absl::FromUnixMillis(static_cast<int64_t>(expired->time_unix_ms()));
  {
    absl::MutexLock lock(&mu_);
    if (!let_go_at_.has_value() || *let_go_at_ > expired_at) {
      Violate(absl::StrCat(options_.holder_host, " expired at ", absl::FormatTime(expired_at),
                           ", and its client had not let go"));
    }
  }
  const auto released = AwaitEvent([this](const v1::Event& event) {
    return event.type() == v1::GRANT_RELEASED && event.resource() == resource_;
  });
  if (!released.has_value()) return;
  inherited_ = Open(*heir_);
  if (inherited_.has_value()) FillWith(*inherited_, ++version_);
}

void Rivals::Return() {
  if (!inherited_.has_value()) return Violate("nobody inherited it");
  const auto refused = holder_->Open(options_.segment, sdk::AccessMode::kReadWrite);
  if (sdk::ReasonName(refused.status()) != "HELD") {
    Violate(absl::StrCat("opening it for its former holder gave ", refused.status().ToString()));
  }
  VerifyHas(*inherited_, version_);
  // weftd's word comes when the coordinator has the grant back.
  if (!Expect((*std::exchange(inherited_, std::nullopt)).Close(), "giving it back")) return;
  const std::optional<sdk::Handle> handle = Open(*holder_);
  if (handle.has_value()) VerifyHas(*handle, version_);
}

std::optional<sdk::Handle> Rivals::Open(sdk::Client& client) {
  auto handle = client.Open(options_.segment, sdk::AccessMode::kReadWrite);
  if (!Expect(handle.status(), "opening it")) return std::nullopt;
  if (handle->token() <= token_) Violate("its token did not rise");
  token_ = handle->token();
  return *std::move(handle);
}

std::optional<v1::Event> Rivals::AwaitEvent(absl::FunctionRef<bool(const v1::Event&)> wanted) {
  std::optional<v1::Event> found;
  const absl::Time end = absl::Now() + kPatience;
  const absl::Status status = admin_.WatchEvents(revision_, [&](const v1::Event& event) {
    revision_ = event.revision();
    if (wanted(event)) found = event;
    return !found.has_value() && absl::Now() < end && !progress_.violated();
  });
  if (Expect(status, "watching events") && !found.has_value()) {
    Violate(absl::StrCat("what was waited for did not happen within ",
                         absl::FormatDuration(kPatience)));
  }
  return found;
}

void Rivals::FillWith(const sdk::Handle& handle, uint64_t version) {
  const auto mapping = handle.Map();
  if (!Expect(mapping.status(), "mapping it")) return;
  soak::Fill(mapping->bytes(), 0, {promise_.id, generation_, version});
}

void Rivals::VerifyHas(const sdk::Handle& handle, uint64_t version) {
  const auto mapping = handle.Map();
  if (!Expect(mapping.status(), "mapping it")) return;
  const std::string difference =
      soak::Differs(mapping->bytes(), 0, {promise_.id, generation_, version});
  if (!difference.empty()) Violate(absl::StrCat("is not as the heir left it: ", difference));
}

int Rivals::TakeExpiries() { return std::exchange(expiries_, 0); }

bool Rivals::Expect(const absl::Status& status, std::string_view what) {
  if (!status.ok()) Violate(absl::StrCat(std::string(what), " gave ", status.ToString()));
  return status.ok();
}

void Rivals::Violate(std::string_view what) {
  progress_.Violate(absl::StrCat(options_.segment, ": ", std::string(what)));
}

}  // namespace weft
