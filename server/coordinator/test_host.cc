#include "server/coordinator/test_host.h"

#include <utility>

#include "server/rpc/identity.h"

namespace weft {

TestHost::TestHost(std::shared_ptr<grpc::Channel> channel, std::string id, TestMedium& medium)
    : id_(std::move(id)),
      medium_(medium),
      stub_(v1::SessionService::NewStub(std::move(channel))),
      stream_(stub_->Connect(&context_)) {}

TestHost::~TestHost() { context_.TryCancel(); }

bool TestHost::Register(const v1::DeviceInventory& devices) {
  v1::NodeMessage message;
  v1::Register& request = *message.mutable_register_();
  request.set_protocol_version(1);
  request.set_host_id(id_);
  request.set_boot_id("boot-of-" + id_);
  request.set_instance_id("instance-of-" + id_);
  request.set_backend(v1::EMULATED);
  request.set_can_revoke(true);
  request.set_revoke_bound_ms(1000);
  *request.mutable_devices() = devices;
  Write(message);
  return PumpUntil([this] { return wholes_ > 0; });
}

bool TestHost::Renew() {
  v1::NodeMessage message;
  message.mutable_renew()->set_sequence(++renewals_sent_);
  Write(message);
  return PumpUntil([this] { return renewed_ == renewals_sent_; });
}

bool TestHost::PumpUntil(const std::function<bool()>& done) {
  while (!done()) {
    if (!ReadOne()) return false;
  }
  return true;
}

grpc::Status TestHost::AwaitEnd() {
  while (ReadOne()) {
  }
  return stream_->Finish();
}

bool TestHost::ReadOne() {
  v1::CoordinatorMessage message;
  if (!stream_->Read(&message)) return false;
  if (message.has_registered()) registered_ = message.registered();
  if (message.has_renewed()) renewed_ = message.renewed().sequence();
  if (message.has_resync()) ++resyncs_;
  if (!message.has_assignments()) return true;
  if (message.assignments().whole()) {
    assigned_.clear();
    ++wholes_;
  }
  for (const std::string& key : message.assignments().removals()) assigned_.erase(key);
  for (const v1::Assignment& assignment : message.assignments().upserts()) {
    assigned_[assignment.key()] = assignment;
    Obey(assignment);
  }
  return true;
}

void TestHost::Obey(const v1::Assignment& assignment) {
  v1::NodeMessage report;
  if (assignment.has_exchange()) {
    const v1::ExchangeTask& task = assignment.exchange();
    v1::ExchangeResult& result = *report.mutable_exchange_result();
    if (!task.nonce().empty()) medium_[task.slot()] = task.nonce();
    result.set_device(task.device());
    result.set_slot(task.slot());
    result.set_step_id(task.step_id());
    result.set_nonce(medium_[task.slot()]);
  } else if (assignment.has_label()) {
    report.mutable_label_written()->set_device(assignment.label().device());
    report.mutable_label_written()->set_pool_uuid(assignment.label().pool_uuid());
  } else if (assignment.has_scrub()) {
    v1::ScrubProgress& progress = *report.mutable_scrub_progress();
    uint64_t bytes = 0;
    for (const v1::Extent& extent : assignment.scrub().extents()) bytes += extent.length_bytes();
    progress.set_scrub_id(assignment.scrub().scrub_id());
    *progress.mutable_token() = assignment.scrub().token();
    progress.set_done_bytes(bytes);
    ++scrubs_done_;
  } else {
    return;
  }
  Write(report);
}

void TestHost::Identify(grpc::ClientContext& context, const std::string& principal) const {
  context.AddMetadata(kHostMetadata, id_);
  context.AddMetadata(kSessionMetadata, session_id());
  if (!principal.empty()) context.AddMetadata(kPrincipalMetadata, principal);
}

bool TestHost::Has(const std::string& key_prefix) const {
  const auto it = assigned_.lower_bound(key_prefix);
  return it != assigned_.end() && it->first.starts_with(key_prefix);
}

}  // namespace weft
