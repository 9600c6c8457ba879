#include "client/sdk/handle_core.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/sdk/cache_ops.h"
#include "client/sdk/internal/convert.h"
#include "server/core/errors.h"

namespace weft::sdk {
namespace {

using Names = google::protobuf::RepeatedPtrField<std::string>;

// What the kernel maps by one entry of the page middle directory.
constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr uint64_t kMaxBytes = uint64_t{1} << 62;

bool IsPageSize(uint64_t bytes) {
  return std::has_single_bit(bytes) && bytes >= static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) &&
         bytes <= uint64_t{1} << 30;
}

absl::Status Senseless(absl::string_view what) {
  return absl::InternalError(absl::StrCat("weftd sent a handle with ", what));
}

absl::Status BadRange(const Segment& segment, const MapOptions& options, uint64_t page_bytes) {
  return MakeError(
      absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
      absl::StrCat(segment.name, ": cannot map ", options.length_bytes, " bytes at ",
                   options.offset_bytes, ", reserving ", options.reserve_bytes, ": it has ",
                   segment.size_bytes, " bytes, and offsets are multiples of ", page_bytes));
}

// An access past the end of a file is SIGBUS: better said now.
absl::Status CheckFileHolds(int fd, const Piece& piece, const std::string& segment) {
  struct stat status = {};
  if (fstat(fd, &status) != 0) return absl::ErrnoToStatus(errno, "fstat of a segment");
  const uint64_t end_bytes = piece.source_offset_bytes + piece.length_bytes;
  if (!S_ISREG(status.st_mode) || static_cast<uint64_t>(status.st_size) >= end_bytes) {
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kDataLoss, v1::BACKING_FILE_DAMAGED,
                   absl::StrCat(segment, ": the file that stands in for its device has ",
                                status.st_size, " bytes, and should have at least ", end_bytes));
}

}  // namespace

absl::StatusOr<std::shared_ptr<HandleCore>> HandleCore::Make(std::shared_ptr<Session> session,
                                                             Session::Opened opened) {
  const v1::OpenReply& reply = opened.reply;
  const absl::StatusOr<Backend> backend = FromProto(reply.backend());
  const bool coherent = reply.segment().coherence() == v1::HARDWARE;
  Facts facts = {.id = reply.handle_id(),
                 .mode = FromProto(reply.mode()),
                 .backend = backend.value_or(Backend::kEmulated),
                 .token = FromProto(reply.token()),
                 .incarnation = FromProto(reply.incarnation()),
                 .page_size_bytes = reply.page_size_bytes()};
  // From here on the handle is given back on every way out.
  std::shared_ptr<HandleCore> core(new HandleCore(std::move(session), std::move(facts), coherent));
  if (!backend.ok()) return backend.status();
  if (!IsPageSize(reply.page_size_bytes())) return Senseless("an impossible page size");
  if (!coherent && !CanControlCaches()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::NOT_COHERENT,
                     absl::StrCat(ShortName(reply.segment().name()),
                                  " needs cache flushes, which this processor does not offer"));
  }
  absl::StatusOr<View> view =
      core->MakeView(reply.segment(), View{}, reply.devices(), std::move(opened.fds));
  if (!view.ok()) return view.status();
  absl::MutexLock lock(&core->mu_);
  core->view_ = std::make_shared<const View>(*std::move(view));
  return core;
}

HandleCore::~HandleCore() { session_->CloseLater(facts_.id); }

absl::StatusOr<HandleCore::View> HandleCore::MakeView(const v1::Segment& segment, View known,
                                                      const Names& new_devices,
                                                      std::vector<UniqueFd> fds) const {
  const bool is_file = facts_.backend == Backend::kKmod;
  const size_t expected = is_file ? (known.files.empty() ? 1 : 0) : new_devices.size();
  if (fds.size() != expected) {
    return Senseless(absl::StrCat(fds.size(), " descriptors instead of ", expected));
  }
  View view = std::move(known);
  view.devices.insert(view.devices.end(), new_devices.begin(), new_devices.end());
  for (UniqueFd& fd : fds) {
    view.files.push_back(std::make_shared<const UniqueFd>(std::move(fd)));
  }
  view.segment = FromProto(segment);
  const uint64_t size_bytes = view.segment.size_bytes;
  if (size_bytes == 0 || size_bytes > kMaxBytes || size_bytes % facts_.page_size_bytes != 0) {
    return Senseless(absl::StrCat("an impossible size, ", size_bytes));
  }
  if (is_file) {
    view.layout = Layout::OfFile(size_bytes);
    return view;
  }
  absl::StatusOr<Layout> layout =
      Layout::OfRuns(view.segment.runs, view.devices, size_bytes, facts_.page_size_bytes);
  if (!layout.ok()) return layout.status();
  view.layout = *std::move(layout);
  return view;
}

std::shared_ptr<const HandleCore::View> HandleCore::view() const {
  absl::MutexLock lock(&mu_);
  return view_;
}

int HandleCore::fd() const {
  return facts_.backend == Backend::kKmod ? view()->files[0]->get() : -1;
}

uint64_t HandleCore::RoundUpToPage(uint64_t bytes) const {
  const uint64_t page_bytes = facts_.page_size_bytes;
  return (bytes + page_bytes - 1) / page_bytes * page_bytes;
}

absl::StatusOr<Mapping> HandleCore::Map(const MapOptions& options) {
  if (absl::Status live = CheckLive(); !live.ok()) return live;
  const std::shared_ptr<const View> view = this->view();
  const Segment& segment = view->segment;
  const uint64_t page_bytes = facts_.page_size_bytes;
  const bool fits = options.offset_bytes % page_bytes == 0 &&
                    options.offset_bytes < segment.size_bytes &&
                    options.length_bytes <= segment.size_bytes - options.offset_bytes &&
                    options.reserve_bytes <= kMaxBytes;
  if (!fits) return BadRange(segment, options, page_bytes);
  const uint64_t size_bytes =
      options.length_bytes != 0 ? options.length_bytes : segment.size_bytes - options.offset_bytes;
  const uint64_t mapped_bytes = RoundUpToPage(size_bytes);
  absl::StatusOr<std::unique_ptr<AddressRange>> range =
      AddressRange::Reserve(std::max(mapped_bytes, RoundUpToPage(options.reserve_bytes)),
                            std::max(page_bytes, kHugePageBytes));
  if (!range.ok()) return Annotate(range.status(), segment.name);
  absl::Status mapped = MapInto(**range, 0, options.offset_bytes, mapped_bytes);
  if (!mapped.ok()) return mapped;
  return Mapping(shared_from_this(), *std::move(range), options.offset_bytes, size_bytes);
}

absl::Status HandleCore::MapInto(AddressRange& range, uint64_t at_bytes, uint64_t offset_bytes,
                                 uint64_t length_bytes) const {
  const std::shared_ptr<const View> view = this->view();
  const int protection = facts_.mode == AccessMode::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  for (const Piece& piece : view->layout.Slice(offset_bytes, length_bytes)) {
    const int fd = view->files[piece.source]->get();
    absl::Status holds = CheckFileHolds(fd, piece, view->segment.name);
    if (!holds.ok()) return holds;
    absl::Status mapped =
        range.MapFile(at_bytes, piece.length_bytes, protection, fd, piece.source_offset_bytes);
    if (!mapped.ok()) return Annotate(mapped, view->segment.name);
    at_bytes += piece.length_bytes;
  }
  return absl::OkStatus();
}

absl::Status HandleCore::Refresh() {
  if (absl::Status live = CheckLive(); !live.ok()) return live;
  {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &HandleCore::NotRefreshing));
    refreshing_ = true;
  }
  const absl::Status status = RefreshAlone();
  absl::MutexLock lock(&mu_);
  refreshing_ = false;
  return status;
}

absl::Status HandleCore::RefreshAlone() {
  const std::shared_ptr<const View> known = view();
  v1::RefreshRequest request;
  request.set_handle_id(facts_.id);
  for (const std::string& device : known->devices) request.add_devices(device);
  absl::StatusOr<FdChannel::Reply> reply = session_->Refresh(request);
  if (!reply.ok()) return Annotate(reply.status(), known->segment.name);
  const v1::RefreshReply& refreshed = reply->message.refresh();
  const v1::Segment& segment = refreshed.segment();
  if (segment.id() != facts_.incarnation.segment_id ||
      segment.generation() != facts_.incarnation.generation) {
    session_->MarkStale(facts_.id, "the segment's contents were replaced");
    return CheckLive();
  }
  absl::StatusOr<View> view =
      MakeView(segment, *known, refreshed.new_devices(), std::move(reply->fds));
  if (!view.ok()) return view.status();
  if (view->segment.size_bytes < known->segment.size_bytes) return Senseless("a shrunken segment");
  absl::MutexLock lock(&mu_);
  view_ = std::make_shared<const View>(*std::move(view));
  return absl::OkStatus();
}

}  // namespace weft::sdk
