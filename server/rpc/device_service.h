// weft.v1.DeviceService on the coordinator.

#ifndef WEFT_SERVER_RPC_DEVICE_SERVICE_H_
#define WEFT_SERVER_RPC_DEVICE_SERVICE_H_

#include "proto/weft/v1/device.grpc.pb.h"
#include "server/rpc/calls.h"

namespace weft {

class DeviceService final : public v1::DeviceService::CallbackService {
 public:
  explicit DeviceService(const ServiceDeps& deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* GetDevice(grpc::CallbackServerContext* context,
                                      const v1::GetDeviceRequest* request,
                                      v1::Device* reply) override;
  grpc::ServerUnaryReactor* ListDevices(grpc::CallbackServerContext* context,
                                        const v1::ListDevicesRequest* request,
                                        v1::ListDevicesResponse* reply) override;
  grpc::ServerUnaryReactor* ClearPoison(grpc::CallbackServerContext* context,
                                        const v1::ClearPoisonRequest* request,
                                        v1::Device* reply) override;
  grpc::ServerUnaryReactor* DrainDevice(grpc::CallbackServerContext* context,
                                        const v1::DrainDeviceRequest* request,
                                        v1::Device* reply) override;
  grpc::ServerUnaryReactor* UndrainDevice(grpc::CallbackServerContext* context,
                                          const v1::UndrainDeviceRequest* request,
                                          v1::Device* reply) override;
  grpc::ServerUnaryReactor* ListMoves(grpc::CallbackServerContext* context,
                                      const v1::ListMovesRequest* request,
                                      v1::ListMovesResponse* reply) override;
  grpc::ServerUnaryReactor* RemoveDevice(grpc::CallbackServerContext* context,
                                         const v1::RemoveDeviceRequest* request,
                                         v1::Device* reply) override;

 private:
  const ServiceDeps deps_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_DEVICE_SERVICE_H_
