#include "server/core/proofs.h"

#include <array>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/scrubs.h"

namespace weft {
namespace {

using Step = Exchange::Step;

std::string Bytes(const Uuid& nonce) {
  return std::string(reinterpret_cast<const char*>(nonce.bytes().data()), nonce.bytes().size());
}

Uuid NonceFrom(const std::string& bytes) {
  std::array<uint8_t, 16> nonce{};
  WEFT_CHECK(bytes.size() == nonce.size());
  std::memcpy(nonce.data(), bytes.data(), nonce.size());
  return Uuid(nonce);
}

std::string KeyOf(const DeviceState& device) {
  return absl::StrCat("exchange/", DeviceIdOf(device).ToString());
}

bool IsWrite(Step step) { return step == Step::kHolderWrites || step == Step::kNewcomerWrites; }

// Where the next challenge is written: not where the last nonce must stay, and long not where one
// before it was, which a slow host may still write.
uint32_t NextSlot(const store::v1::DeviceRecord& record) {
  const uint32_t slots = record.exchange_slots();
  const uint32_t next = (record.last_challenge_slot() + 1) % slots;
  return next == record.last_nonce_slot() ? (next + 1) % slots : next;
}

// The first host, in order, that waits for a proof, or has one; empty: none.
std::string FirstAlive(const State& state, const DeviceState& device, v1::AttachmentState wanted) {
  for (const auto& [host, record] : device.attachments) {
    if (record.attachment().state() == wanted && IsAlive(state, host)) return host;
  }
  return "";
}

// The first host that waits for a proof, beginning behind the one that came last.
std::string NextNewcomer(const State& state, const DeviceState& device) {
  for (auto it = device.attachments.upper_bound(device.last_newcomer);
       it != device.attachments.end(); ++it) {
    const bool waits = it->second.attachment().state() == v1::ATTACHMENT_CHALLENGING;
    if (waits && IsAlive(state, it->first)) return it->first;
  }
  return FirstAlive(state, device, v1::ATTACHMENT_CHALLENGING);
}

void EnterStep(State& state, const Context& context, DeviceState& device, Step step,
               Changes& changes) {
  Exchange& exchange = *device.exchange;
  const std::string previous_actor = exchange.step_id == 0 ? "" : ActorOf(exchange);
  exchange.step = step;
  exchange.deadline = context.now.monotonic + state.options.exchange_step_timeout;
  state.cluster.set_last_exchange_step_id(state.cluster.last_exchange_step_id() + 1);
  exchange.step_id = state.cluster.last_exchange_step_id();
  PutCluster(state, changes);
  if (!previous_actor.empty()) changes.Unassign(previous_actor, KeyOf(device));
  changes.Assign(ActorOf(exchange), ExchangeAssignment(device));
}

void EnterWrite(State& state, const Context& context, DeviceState& device, Step step,
                Changes& changes) {
  device.exchange->slot = NextSlot(device.record);
  device.record.set_last_challenge_slot(device.exchange->slot);
  changes.Put(keys::Device(DeviceIdOf(device)), device.record);
  device.exchange->nonce = state.options.random_uuid();
  EnterStep(state, context, device, step, changes);
}

void FinishProof(State& state, const Context& context, DeviceState& device, Changes& changes) {
  const Exchange done = *device.exchange;
  changes.Unassign(ActorOf(done), KeyOf(device));
  device.exchange.reset();
  device.record.set_last_nonce(Bytes(done.nonce));
  device.record.set_last_nonce_slot(done.slot);
  changes.Put(keys::Device(DeviceIdOf(device)), device.record);

  store::v1::AttachmentRecord& record = device.attachments.at(done.newcomer);
  record.mutable_attachment()->set_state(v1::ATTACHMENT_ATTACHED);
  record.mutable_attachment()->clear_detail();
  changes.Put(keys::Attachment(DeviceIdOf(device), done.newcomer), record);
  Emit(state, context, v1::DEVICE_ATTACHED, device.record.device().name(),
       FormatHostName(done.newcomer), "", changes);
}

void FailProof(State& state, const Context& context, DeviceState& device, const std::string& detail,
               Changes& changes) {
  const std::string newcomer = device.exchange->newcomer;
  CancelProof(device, newcomer, changes);
  Mismatch(state, context, device, newcomer, detail, changes);
}

// The holder cannot reach its own device: it is no holder any more.
void LoseHolder(State& state, const Context& context, DeviceState& device, const std::string& error,
                Changes& changes) {
  const std::string holder = device.exchange->holder;
  CancelProof(device, holder, changes);
  Mismatch(state, context, device, holder, error, changes);
}

std::string MismatchDetail(const Exchange& exchange) {
  if (exchange.holder.empty()) {
    return "it does not hold what the last host that was attached left on it: another device with "
           "the same label, or its contents were lost";
  }
  return absl::StrCat("it is not the memory that ", exchange.holder,
                      " has under this UUID: a copy, or cabled to another device");
}

}  // namespace

const std::string& ActorOf(const Exchange& exchange) {
  const bool holder = exchange.step == Step::kHolderWrites || exchange.step == Step::kHolderReads;
  return holder ? exchange.holder : exchange.newcomer;
}

v1::Assignment ExchangeAssignment(const DeviceState& device) {
  const Exchange& exchange = *device.exchange;
  v1::Assignment assignment;
  assignment.set_key(KeyOf(device));
  v1::ExchangeTask& task = *assignment.mutable_exchange();
  task.set_device(device.record.device().name());
  task.set_slot(exchange.slot);
  task.set_step_id(exchange.step_id);
  if (IsWrite(exchange.step)) task.set_nonce(Bytes(exchange.nonce));
  return assignment;
}

void Mismatch(State& state, const Context& context, DeviceState& device, const std::string& host,
              const std::string& detail, Changes& changes) {
  v1::Attachment& attachment = *device.attachments.at(host).mutable_attachment();
  const bool known = attachment.state() == v1::ATTACHMENT_MISMATCH && attachment.detail() == detail;
  attachment.set_state(v1::ATTACHMENT_MISMATCH);
  attachment.set_detail(detail);
  changes.Put(keys::Attachment(DeviceIdOf(device), host), device.attachments.at(host));
  if (known) return;
  Emit(state, context, v1::DEVICE_MISMATCHED, device.record.device().name(), FormatHostName(host),
       detail, changes);
}

void AdvanceProofs(State& state, const Context& context, DeviceState& device, Changes& changes) {
  if (device.exchange.has_value()) return;
  const std::string newcomer = NextNewcomer(state, device);
  if (newcomer.empty()) return;
  device.last_newcomer = newcomer;
  device.exchange.emplace();
  device.exchange->newcomer = newcomer;
  device.exchange->holder = FirstAlive(state, device, v1::ATTACHMENT_ATTACHED);
  if (!device.exchange->holder.empty()) {
    EnterWrite(state, context, device, Step::kHolderWrites, changes);
  } else if (device.record.last_nonce().empty()) {
    EnterWrite(state, context, device, Step::kNewcomerWrites, changes);
  } else {
    device.exchange->slot = device.record.last_nonce_slot();
    device.exchange->nonce = NonceFrom(device.record.last_nonce());
    EnterStep(state, context, device, Step::kReadLastNonce, changes);
  }
}

bool EndOverdueProof(State& state, const Context& context, DeviceState& device, Changes& changes) {
  if (!device.exchange.has_value() || device.exchange->deadline > context.now.monotonic) {
    return false;
  }
  const std::string actor = ActorOf(*device.exchange);
  const bool is_holder = actor == device.exchange->holder;
  CancelProof(device, actor, changes);
  device.last_newcomer = actor;  // the others' turns come first
  v1::Attachment& attachment = *device.attachments.at(actor).mutable_attachment();
  attachment.set_state(v1::ATTACHMENT_CHALLENGING);
  attachment.set_detail("it did not do its step of a proof in time");
  changes.Put(keys::Attachment(DeviceIdOf(device), actor), device.attachments.at(actor));
  if (is_holder) {
    Emit(state, context, v1::DEVICE_DETACHED, device.record.device().name(), FormatHostName(actor),
         attachment.detail(), changes);
  }
  return true;
}

void ContinueProof(State& state, const Context& context, DeviceState& device,
                   const std::string& host, const v1::ExchangeResult& result, Changes& changes) {
  if (!device.exchange.has_value() || device.exchange->step_id != result.step_id() ||
      ActorOf(*device.exchange) != host) {
    return;
  }
  const Exchange& exchange = *device.exchange;
  const bool matches = result.nonce() == Bytes(exchange.nonce);
  if (!result.error().empty() && host == exchange.holder) {
    LoseHolder(state, context, device, Clip(result.error()), changes);
  } else if (!result.error().empty()) {
    FailProof(state, context, device, Clip(result.error()), changes);
  } else if (!matches) {
    // What it zeroed was other memory.
    AbandonScrubsOn(state, exchange.newcomer, DeviceIdOf(device), changes);
    FailProof(state, context, device, MismatchDetail(exchange), changes);
  } else {
    switch (exchange.step) {
      case Step::kReadLastNonce:
        EnterWrite(state, context, device, Step::kNewcomerWrites, changes);
        return;
      case Step::kHolderWrites:
        EnterStep(state, context, device, Step::kNewcomerReads, changes);
        return;
      case Step::kNewcomerReads:
        EnterWrite(state, context, device, Step::kNewcomerWrites, changes);
        return;
      case Step::kNewcomerWrites:
        if (!exchange.holder.empty()) {
          EnterStep(state, context, device, Step::kHolderReads, changes);
          return;
        }
        FinishProof(state, context, device, changes);
        break;
      case Step::kHolderReads:
        FinishProof(state, context, device, changes);
        break;
    }
  }
  AdvanceProofs(state, context, device, changes);
}

void CancelProof(DeviceState& device, const std::string& host, Changes& changes) {
  if (!device.exchange.has_value()) return;
  if (device.exchange->newcomer != host && device.exchange->holder != host) return;
  changes.Unassign(ActorOf(*device.exchange), KeyOf(device));
  device.exchange.reset();
}

}  // namespace weft
