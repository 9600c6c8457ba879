#include "server/platform/linux/dax_driver.h"

#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/platform/linux/errno_status.h"
#include "server/platform/linux/file_io.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr char kUsualDriver[] = "device_dax";

absl::Status Write(const std::string& path, const std::string& name) {
  const int error = WriteWord(path, name);
  if (error == 0) return absl::OkStatus();
  return ErrnoError(error, "write", absl::StrCat(path, " (", name, ")"));
}

}  // namespace

std::string BoundDriver(const std::string& bus, const std::string& name) {
  std::error_code error;
  const fs::path target = fs::read_symlink(fs::path(bus) / "devices" / name / "driver", error);
  return error ? "" : target.filename().string();
}

absl::Status BindDriver(const std::string& bus, const std::string& name,
                        const std::string& driver) {
  const std::string before = BoundDriver(bus, name);
  if (before == driver) return absl::OkStatus();
  const std::string drivers = absl::StrCat(bus, "/drivers/");
  if (!before.empty()) {
    if (absl::Status s = Write(absl::StrCat(drivers, before, "/unbind"), name); !s.ok()) return s;
  }
  if (driver.empty()) return absl::OkStatus();
  // new_id binds as well, the first time that a driver hears of a device.
  const absl::Status known = Write(absl::StrCat(drivers, driver, "/new_id"), name);
  if (BoundDriver(bus, name) == driver) return absl::OkStatus();
  const absl::Status bound = Write(absl::StrCat(drivers, driver, "/bind"), name);
  if (BoundDriver(bus, name) == driver) return absl::OkStatus();
  if (!bound.ok()) return known.ok() ? bound : known;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::NOT_SUPPORTED,
      absl::StrCat("the driver ", driver, " does not take ", name, ": the kernel's log says why"));
}

absl::Status SysfsDaxDrivers::Bind(const std::string& name, const std::string& driver) {
  const std::string before = BoundDriver(bus_, name);
  if (before == driver) return absl::OkStatus();
  if (absl::Status s = records_.Write(name, before); !s.ok()) return s;
  absl::Status status = BindDriver(bus_, name, driver);
  // What went wrong first is reported.
  if (!status.ok()) BindDriver(bus_, name, before).IgnoreError();
  return status;
}

absl::Status SysfsDaxDrivers::Restore(const std::string& name) {
  const absl::StatusOr<std::map<std::string, std::string>> records = records_.ReadAll();
  if (!records.ok()) return records.status();
  const auto record = records->find(name);
  const std::string before = record == records->end() ? kUsualDriver : record->second;
  if (absl::Status s = BindDriver(bus_, name, before); !s.ok()) return s;
  return records_.Remove(name);
}

}  // namespace weft
