// The sandbox's gRPC services: what goes between the wire and the Sandbox.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "edge/rpc/server.h"
#include "services/sandbox/sandbox.h"

namespace waybill::sandbox {

// One of those that a process plays, as SandboxAdmin names it.
struct NamedGateway {
  std::string name;  // empty: the one beside the dispatcher
  Sandbox* sandbox = nullptr;
  int64_t fee_ppm = 0;
  std::string host;          // of its port
  std::atomic<int> port{0};  // once it is bound
};

// All that a process plays. Complete before anybody calls; only ports are learnt later.
using NamedGateways = std::vector<std::unique_ptr<NamedGateway>>;

// A gateway, a payout gateway and a dispatcher, and what administrates them, for a sandbox that is alone. Before
// server.Start. `sandbox` outlives the server. `restart` is called once the answer to Restart is on its way.
void RegisterServices(rpc::Server& server, Sandbox& sandbox, std::function<void()> restart);

// The same in parts. All outlive the server.
void RegisterGateway(rpc::Server& server, Sandbox& sandbox);
void RegisterDispatcher(rpc::Server& server, Sandbox& sandbox);
void RegisterPayouts(rpc::Server& server, Sandbox& sandbox);
// `here`: which one is meant where none is named.
void RegisterAdmin(rpc::Server& server, const NamedGateways& gateways, const std::string& here,
                   std::function<void()> restart);

}  // namespace waybill::sandbox
