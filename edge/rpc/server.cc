#include "edge/rpc/server.h"

#include <stdexcept>

#include "edge/rpc/deadline.h"
#include "edge/rpc/listen_addresses.h"
#include "fmt/format.h"
#include "google/protobuf/stubs/logging.h"
#include "grpc/grpc.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/server_builder.h"

namespace waybill::rpc {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::MethodDescriptor;

// Of the whole process: only reflection runs on threads of gRPC's own, one per open stream.
constexpr int kReflectionThreadsMax = 8;

// gRPC's own switch is for all servers of the process.
class WithoutReflection final : public grpc::ServerBuilderOption {
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) { return plugin->name() == "proto_server_reflection"; });
  }
};

int Millis(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

}  // namespace

std::vector<std::string> MethodsOf(const std::vector<std::string>& services) {
  std::vector<std::string> methods;
  for (const std::string& name : services) {
    const auto* service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    if (service == nullptr) throw std::logic_error(fmt::format("no such service: {}", name));
    for (int i = 0; i < service->method_count(); ++i) {
      methods.push_back(fmt::format("{}/{}", name, service->method(i)->name()));
    }
  }
  return methods;
}

// The first half of grpc::Server::Shutdown, which as a whole would wait: closes the listener and tells every client to
// go. gRPC allows both for one server, and tells this queue, too, when the server is gone.
class Server::GoAway {
 public:
  explicit GoAway(grpc::Server& server) { grpc_server_shutdown_and_notify(server.c_server(), queue_, nullptr); }
  // After the server's own shutdown.
  ~GoAway() {
    grpc_completion_queue_shutdown(queue_);
    while (grpc_completion_queue_next(queue_, gpr_inf_future(GPR_CLOCK_REALTIME), nullptr).type !=
           GRPC_QUEUE_SHUTDOWN) {
    }
    grpc_completion_queue_destroy(queue_);
  }
  GoAway(const GoAway&) = delete;
  GoAway& operator=(const GoAway&) = delete;

 private:
  grpc_completion_queue* const queue_ = grpc_completion_queue_create_for_next(nullptr);
};

Server::Server(ServerOptions options, Metrics& metrics)
    : options_(std::move(options)), metrics_(metrics), gate_(options_.gate == nullptr ? open_gate_ : *options_.gate) {
  MethodOptions health;
  health.slots = 4;
  health.while_draining = true;
  Unary<Health::Request, Health::Response>(
      "grpc.health.v1.Health/Check", access::kAnybody, [this](auto call) { health_.Check(std::move(call)); }, health);
  ServerStream<Health::Request, Health::Response>(
      "grpc.health.v1.Health/Watch", access::kAnybody, [this](auto call) { health_.Watch(std::move(call)); }, health);
  health_.Set("", false);
}

Server::~Server() { Drain(SteadyTime::InfinitePast()); }

Method& Server::Add(std::string_view name, RpcType type, const access::Rule& rule, const Descriptor* request,
                    const Descriptor* response, const MethodOptions& options) {
  size_t slash = name.find('/');
  std::string service_name(name.substr(0, slash));
  std::string method_name(slash == std::string_view::npos ? "" : name.substr(slash + 1));
  const MethodDescriptor* descriptor =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(service_name + "." + method_name);
  if (descriptor == nullptr || descriptor->input_type() != request || descriptor->output_type() != response ||
      descriptor->server_streaming() != (type != kUnary) || descriptor->client_streaming() != (type == kBidiStream)) {
    throw std::logic_error(fmt::format("no such method with these types: {}", name));
  }
  std::string path = fmt::format("/{}", name);
  ServiceTable& service = services_[service_name];
  int index = service.Add(path, type);
  const char* kind = type == kUnary ? "unary" : type == kServerStream ? "server_stream" : "bidi_stream";
  MethodMetrics metrics(metrics_, kind, service_name, method_name);
  methods_.push_back(
      std::unique_ptr<Method>(new Method{*descriptor, std::string(name), service, index, metrics, options.slots,
                                         options.while_draining, rule, /*post=*/nullptr, options_.tracer}));
  health_.Set(service_name, false);
  return *methods_.back();
}

absl::Status Server::Start() {
  absl::StatusOr<std::vector<std::string>> addresses = std::vector<std::string>();
  if (!options_.address.empty()) addresses = ListenAddresses(options_.address);
  if (!addresses.ok()) {
    return absl::UnavailableError(
        fmt::format("cannot listen on {}: {}", options_.address, std::string(addresses.status().message())));
  }
  google::protobuf::SetLogHandler(nullptr);  // else every malformed request prints a line to stderr
  IgnoreLockOrder();
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (!options_.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
  for (const std::string& address : *addresses) {  // one that cannot be had is an error, of a name it would not be
    builder.AddListeningPort(address, options_.credentials, &port_);
  }
  builder.SetMaxReceiveMessageSize(options_.request_bytes_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, options_.metadata_bytes_max);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options_.streams_max);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT,
                             0);  // a port that another process serves is an error, not shared
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Millis(options_.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Millis(options_.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, Millis(options_.client_ping_min));
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetResourceQuota(grpc::ResourceQuota("waybill").SetMaxThreads(kReflectionThreadsMax));
  for (auto& [name, table] : services_) builder.RegisterService(&table);
  for (int i = 0; i < options_.queues; ++i) {
    queues_.push_back(std::make_unique<ServerQueue>(builder.AddCompletionQueue(), in_flight_, gate_, options_.limiter,
                                                    options_.address.empty() ? &expected_ : nullptr));
  }
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    for (auto& queue : queues_) queue->Stop();
    queues_.clear();
    return absl::UnavailableError(fmt::format("cannot listen on {}", options_.address));
  }
  for (auto& queue : queues_) {
    for (auto& method : methods_) {
      for (int i = 0; i < method->slots; ++i) method->post(*queue);
    }
    queue->Start();
  }
  {
    std::lock_guard lock(serving_mutex_);
    serving_ = true;
  }
  health_.SetAll(true);
  return absl::OkStatus();
}

std::vector<const MethodDescriptor*> Server::methods() const {
  std::vector<const MethodDescriptor*> methods;
  for (const auto& method : methods_) methods.push_back(&method->descriptor);
  return methods;
}

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  if (!options_.address.empty()) throw std::logic_error("a server that listens has no channel within the process");
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // answers are as long as they are
  return server_->InProcessChannel(arguments);
}

void Server::CheckCallers() {
  std::lock_guard lock(serving_mutex_);
  if (!serving_) return;
  for (auto& queue : queues_) queue->CheckCallers();
}

void Server::SendAway() {
  std::lock_guard lock(drain_mutex_);
  SendAwayLocked();
}

void Server::SendAwayLocked() {
  if (server_ == nullptr || std::exchange(sent_away_, true)) return;
  in_flight_.Drain();
  health_.Stop();  // after, so that whoever sees NOT_SERVING is refused
  if (!options_.address.empty()) go_away_ = std::make_unique<GoAway>(*server_);
}

void Server::Drain(SteadyTime deadline) {
  std::lock_guard lock(drain_mutex_);
  if (server_ == nullptr) return;
  SendAwayLocked();
  expected_.Begin();  // for good: what comes to the queues from here on has to be seen
  in_flight_.AwaitNone(deadline);
  // Server::Shutdown waits for ever for a call that nobody finishes, so whatever is left is finished here.
  for (auto& queue : queues_) queue->AbortAll();
  {
    std::lock_guard serving(serving_mutex_);
    serving_ = false;
  }
  server_->Shutdown(ToGrpcDeadline(SystemClock().Steady() + options_.abort_grace));
  go_away_.reset();
  for (auto& queue : queues_) queue->Stop();
  server_.reset();
  queues_.clear();
}

}  // namespace waybill::rpc
