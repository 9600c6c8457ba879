// What a Handle and its Mappings share. The handle is given back when the last is gone.

#ifndef WEFT_CLIENT_SDK_HANDLE_CORE_H_
#define WEFT_CLIENT_SDK_HANDLE_CORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/handle.h"
#include "client/sdk/internal/address_range.h"
#include "client/sdk/internal/layout.h"
#include "client/sdk/internal/session.h"
#include "client/sdk/internal/unique_fd.h"
#include "client/sdk/mapping.h"
#include "client/sdk/types.h"

namespace weft::sdk {

// Thread-safe.
class HandleCore : public std::enable_shared_from_this<HandleCore> {
 public:
  // What weftd said of the handle when it was opened.
  struct Facts {
    uint64_t id = 0;
    AccessMode mode = AccessMode::kReadOnly;
    Backend backend = Backend::kEmulated;
    Token token;
    Incarnation incarnation;
    uint64_t page_size_bytes = 0;
  };

  // Takes over a handle that is in the session's table, also when it fails. INTERNAL if
  // what weftd sent makes no sense; NOT_COHERENT (FAILED_PRECONDITION) if this processor
  // cannot do what the memory needs.
  static absl::StatusOr<std::shared_ptr<HandleCore>> Make(std::shared_ptr<Session> session,
                                                          Session::Opened opened);
  ~HandleCore();

  const Facts& facts() const { return facts_; }
  Segment segment() const { return view()->segment; }
  uint64_t size_bytes() const { return view()->segment.size_bytes; }
  bool coherent() const { return coherent_; }
  HandleState state() const { return session_->StateOf(facts_.id); }
  int fd() const;

  absl::StatusOr<Mapping> Map(const MapOptions& options);
  // Maps [offset_bytes, + length_bytes) of the segment at `at_bytes` of the range.
  // REQUIRES: whole pages, within the range.
  absl::Status MapInto(AddressRange& range, uint64_t at_bytes, uint64_t offset_bytes,
                       uint64_t length_bytes) const;
  absl::Status CheckLive() const { return session_->CheckLive(facts_.id); }
  uint64_t RoundUpToPage(uint64_t bytes) const;

  absl::Status Refresh();
  absl::Status Close() { return session_->Close(facts_.id); }

 private:
  // The segment and its files. Immutable: Refresh makes another.
  struct View {
    Segment segment;
    Layout layout;
    std::vector<std::string> devices;
    std::vector<std::shared_ptr<const UniqueFd>> files;
  };

  HandleCore(std::shared_ptr<Session> session, Facts facts, bool coherent)
      : session_(std::move(session)), facts_(std::move(facts)), coherent_(coherent) {}

  // `known` are the files there are, with their devices; `fds` come on top, those of
  // `new_devices`.
  absl::StatusOr<View> MakeView(const v1::Segment& segment, View known,
                                const google::protobuf::RepeatedPtrField<std::string>& new_devices,
                                std::vector<UniqueFd> fds) const;
  absl::Status RefreshAlone();
  std::shared_ptr<const View> view() const;
  bool NotRefreshing() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !refreshing_; }

  const std::shared_ptr<Session> session_;
  const Facts facts_;
  const bool coherent_;
  mutable absl::Mutex mu_;
  std::shared_ptr<const View> view_ ABSL_GUARDED_BY(mu_);
  // One Refresh at a time: each builds on the files that the one before got.
  bool refreshing_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_HANDLE_CORE_H_
