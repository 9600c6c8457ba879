#include "server/node/format.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/node/label_io.h"

namespace weft {
namespace {

absl::Status Foreign(const Device& device, const std::string& what) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::FOREIGN_DATA,
                   absl::StrCat(device.name(), " holds ", what,
                                ", which formatting would destroy; if it is of no use: --force"));
}

std::string Describe(const Label& label) {
  return absl::StrCat("a Weft label (device ", label.device.ToString(), ", ",
                      label.pool.is_nil() ? "in no pool" : "pool " + label.pool.ToString(), ")");
}

// Whether formatting would destroy anything.
absl::Status CheckEmpty(Device& device, const LabelVerdict& verdict, SignatureProbe& probe) {
  const bool labelled =
      verdict.state == LabelState::kGood || verdict.state == LabelState::kWrongCapacity;
  if (labelled) return Foreign(device, Describe(verdict.label));
  // What is foreign to the label has, perhaps, a name.
  const absl::StatusOr<std::optional<std::string>> found = probe.Find(device);
  if (!found.ok()) return found.status();
  if (found->has_value()) return Foreign(device, absl::StrCat("data of others: ", **found));
  const bool damaged = verdict.state == LabelState::kDamaged || verdict.state == LabelState::kNewer;
  return damaged ? LabelStatus(verdict, device.name()) : absl::OkStatus();
}

absl::Status WriteUnits(Device& device, const Label& label) {
  const LabelCopy copies[] = {LabelCopy::kLast, LabelCopy::kFirst};
  for (const LabelCopy copy : copies) {
    const ByteOffset unit = LabelOffset(copy, device.size());
    if (absl::Status s = device.Zero(unit, kLabelUnit); !s.ok()) return s;
  }
  for (const LabelCopy copy : copies) {
    if (absl::Status s = WriteLabelCopy(device, label, copy); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status CheckWritten(Device& device, const Label& label) {
  const absl::StatusOr<LabelReading> reading = ReadLabel(device);
  if (!reading.ok()) return reading.status();
  if (reading->verdict.label == label && reading->stale.empty()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kDataLoss, v1::BAD_LABEL,
                   absl::StrCat("the label just written to ", device.name(),
                                " cannot be read back: ", reading->verdict.detail));
}

}  // namespace

absl::StatusOr<Label> FormatDevice(Device& device, const FormatOptions& options,
                                   const FormatTools& tools) {
  const absl::StatusOr<LabelReading> before = ReadLabel(device);
  if (!before.ok()) return before.status();
  if (!options.force) {
    if (absl::Status s = CheckEmpty(device, before->verdict, tools.probe); !s.ok()) return s;
  }
  Label label;
  label.device = NewUuid(tools.random);
  label.pool = options.pool;
  label.capacity = device.size();
  label.power_epoch = options.power_epoch;
  // As precise as the label can say.
  label.created = absl::FromUnixNanos(absl::ToUnixNanos(tools.clock.UnixNow()));
  label.sequence = 1;
  if (absl::Status s = WriteUnits(device, label); !s.ok()) return s;
  if (absl::Status s = CheckWritten(device, label); !s.ok()) return s;
  return label;
}

}  // namespace weft
