// The standard health service, on the server's own queues (gRPC's uses the callback API, whose threads nap).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "edge/rpc/call.h"
#include "grpc/health/v1/health.pb.h"

namespace waybill::rpc {

class Health {
 public:
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;

  // "" is the server as a whole. Services never set are unknown.
  void Set(const std::string& service, bool serving);
  void SetAll(bool serving);  // every service set before
  // NOT_SERVING for good; watchers are told, then their streams end with UNAVAILABLE.
  void Stop();

  void Check(UnaryCall<Request, Response>::Ptr call);
  void Watch(ServerStreamCall<Request, Response>::Ptr call);

 private:
  struct Watcher {
    std::string service;
    ServerStreamCall<Request, Response>::Ptr call;
    int sent = -1;
    bool writing = false;
  };

  Response::ServingStatus StatusOf(const std::string& service) const;  // under mutex_
  void Pump(const std::shared_ptr<Watcher>& watcher);
  void PumpAll();
  void Remove(const std::shared_ptr<Watcher>& watcher, const absl::Status& status);

  std::mutex mutex_;
  std::map<std::string, bool> serving_;
  bool stopped_ = false;
  std::set<std::shared_ptr<Watcher>> watchers_;
};

}  // namespace waybill::rpc
