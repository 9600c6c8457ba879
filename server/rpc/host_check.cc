#include "server/rpc/host_check.h"

#include <utility>

#include "server/core/fsck.h"
#include "server/core/names.h"
#include "server/rpc/status.h"

namespace weft {

HostCheck* HostCheck::Start(const ServiceDeps& deps, SessionRegistry& registry,
                            grpc::CallbackServerContext* context,
                            const v1::CheckHostRequest* request, v1::CheckResponse* reply) {
  const std::shared_ptr<HostCheck> check(new HostCheck(deps, registry, request, reply));
  check->self_ = check;
  absl::StatusOr<Caller> caller = IdentifyCaller(PeerOf(*context), ClaimsOf(*context));
  if (caller.ok()) {
    check->Prepare(*std::move(caller));
  } else {
    check->End(caller.status());
  }
  return check.get();
}

void HostCheck::Prepare(Caller caller) {
  deps_.executor.Submit(
      Lane::kRequest,
      ToCommand(
          std::move(caller), Access::kAdmin, CommandKind::kConfirmed,
          [self = shared_from_this()](State& state, const Context&, const weft::Caller&, Changes&) {
            absl::StatusOr<v1::InventoryRequest> asked = InventoryFor(state, *self->request_);
            if (!asked.ok()) return asked.status();
            self->asked_ = *std::move(asked);
            self->host_ = *ParseHostName(self->request_->name());
            return absl::OkStatus();
          },
          [self = shared_from_this()](const absl::Status& status) {
            if (status.ok()) {
              self->Ask();
            } else {
              self->End(status);
            }
          }));
}

void HostCheck::Ask() {
  const bool gave_up = [this] {
    absl::MutexLock lock(&mu_);
    return cancelled_;
  }();
  if (gave_up) {
    End(absl::CancelledError("the caller gave up"));
    return;
  }
  const uint64_t number = registry_.Ask(
      host_, asked_, [self = shared_from_this()](absl::StatusOr<v1::HostInventory> found) {
        if (found.ok()) {
          self->Compare(*found);
        } else {
          self->End(found.status());
        }
      });
  {
    absl::MutexLock lock(&mu_);
    number_ = number;
    if (!cancelled_) return;
  }
  OnCancel();
}

void HostCheck::OnCancel() {
  uint64_t number = 0;
  {
    absl::MutexLock lock(&mu_);
    cancelled_ = true;
    number = std::exchange(number_, 0);
  }
  if (number != 0 && registry_.inquiries().Abandon(number)) {
    End(absl::CancelledError("the caller gave up"));
  }
}

void HostCheck::Compare(const v1::HostInventory& found) {
  Command command;
  command.kind = CommandKind::kConfirmed;
  command.run = [self = shared_from_this(), found](State& state, const Now&, Changes&) {
    absl::StatusOr<v1::CheckResponse> compared =
        CompareHost(state, self->host_, self->asked_, found);
    if (!compared.ok()) return compared.status();
    *self->reply_ = *std::move(compared);
    return absl::OkStatus();
  };
  command.done = [self = shared_from_this()](const absl::Status& status) { self->End(status); };
  deps_.executor.Submit(Lane::kRequest, std::move(command));
}

void HostCheck::End(const absl::Status& status) {
  deps_.recorder.RecordCall("CheckHost", status, deps_.clock.MonotonicNow() - start_);
  Finish(ToGrpcStatus(status));
}

}  // namespace weft
