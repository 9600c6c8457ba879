#include "server/rpc/fsck_service.h"

#include "server/core/fsck.h"
#include "server/core/names.h"
#include "server/rpc/host_check.h"

namespace weft {

grpc::ServerUnaryReactor* FsckService::CheckRecords(grpc::CallbackServerContext* context,
                                                    const v1::CheckRecordsRequest* request,
                                                    v1::CheckResponse* reply) {
  return StartCall(deps_, context, "CheckRecords", Access::kAdmin, CommandKind::kConfirmed,
                   ReadBody(request, reply,
                            [](const State& state, const Now&, const v1::CheckRecordsRequest& r) {
                              return weft::CheckRecords(state, r);
                            }));
}

grpc::ServerUnaryReactor* FsckService::CheckHost(grpc::CallbackServerContext* context,
                                                 const v1::CheckHostRequest* request,
                                                 v1::CheckResponse* reply) {
  return HostCheck::Start(deps_, registry_, context, request, reply);
}

// RESYNC_HOST changes nothing durable: it need not wait for a commit.
grpc::ServerUnaryReactor* FsckService::Repair(grpc::CallbackServerContext* context,
                                              const v1::RepairRequest* request,
                                              google::protobuf::Empty* reply) {
  return StartMutation(
      deps_, context, "Repair", Access::kAdmin, request, reply,
      [&registry = registry_](State& state, const Context& core, const Caller&,
                              const v1::RepairRequest& r, Changes& changes) -> absl::Status {
        if (absl::Status s = weft::Repair(state, core, r, changes); !s.ok()) return s;
        if (r.action() == v1::RESYNC_HOST) registry.Resync(*ParseHostName(r.host()));
        return absl::OkStatus();
      });
}

}  // namespace weft
