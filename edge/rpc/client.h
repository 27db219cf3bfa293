// Calls other services asynchronously: one thread for any number of clients, and any number of calls in flight.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "edge/rpc/status.h"
#include "edge/rpc/tag.h"
#include "google/protobuf/message.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "runtime/clock.h"

namespace waybill::rpc {

// How a peer that is silently gone is noticed. Either way: by what was sent to it and is not acknowledged for 10 s.
enum class Pings {
  // And while calls wait, by a ping in 5 min and a half. What a server with gRPC's default settings bears: more often
  // than
  // every 5 min, or without calls, it hangs up (GOAWAY, too_many_pings), and whatever is under way becomes unknown.
  kRare,
  // And while calls wait, by a ping every 20 s: for long streams from our own services.
  kOften,
};

// A connection of its own to "host:port", plain unless there are credentials (MakeChannelCredentials). It reconnects by
// itself within two seconds of the peer's return; until then calls fail with UNAVAILABLE at once.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, Pings pings = Pings::kRare,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials = grpc::InsecureChannelCredentials());
// Its settings.
grpc::ChannelArguments MakeChannelArguments(Pings pings);

// Whether a call ended so because it was never handed to its channel. No peer can make a status of that kind.
bool WasNotSent(const absl::Status& status);

struct CallOptions {
  SteadyTime deadline = SteadyTime::InfiniteFuture();
  // The call is made only over a connection that stands: otherwise `done` gets UNAVAILABLE, of which WasNotSent,
  // perhaps before Call returns, and the channel is asked to connect. gRPC itself does not tell whether a call that
  // failed had left.
  bool only_connected = false;
  std::vector<std::pair<std::string, std::string>> metadata;  // lower-case keys
};

// Completes the calls of the clients that are made over it, and outlives them. Calls of several that end at the same
// time are one wake-up; a thread for each costs more than the calls gain.
class ClientThread {
 public:
  ClientThread();
  ~ClientThread();
  ClientThread(const ClientThread&) = delete;
  ClientThread& operator=(const ClientThread&) = delete;

 private:
  friend class Client;
  grpc::CompletionQueue queue_;
  std::thread thread_;
};

class Client {
 public:
  // Calls go round the channels in turn. One carries 50,000 calls/s; more help only across a network.
  Client(ClientThread& thread, const std::vector<std::shared_ptr<grpc::Channel>>& channels);
  ~Client() { Stop(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Calls that begin from now on go over these; those in flight end on the channels that they have. Thread-safe.
  void Use(const std::vector<std::shared_ptr<grpc::Channel>>& channels);

  // Has channels connect that have no connection, as they do by themselves only when they are called over. Whether one
  // of them is connected.
  bool Connect();
  // The same, waiting for it until `deadline`.
  bool AwaitConnection(SteadyTime deadline);

  // Cancels what is in flight; every `done` has run, and is destroyed, when this returns. Calls that come still are
  // answered with CANCELLED. Not from inside a `done`.
  void Stop();

  // `method` is "package.Service/Method". `done` runs exactly once, on the clients' thread, and must not block; once
  // the client is stopped it runs at once, on the caller's, with CANCELLED. The response is the callback's to
  // move from.
  template <typename Resp>
  void Call(const std::string& method, const google::protobuf::Message& request, const CallOptions& options,
            absl::AnyInvocable<void(const absl::Status&, Resp&)> done) {
    Start(std::make_unique<TypedCall<Resp>>(*this, std::move(done)), method, request, options);
  }

 private:
  using Stub = grpc::TemplatedGenericStub<google::protobuf::Message, google::protobuf::Message>;
  using Reader = grpc::ClientAsyncResponseReader<google::protobuf::Message>;

  class PendingCall : public Tag {
   public:
    explicit PendingCall(Client& client) : client_(client) {}
    virtual ~PendingCall() = default;
    void Proceed(bool ok) override;
    virtual google::protobuf::Message& response() = 0;
    virtual void Done(const absl::Status& status) = 0;

    Client& client_;
    grpc::ClientContext context_;
    std::unique_ptr<Reader> reader_;
    grpc::Status status_;
    PendingCall* previous_ = nullptr;
    PendingCall* next_ = nullptr;
  };

  template <typename Resp>
  class TypedCall final : public PendingCall {
   public:
    TypedCall(Client& client, absl::AnyInvocable<void(const absl::Status&, Resp&)> done)
        : PendingCall(client), done_(std::move(done)) {}
    google::protobuf::Message& response() override { return response_; }
    void Done(const absl::Status& status) override { done_(status, response_); }

   private:
    Resp response_;
    absl::AnyInvocable<void(const absl::Status&, Resp&)> done_;
  };

  void Start(std::unique_ptr<PendingCall> call, const std::string& method, const google::protobuf::Message& request,
             const CallOptions& options);
  struct Channel {
    std::shared_ptr<grpc::Channel> channel;
    Stub stub;
  };
  std::shared_ptr<std::vector<Channel>> Enter(PendingCall& call);  // null: closing
  void Leave(std::unique_ptr<PendingCall> call);

  grpc::CompletionQueue& queue_;
  std::atomic<size_t> turn_{0};
  std::mutex mutex_;
  std::shared_ptr<std::vector<Channel>> channels_;
  std::condition_variable none_present_;
  bool closing_ = false;
  PendingCall* in_flight_ = nullptr;
  size_t present_ = 0;  // those in flight, and those that are being destroyed
};

}  // namespace waybill::rpc
