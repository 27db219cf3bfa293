// The gRPC server all of Waybill's services share: completion queues with one thread each (the callback API's threads
// nap when idle, and cost half as much again), health, reflection, limits, metrics, and a drain that always ends.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "edge/access/gate.h"
#include "edge/limits/limiter.h"
#include "edge/rpc/call.h"
#include "edge/rpc/health.h"
#include "edge/rpc/queue.h"
#include "edge/rpc/service_table.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/channel.h"
#include "grpcpp/impl/rpc_method.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "runtime/clock.h"
#include "runtime/metrics.h"

namespace waybill::rpc {

struct ServerOptions {
  // Port 0: any free one, see Server::port(). A name: all its addresses that this machine has. Empty: none, and calls
  // come by InProcessChannel alone.
  std::string address = "127.0.0.1:0";
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();  // or MakeServerCredentials
  int queues = 1;                                     // threads that serve calls; two at most pay on a two-core machine
  int request_bytes_max = 1 << 20;                    // larger: RESOURCE_EXHAUSTED
  int metadata_bytes_max = 64 << 10;                  // larger: RESOURCE_EXHAUSTED, and so may be other calls beside
  int streams_max = 10'000;                           // concurrent calls of one connection
  absl::Duration keepalive_time = absl::Seconds(60);  // silence after which the client is pinged
  absl::Duration keepalive_timeout = absl::Seconds(20);  // no answer for so long: the connection is dropped
  absl::Duration client_ping_min = absl::Seconds(3);     // clients that ping more often are sent away
  const access::Gate* gate = nullptr;                    // outlives the server; null: an open one
  limits::Limiter* limiter = nullptr;                    // outlives the server; null: no limits
  bool reflection = true;                                // tells anybody what methods there are
  Tracer* tracer = nullptr;                              // the same; null: calls are not traced
  absl::Duration abort_grace = absl::Milliseconds(500);  // end of a drain: to tell the clients of aborted calls
};

// "package.Service/Method" of each method of these services, which have to be compiled in.
std::vector<std::string> MethodsOf(const std::vector<std::string>& services);

struct MethodOptions {
  // Calls posted ahead, per queue. gRPC keeps what arrives beyond them waiting, and each arrival posts the next.
  int slots = 32;
  bool while_draining = false;
};

class Server {
 public:
  // `metrics` outlives the server.
  Server(ServerOptions options, Metrics& metrics);
  ~Server();  // drains at once
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before Start. `method` is "package.Service/Method"; a name or type that the compiled-in proto does not have is a
  // bug and throws std::logic_error. `rule` is what it asks of its caller, before its request is looked at. Handlers
  // run on the queues' threads, concurrently, and must not block.
  template <typename Req, typename Resp>
  void Unary(std::string_view method, access::Rule rule, typename UnaryCall<Req, Resp>::Handler handler,
             MethodOptions options = {}) {
    Method& added = Add(method, kUnary, rule, Req::descriptor(), Resp::descriptor(), options);
    added.post = [&added, handler = std::move(handler)](ServerQueue& queue) {
      Post(new UnaryCall<Req, Resp>(added, queue, handler));
    };
  }
  template <typename Req, typename Resp>
  void ServerStream(std::string_view method, access::Rule rule, typename ServerStreamCall<Req, Resp>::Handler handler,
                    MethodOptions options = {}) {
    Method& added = Add(method, kServerStream, rule, Req::descriptor(), Resp::descriptor(), options);
    added.post = [&added, handler = std::move(handler)](ServerQueue& queue) {
      Post(new ServerStreamCall<Req, Resp>(added, queue, handler));
    };
  }
  template <typename Req, typename Resp>
  void BidiStream(std::string_view method, access::Rule rule, typename BidiStreamCall<Req, Resp>::Handler handler,
                  MethodOptions options = {}) {
    Method& added = Add(method, kBidiStream, rule, Req::descriptor(), Resp::descriptor(), options);
    added.post = [&added, handler = std::move(handler)](ServerQueue& queue) {
      Post(new BidiStreamCall<Req, Resp>(added, queue, handler));
    };
  }

  // Listens and serves. Every service turns SERVING. UNAVAILABLE, with why, when the address, or one of a name's,
  // cannot be had.
  absl::Status Start();
  int port() const { return port_; }
  // Those that were added, in that order.
  std::vector<const google::protobuf::MethodDescriptor*> methods() const;
  // To this server without a network, once it has started: its calls are calls like any other. gRPC 1.51 does not bear
  // a call that begins while, or after, the server drains; and sending clients away would cut off those under way, so
  // that a server that listens has none of these.
  // Calls are made while they are expected: between Begin and End.
  std::shared_ptr<grpc::Channel> InProcessChannel();
  Expected& expected() { return expected_; }
  Health& health() { return health_; }

  // Sends the clients away: health turns NOT_SERVING, no connection is taken any more, and each client is told (GOAWAY)
  // to make its next call elsewhere, so that one which knows another replica is there at once. Calls under way go on.
  // Calls that still come get UNAVAILABLE (SHUTTING_DOWN); for those that cross the GOAWAY on the wire, gRPC itself
  // answers a bare CANCELLED. No handler sees them. Repeating it does nothing.
  void SendAway();

  // Ends the open calls of callers that the gate would no longer let in, soon. During a drain they end with it.
  void CheckCallers();

  // Sends the clients away. Calls under way have until `deadline`; then they are cancelled and answered UNAVAILABLE,
  // and everything stops. Returns within abort_grace after the deadline. A handler that still holds its call afterwards
  // may let go of it at any time. Repeating it does nothing.
  void Drain(SteadyTime deadline);

 private:
  using RpcType = grpc::internal::RpcMethod::RpcType;
  static constexpr RpcType kUnary = grpc::internal::RpcMethod::NORMAL_RPC;
  static constexpr RpcType kServerStream = grpc::internal::RpcMethod::SERVER_STREAMING;
  static constexpr RpcType kBidiStream = grpc::internal::RpcMethod::BIDI_STREAMING;

  class GoAway;

  static void Post(ServerCall* call) { call->Post(); }
  Method& Add(std::string_view name, RpcType type, const access::Rule& rule,
              const google::protobuf::Descriptor* request, const google::protobuf::Descriptor* response,
              const MethodOptions& options);
  void SendAwayLocked();  // under drain_mutex_

  const ServerOptions options_;
  Metrics& metrics_;
  const access::Gate open_gate_;
  const access::Gate& gate_;
  Health health_;
  InFlight in_flight_;
  Expected expected_;
  std::map<std::string, ServiceTable> services_;  // by full name
  std::vector<std::unique_ptr<Method>> methods_;
  std::vector<std::unique_ptr<ServerQueue>> queues_;
  std::unique_ptr<grpc::Server> server_;
  bool sent_away_ = false;           // these two under drain_mutex_
  std::unique_ptr<GoAway> go_away_;  // then
  int port_ = 0;
  std::mutex drain_mutex_;
  std::mutex serving_mutex_;  // held for a moment only, also while the server drains
  bool serving_ = false;      // under serving_mutex_; the queues are there
};

}  // namespace waybill::rpc
