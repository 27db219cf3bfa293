// Serves the methods of an rpc::Server on an HTTP port, by the Connect protocol: with curl, in browsers, and with stock
// Connect clients.
//
//   curl -H 'content-type: application/json' -d '{"orderId": "…"}'
//   http://HOST:PORT/waybill.order.v1.OrderService/GetOrder
//
// Each call becomes a call of gRPC's within this process, so that there is one set of handlers, limits, metrics, and
// one chain that says who may what. Unary methods take POST with JSON or protobuf bodies, and GET where the proto says
// that they have no side effects; those that answer with a stream take POST. What a client would stream needs gRPC.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "edge/access/gate.h"
#include "edge/connect/json.h"
#include "edge/http/server.h"
#include "edge/limits/limiter.h"
#include "edge/rpc/server.h"
#include "google/protobuf/descriptor.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/grpc_library.h"
#include "grpcpp/support/status.h"
#include "runtime/clock.h"

namespace waybill::connect {

struct ServerOptions {
  size_t message_bytes_max = 1 << 20;  // of a request, unpacked
  size_t gzip_from = 1024;             // bytes of an answer, when its client takes gzip
  // Origins whose pages may call, as browsers write them ("https://console.example"); "*": all. Others, and any when
  // there are none, are refused: a page of theirs must not reach a service on somebody's own machine.
  std::vector<std::string> origins;
  const access::Gate* gate = nullptr;  // these three as rpc::ServerOptions has them
  limits::Limiter* limiter = nullptr;
  Tracer* tracer = nullptr;
};

class Server {
 public:
  // Clock and metrics outlive this.
  Server(const Clock& clock, Metrics& metrics, ServerOptions options);
  ~Server();  // drains at once
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // To add the methods to, before Start.
  rpc::Server& server() { return server_; }

  // From now on `http`, which this outlives, answers to all paths that nobody else serves: 503 until Start.
  void ServeOn(http::Server& http);
  // What rpc::Server::Start says.
  absl::Status Start();

  // As rpc::Server has them: calls are refused from then on, with 503; those under way go on until `deadline`.
  void SendAway();
  void Drain(SteadyTime deadline);

 private:
  struct Method {
    const google::protobuf::MethodDescriptor& descriptor;
    std::string path;  // "/package.Service/Method"
  };
  struct Answering;
  class Call;
  class UnaryCall;
  class StreamCall;

  void Serve(const http::ExchangePtr& exchange);
  void ServeUnary(const http::ExchangePtr& exchange, const Method& method);
  void ServeStream(const http::ExchangePtr& exchange, const Method& method);
  void Begin(const std::shared_ptr<Call>& call, const http::Request& request, const std::string& path,
             std::string message);
  void AnswerPreflight(const http::ExchangePtr& exchange) const;
  bool Allows(std::string_view origin) const;
  void Leave(const std::shared_ptr<Call>& call);

  const Clock& clock_;
  const ServerOptions options_;
  rpc::Server server_;
  Json json_;
  std::map<std::string, Method, std::less<>> methods_;  // by path; complete before `started_` is set
  std::unique_ptr<grpc::GenericStub> stub_;
  std::atomic<bool> started_{false};
  const grpc::GrpcLibraryCodegen library_;  // has gRPC ready before the queue is made
  grpc::CompletionQueue queue_;
  std::mutex mutex_;
  std::condition_variable none_in_flight_;
  std::set<std::shared_ptr<Call>> in_flight_;  // these two under mutex_
  bool draining_ = false;
  std::thread thread_;
};

}  // namespace waybill::connect
