#include "client/cli/device_moves.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/arguments.h"
#include "client/cli/choices.h"
#include "client/cli/json.h"
#include "client/cli/table.h"
#include "proto/weft/v1/device.grpc.pb.h"

namespace weft::cli {
namespace {

std::string Holders(const v1::Move& move) {
  std::vector<std::string> holders;
  for (const v1::Grant& grant : move.holders()) {
    holders.push_back(
        absl::StrCat(ShortName(grant.host()), " (", Choice(grant.mode()),
                     grant.state() == v1::GRANT_REVOKING ? ", asked to let go)" : ")"));
  }
  return absl::StrJoin(holders, ", ");
}

std::string Detail(const v1::Move& move) {
  if (move.state() != v1::MOVE_COPYING) return move.detail();
  return absl::StrCat(Size(move.copied_bytes()), " of ", Size(move.part_bytes()), " to ",
                      ShortName(move.to()), " by ", ShortName(move.host()));
}

std::string MovesText(const std::vector<v1::Move>& moves) {
  if (moves.empty()) return "";
  Table table({"SEGMENT", ">LEFT", "STATE", "HELD BY", "DETAIL"});
  for (const v1::Move& move : moves) {
    table.AddRow({ShortName(move.segment()), Size(move.left_bytes()), Choice(move.state(), "MOVE_"),
                  Holders(move), Detail(move)});
  }
  return "\n" + table.ToString();
}

std::string MovesJson(const v1::Device& device, const std::vector<v1::Move>& moves) {
  auto json = nlohmann::ordered_json::parse(ToJsonLine(device));
  json["moves"] = nlohmann::ordered_json::parse(ToJson(moves));
  return json.dump(1) + "\n";
}

}  // namespace

std::string DeviceStateText(const v1::Device& device) {
  return device.drained() ? "drained" : Choice(device.state(), "DEVICE_");
}

absl::Status PrintWithMoves(Context& context, const v1::Device& device,
                            absl::FunctionRef<std::string(const v1::Device&)> text) {
  if (device.state() != v1::DEVICE_DRAINING) {
    context.Print(device, text);
    return absl::OkStatus();
  }
  v1::ListMovesRequest request;
  request.set_parent(device.name());
  const auto moves = context.List(&v1::DeviceService::Stub::ListMoves, request,
                                  [](auto& page) { return page.mutable_moves(); });
  if (!moves.ok()) return moves.status();
  context.out() << (context.options().json ? MovesJson(device, *moves)
                                           : absl::StrCat(text(device), MovesText(*moves)))
                << std::flush;
  return absl::OkStatus();
}

}  // namespace weft::cli
