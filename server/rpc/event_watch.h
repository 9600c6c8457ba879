// One WatchEvents call.

#ifndef WEFT_SERVER_RPC_EVENT_WATCH_H_
#define WEFT_SERVER_RPC_EVENT_WATCH_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "proto/weft/v1/event.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/event_feed.h"

namespace weft {

// Reads a page of events on the executor, writes it out, and again; waits at the feed when
// there are no more. One thing at a time: whoever is called back next owns the fields.
class EventWatch final : public grpc::ServerWriteReactor<v1::Event>,
                         public EventWaiter,
                         public std::enable_shared_from_this<EventWatch> {
 public:
  // Lives until gRPC is done with the call, then leaves the feed, which it has joined.
  static EventWatch* Start(const ServiceDeps& deps, EventFeed& feed, Caller caller,
                           uint64_t after_revision);

  void Wake() override { ReadPage(); }

 private:
  EventWatch(const ServiceDeps& deps, EventFeed& feed, Caller caller, uint64_t after_revision)
      : deps_(deps), feed_(feed), caller_(std::move(caller)), after_revision_(after_revision) {}

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void ReadPage();
  absl::Status TakePage(const State& state);
  void OnPage(const absl::Status& status);
  void Continue();
  void FinishCancelled() { Finish(grpc::Status::CANCELLED); }

  const ServiceDeps deps_;
  EventFeed& feed_;
  const Caller caller_;
  std::shared_ptr<EventWatch> self_;
  std::atomic<bool> cancelled_{false};

  // All events up to this one have been written.
  uint64_t after_revision_;
  v1::ListEventsResponse page_;
  int next_in_page_ = 0;
  // The newest event there was when the page was read.
  uint64_t page_revision_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_EVENT_WATCH_H_
