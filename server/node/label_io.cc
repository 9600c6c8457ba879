#include "server/node/label_io.h"

#include <array>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"

namespace weft {
namespace {

absl::StatusOr<LabelVerdict> ReadCopy(Device& device, LabelCopy copy) {
  std::array<uint8_t, kLabelBytes> bytes;
  const absl::Status read = device.Read(LabelOffset(copy, device.size()), absl::MakeSpan(bytes));
  if (ReasonOf(read) == v1::POISONED) {
    return LabelVerdict{LabelState::kDamaged, {}, std::string(read.message())};
  }
  if (!read.ok()) return read;
  return ParseLabel(bytes, copy, device.size());
}

LabelCopy Other(LabelCopy copy) {
  return copy == LabelCopy::kFirst ? LabelCopy::kLast : LabelCopy::kFirst;
}

}  // namespace

absl::StatusOr<LabelReading> ReadLabel(Device& device) {
  if (device.size() < kMinDeviceSize) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
                     absl::StrCat(device.name(), " has ", device.size().value(),
                                  " bytes; at least ", kMinDeviceSize.value(), " are needed"));
  }
  const absl::StatusOr<LabelVerdict> first = ReadCopy(device, LabelCopy::kFirst);
  if (!first.ok()) return first.status();
  const absl::StatusOr<LabelVerdict> last = ReadCopy(device, LabelCopy::kLast);
  if (!last.ok()) return last.status();

  LabelReading reading{JudgeLabels(*first, *last), {}};
  if (reading.verdict.state != LabelState::kGood) return reading;
  const auto is_stale = [&](const LabelVerdict& copy) {
    return copy.state != LabelState::kGood || copy.label != reading.verdict.label;
  };
  if (is_stale(*first)) reading.stale.push_back(LabelCopy::kFirst);
  if (is_stale(*last)) reading.stale.push_back(LabelCopy::kLast);
  return reading;
}

absl::Status LabelStatus(const LabelVerdict& verdict, const std::string& device_name) {
  const auto error = [&](absl::StatusCode code, v1::Reason reason, std::string_view way_out) {
    return MakeError(
        code, reason,
        absl::StrCat("label of ", device_name, ": ", verdict.detail, "; ", std::string(way_out)));
  };
  switch (verdict.state) {
    case LabelState::kGood:
      return absl::OkStatus();
    case LabelState::kAbsent:
      return MakeError(absl::StatusCode::kFailedPrecondition, v1::BAD_LABEL,
                       absl::StrCat(device_name, " has no label; run: weft device format"));
    case LabelState::kForeign:
      return error(absl::StatusCode::kFailedPrecondition, v1::FOREIGN_DATA,
                   "if that is of no use: weft device format");
    case LabelState::kDamaged:
      return error(absl::StatusCode::kDataLoss, v1::BAD_LABEL,
                   "if its contents are of no use: weft device format --force");
    case LabelState::kNewer:
      return error(absl::StatusCode::kFailedPrecondition, v1::BAD_LABEL,
                   "upgrade weftd on this host");
    case LabelState::kWrongCapacity:
      break;
  }
  return error(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISMATCH,
               "restore the device's size, or format it anew with --force");
}

absl::Status WriteLabelCopy(Device& device, const Label& label, LabelCopy copy) {
  return device.Write(LabelOffset(copy, device.size()), EncodeLabel(label, copy));
}

absl::Status RepairLabel(Device& device, const LabelReading& reading, SignatureProbe& probe) {
  WEFT_CHECK(reading.verdict.state == LabelState::kGood);
  if (reading.stale.empty()) return absl::OkStatus();
  const absl::StatusOr<std::optional<std::string>> found = probe.Find(device);
  if (!found.ok()) return found.status();
  if (found->has_value()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::FOREIGN_DATA,
                     absl::StrCat(device.name(), " holds a Weft label and also: ", **found,
                                  "; the label's damaged copy is left as it is. If that is of "
                                  "no use: weft device format --force"));
  }
  for (const LabelCopy copy : reading.stale) {
    if (absl::Status s = WriteLabelCopy(device, reading.verdict.label, copy); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<Label> UpdateLabel(Device& device, const LabelReading& reading, Label label) {
  WEFT_CHECK(reading.verdict.state == LabelState::kGood);
  label.sequence = reading.verdict.label.sequence + 1;
  const LabelCopy begin = reading.stale.empty() ? LabelCopy::kLast : reading.stale.front();
  for (const LabelCopy copy : {begin, Other(begin)}) {
    if (absl::Status s = WriteLabelCopy(device, label, copy); !s.ok()) return s;
  }
  return label;
}

}  // namespace weft
