#include "server/core/dump.h"

#include "server/core/keys.h"
#include "server/core/quarantine.h"

namespace weft {
namespace {

using Records = std::map<std::string, std::string>;

void DumpDevices(const State& state, Records& records) {
  for (const auto& [id, device] : state.devices) {
    records[keys::Device(id)] = device.record.SerializeAsString();
    if (!device.bad.empty())
      records[keys::Poison(id)] = ToPoisonRecord(device.bad).SerializeAsString();
    if (!device.bad.empty()) {
      records[keys::Poison(id)] = ToPoisonRecord(device.bad).SerializeAsString();
    }
    for (const auto& [host, attachment] : device.attachments) {
      records[keys::Attachment(id, host)] = attachment.SerializeAsString();
    }
  }
}

void DumpRequests(const State& state, Records& records) {
  for (const auto& [principal, log] : state.requests) {
    for (const auto& [id, record] : log.by_id) {
      records[keys::Request(principal, id)] = record.SerializeAsString();
    }
  }
}

void DumpEvents(const State& state, Records& records) {
  for (const v1::Event& event : state.events) {
    store::v1::EventRecord record;
    *record.mutable_event() = event;
    records[keys::Event(event.revision())] = record.SerializeAsString();
  }
}

}  // namespace

Records RecordsOf(const State& state) {
  Records records;
  records[keys::kCluster] = state.cluster.SerializeAsString();
  for (const auto& [id, pool] : state.pools) {
    records[keys::Pool(id)] = pool->record.SerializeAsString();
  }
  DumpDevices(state, records);
  for (const auto& [key, record] : state.segments) {
    records[keys::Segment(key.first, key.second)] = record.SerializeAsString();
  }
  for (const auto& [id, host] : state.hosts) {
    records[keys::Host(id)] = host.record.SerializeAsString();
  }
  for (const auto& [key, record] : state.grants) {
    records[keys::Grant(key.first, key.second)] = record.SerializeAsString();
  }
  for (const auto& [id, record] : state.scrubs) {
    records[keys::Scrub(id)] = record.SerializeAsString();
  }
  for (const auto& [key, record] : state.strays) {
    records[keys::Stray(key.first, key.second)] = record.SerializeAsString();
  }
  DumpRequests(state, records);
  DumpEvents(state, records);
  return records;
}

}  // namespace weft
