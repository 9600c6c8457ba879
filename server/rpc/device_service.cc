#include "server/rpc/device_service.h"

#include "server/core/devices.h"
#include "server/core/drain.h"
#include "server/core/moves.h"
#include "server/core/quarantine.h"

namespace weft {

grpc::ServerUnaryReactor* DeviceService::GetDevice(grpc::CallbackServerContext* context,
                                                   const v1::GetDeviceRequest* request,
                                                   v1::Device* reply) {
  return StartRead(deps_, context, "GetDevice", request, reply,
                   [](const State& state, const Now&, const v1::GetDeviceRequest& r) {
                     return weft::GetDevice(state, r);
                   });
}

grpc::ServerUnaryReactor* DeviceService::ListDevices(grpc::CallbackServerContext* context,
                                                     const v1::ListDevicesRequest* request,
                                                     v1::ListDevicesResponse* reply) {
  return StartRead(deps_, context, "ListDevices", request, reply,
                   [](const State& state, const Now&, const v1::ListDevicesRequest& r) {
                     return weft::ListDevices(state, r);
                   });
}

grpc::ServerUnaryReactor* DeviceService::DrainDevice(grpc::CallbackServerContext* context,
                                                     const v1::DrainDeviceRequest* request,
                                                     v1::Device* reply) {
  return StartMutation(
      deps_, context, "DrainDevice", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::DrainDeviceRequest& r,
         Changes& changes) { return weft::DrainDevice(state, core, r, changes); });
}

grpc::ServerUnaryReactor* DeviceService::UndrainDevice(grpc::CallbackServerContext* context,
                                                       const v1::UndrainDeviceRequest* request,
                                                       v1::Device* reply) {
  return StartMutation(
      deps_, context, "UndrainDevice", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::UndrainDeviceRequest& r,
         Changes& changes) { return weft::UndrainDevice(state, core, r, changes); });
}

grpc::ServerUnaryReactor* DeviceService::ListMoves(grpc::CallbackServerContext* context,
                                                   const v1::ListMovesRequest* request,
                                                   v1::ListMovesResponse* reply) {
  return StartRead(deps_, context, "ListMoves", request, reply,
                   [](const State& state, const Now&, const v1::ListMovesRequest& r) {
                     return weft::ListMoves(state, r);
                   });
}

grpc::ServerUnaryReactor* DeviceService::RemoveDevice(grpc::CallbackServerContext* context,
                                                      const v1::RemoveDeviceRequest* request,
                                                      v1::Device* reply) {
  return StartMutation(
      deps_, context, "RemoveDevice", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::RemoveDeviceRequest& r,
         Changes& changes) { return weft::RemoveDevice(state, core, r, changes); });
}

grpc::ServerUnaryReactor* DeviceService::ClearPoison(grpc::CallbackServerContext* context,
                                                     const v1::ClearPoisonRequest* request,
                                                     v1::Device* reply) {
  return StartMutation(
      deps_, context, "ClearPoison", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::ClearPoisonRequest& r,
         Changes& changes) { return weft::ClearPoison(state, core, r, changes); });
}

}  // namespace weft
