#include "server/rpc/device_service.h"

#include "server/core/devices.h"

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

}  // namespace weft
