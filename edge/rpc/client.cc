#include "edge/rpc/client.h"

#include <utility>

#include "absl/strings/cord.h"
#include "edge/rpc/deadline.h"
#include "fmt/format.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace waybill::rpc {

using google::protobuf::Message;

namespace {

constexpr char kNotSent[] = "waybill/not_sent";  // a payload, which no status from the wire has

}  // namespace

bool WasNotSent(const absl::Status& status) { return status.GetPayload(kNotSent).has_value(); }

grpc::ChannelArguments MakeChannelArguments(Pings pings) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else channels to one target share one connection
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);             // whoever calls has a retry policy
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, pings == Pings::kOften ? 20'000 : 330'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);  // TCP_USER_TIMEOUT, too
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, 64 << 10);
  return arguments;
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target, Pings pings,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  return grpc::CreateCustomChannel(target, credentials, MakeChannelArguments(pings));
}

ClientThread::ClientThread() {
  IgnoreLockOrder();
  thread_ = std::thread([this] { ServeQueue(queue_); });
}

ClientThread::~ClientThread() {
  queue_.Shutdown();
  thread_.join();
}

Client::Client(ClientThread& thread, const std::vector<std::shared_ptr<grpc::Channel>>& channels)
    : queue_(thread.queue_) {
  Use(channels);
}

void Client::Use(const std::vector<std::shared_ptr<grpc::Channel>>& channels) {
  auto use = std::make_shared<std::vector<Channel>>();
  for (const auto& channel : channels) use->push_back({channel, Stub(channel)});
  std::lock_guard lock(mutex_);
  channels_.swap(use);
}

bool Client::Connect() {
  std::shared_ptr<std::vector<Channel>> channels;
  {
    std::lock_guard lock(mutex_);
    channels = channels_;
  }
  bool connected = false;
  for (const Channel& channel : *channels) {
    if (channel.channel->GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY) connected = true;
  }
  return connected;
}

bool Client::AwaitConnection(SteadyTime deadline) {
  std::shared_ptr<std::vector<Channel>> channels;
  {
    std::lock_guard lock(mutex_);
    channels = channels_;
  }
  bool connected = false;
  for (const Channel& channel : *channels) {
    if (channel.channel->WaitForConnected(ToGrpcDeadline(deadline))) connected = true;
  }
  return connected;
}

void Client::Stop() {
  std::unique_lock lock(mutex_);
  if (std::exchange(closing_, true)) return;
  for (PendingCall* call = in_flight_; call != nullptr; call = call->next_) call->context_.TryCancel();
  none_present_.wait(lock, [this] { return present_ == 0; });
}

void Client::Start(std::unique_ptr<PendingCall> call, const std::string& method, const Message& request,
                   const CallOptions& options) {
  call->context_.set_deadline(ToGrpcDeadline(options.deadline));
  for (const auto& [key, value] : options.metadata) call->context_.AddMetadata(key, value);
  const std::shared_ptr<std::vector<Channel>> channels = Enter(*call);
  if (!channels) {
    call->Done(absl::CancelledError("the client is shutting down"));
    return;
  }
  Channel& over = (*channels)[turn_.fetch_add(1, std::memory_order_relaxed) % channels->size()];
  if (options.only_connected && over.channel->GetState(/*try_to_connect=*/true) != GRPC_CHANNEL_READY) {
    absl::Status not_sent = absl::UnavailableError("there is no connection");
    not_sent.SetPayload(kNotSent, absl::Cord());
    call->Done(not_sent);
    Leave(std::move(call));
    return;
  }
  PendingCall* started = call.release();  // owned by the queue until its completion
  started->reader_ = over.stub.PrepareUnaryCall(&started->context_, fmt::format("/{}", method), request, &queue_);
  started->reader_->StartCall();
  started->reader_->Finish(&started->response(), &started->status_, static_cast<Tag*>(started));
}

void Client::PendingCall::Proceed(bool) {
  std::unique_ptr<PendingCall> self(this);
  Done(FromGrpcStatus(status_));
  client_.Leave(std::move(self));
}

std::shared_ptr<std::vector<Client::Channel>> Client::Enter(PendingCall& call) {
  std::lock_guard lock(mutex_);
  if (closing_) return nullptr;
  call.next_ = in_flight_;
  if (in_flight_ != nullptr) in_flight_->previous_ = &call;
  in_flight_ = &call;
  ++present_;
  return channels_;
}

void Client::Leave(std::unique_ptr<PendingCall> call) {
  {
    std::lock_guard lock(mutex_);
    (call->previous_ == nullptr ? in_flight_ : call->previous_->next_) = call->next_;
    if (call->next_ != nullptr) call->next_->previous_ = call->previous_;
  }
  call.reset();  // what it holds may be gone once Stop has returned
  std::lock_guard lock(mutex_);
  if (--present_ == 0 && closing_) none_present_.notify_all();
}

}  // namespace waybill::rpc
