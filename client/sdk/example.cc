// Shares bytes between programs, on one host or on several:
//
//   weft_example write <pool>/<segment> <text>
//   weft_example read <pool>/<segment>

#include <cstdint>
#include <cstring>
#include <iostream>
#include <string>
#include <string_view>

#include "client/sdk/weft.h"

namespace {

using weft::sdk::AccessMode;
using weft::sdk::Client;
using weft::sdk::Handle;
using weft::sdk::Mapping;

constexpr uint64_t kSegmentBytes = 2 << 20;
// The length and the text, in cache lines of their own: what says that data is there must
// not share a line with it.
constexpr uint64_t kTextOffset = 64;

absl::Status Write(std::string_view name, std::string_view text) {
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect();
  if (!client.ok()) return client.status();
  const absl::Status created = (*client)->CreateSegment(name, kSegmentBytes).status();
  if (!created.ok() && !absl::IsAlreadyExists(created)) return created;

  absl::StatusOr<Handle> handle = (*client)->Open(name, AccessMode::kReadWrite);
  if (!handle.ok()) return handle.status();
  absl::StatusOr<Mapping> mapping = handle->Map();
  if (!mapping.ok()) return mapping.status();
  if (text.size() > mapping->size() - kTextOffset) {
    return absl::InvalidArgumentError("the text is longer than the segment");
  }

  std::memcpy(mapping->data() + kTextOffset, text.data(), text.size());
  absl::Status flushed = mapping->Flush(kTextOffset, text.size());
  if (!flushed.ok()) return flushed;
  const uint64_t length = text.size();
  std::memcpy(mapping->data(), &length, sizeof(length));
  return mapping->Flush(0, sizeof(length));
}

absl::StatusOr<std::string> Read(std::string_view name) {
  absl::StatusOr<std::unique_ptr<Client>> client = Client::Connect();
  if (!client.ok()) return client.status();
  absl::StatusOr<Handle> handle = (*client)->Open(name, AccessMode::kReadOnly);
  if (!handle.ok()) return handle.status();
  absl::StatusOr<Mapping> mapping = handle->Map();
  if (!mapping.ok()) return mapping.status();

  uint64_t length = 0;
  absl::Status fresh = mapping->Invalidate(0, sizeof(length));
  if (!fresh.ok()) return fresh;
  std::memcpy(&length, mapping->data(), sizeof(length));
  fresh = mapping->Invalidate(kTextOffset, length);
  if (!fresh.ok()) return fresh;
  return std::string(reinterpret_cast<const char*>(mapping->data() + kTextOffset), length);
}

int Fail(const absl::Status& status) {
  std::cerr << "weft_example: " << status.message() << " (" << weft::sdk::ReasonName(status)
            << ")\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb == "write" && argc == 4) {
    const absl::Status written = Write(argv[2], argv[3]);
    return written.ok() ? 0 : Fail(written);
  }
  if (verb == "read" && argc == 3) {
    const absl::StatusOr<std::string> text = Read(argv[2]);
    if (!text.ok()) return Fail(text.status());
    std::cout << *text << "\n";
    return 0;
  }
  std::cerr << "usage: weft_example write <pool>/<segment> <text>\n"
               "       weft_example read <pool>/<segment>\n";
  return 2;
}
