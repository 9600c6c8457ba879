#include "server/rpc/backup_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/backup_file.h"
#include "server/core/dump.h"
#include "server/core/errors.h"
#include "server/core/schema_version.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;

std::string FileOf(const State& state, const Now& now) {
  std::map<std::string, std::string> records = RecordsOf(state);
  records[kSchemaKey] = absl::StrCat(kSchemaVersion);
  BackupWriter writer(now.unix_ms);
  for (const auto& [key, value] : records) writer.Add(key, value);
  return std::move(writer).Finish();
}

absl::Status TooMany() {
  return MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                   absl::StrCat(BackupStream::kMaxUnderWay,
                                " backups are under way: try again when one of them is done"));
}

}  // namespace

BackupStream* BackupStream::Start(const ServiceDeps& deps, std::atomic<int>& under_way,
                                  grpc::CallbackServerContext* context) {
  const std::shared_ptr<BackupStream> stream(new BackupStream(deps, under_way));
  stream->self_ = stream;
  absl::StatusOr<Caller> caller = IdentifyCaller(PeerOf(*context), ClaimsOf(*context));
  if (caller.ok()) {
    stream->Copy(*std::move(caller));
  } else {
    stream->Finish(ToGrpcStatus(caller.status()));
  }
  return stream.get();
}

// Commands that change nothing run before the mutations of their round: all that they see is
// durable.
void BackupStream::Copy(Caller caller) {
  Command command;
  command.kind = CommandKind::kConfirmed;
  command.run = [self = shared_from_this(), caller = std::move(caller)](State& state,
                                                                        const Now& now, Changes&) {
    if (absl::Status status = Authorize(state, caller, Access::kAdmin); !status.ok()) {
      return status;
    }
    if (self->under_way_ >= kMaxUnderWay) return TooMany();
    ++self->under_way_;
    self->counted_ = true;
    self->bytes_ = FileOf(state, now);
    return absl::OkStatus();
  };
  command.done = [self = shared_from_this(),
                  start = deps_.clock.MonotonicNow()](const absl::Status& status) {
    self->deps_.recorder.RecordCall("Backup", status, self->deps_.clock.MonotonicNow() - start);
    if (status.ok()) {
      self->WriteNext();
    } else {
      self->Finish(ToGrpcStatus(status));
    }
  };
  deps_.executor.Submit(Lane::kRequest, std::move(command));
}

void BackupStream::OnDone() {
  if (counted_) --under_way_;
  self_.reset();
}

void BackupStream::OnWriteDone(bool ok) {
  if (ok) {
    WriteNext();
  } else {
    Finish(grpc::Status::CANCELLED);
  }
}

void BackupStream::WriteNext() {
  if (written_ == bytes_.size()) {
    Finish(grpc::Status::OK);
    return;
  }
  const size_t size = std::min(kChunkBytes, bytes_.size() - written_);
  chunk_.set_data(bytes_.substr(written_, size));
  written_ += size;
  StartWrite(&chunk_);
}

}  // namespace weft
