#include "client/sdk/handle.h"

#include <utility>

#include "client/sdk/handle_core.h"

namespace weft::sdk {

Handle::Handle(std::shared_ptr<HandleCore> core) : core_(std::move(core)) {}
Handle::~Handle() = default;

uint64_t Handle::id() const { return core_->facts().id; }
AccessMode Handle::mode() const { return core_->facts().mode; }
Backend Handle::backend() const { return core_->facts().backend; }
Token Handle::token() const { return core_->facts().token; }
const Incarnation& Handle::incarnation() const { return core_->facts().incarnation; }
uint64_t Handle::page_size_bytes() const { return core_->facts().page_size_bytes; }
Segment Handle::segment() const { return core_->segment(); }
uint64_t Handle::size_bytes() const { return core_->size_bytes(); }
HandleState Handle::state() const { return core_->state(); }
int Handle::fd() const { return core_->fd(); }

absl::StatusOr<Mapping> Handle::Map(const MapOptions& options) const { return core_->Map(options); }

absl::Status Handle::Refresh() { return core_->Refresh(); }

absl::Status Handle::Close() {
  const std::shared_ptr<HandleCore> core = std::exchange(core_, nullptr);
  // Only a holder can make another one: alone now is alone for good.
  return core.use_count() == 1 ? core->Close() : absl::OkStatus();
}

}  // namespace weft::sdk
