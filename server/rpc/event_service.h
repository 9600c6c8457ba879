// weft.v1.EventService on the coordinator.

#ifndef WEFT_SERVER_RPC_EVENT_SERVICE_H_
#define WEFT_SERVER_RPC_EVENT_SERVICE_H_

#include "proto/weft/v1/event.grpc.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/event_feed.h"

namespace weft {

class EventService final : public v1::EventService::CallbackService {
 public:
  EventService(const ServiceDeps& deps, EventFeed& feed) : deps_(deps), feed_(feed) {}

  grpc::ServerWriteReactor<v1::Event>* WatchEvents(grpc::CallbackServerContext* context,
                                                   const v1::WatchEventsRequest* request) override;
  grpc::ServerUnaryReactor* ListEvents(grpc::CallbackServerContext* context,
                                       const v1::ListEventsRequest* request,
                                       v1::ListEventsResponse* reply) override;

 private:
  const ServiceDeps deps_;
  EventFeed& feed_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_EVENT_SERVICE_H_
