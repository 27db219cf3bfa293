// Calls as the handlers of rpc::Server see them. A handler gets its call as an owning pointer and may keep it as long
// as it likes; letting go of an unfinished call answers INTERNAL, so that no call is ever left hanging.
//
// A call costs one allocation (itself: context, request and response are inside) and three completions: arrived,
// finished, done. `done` (AsyncNotifyWhenDone) makes cancellation observable; gRPC completes that batch internally
// anyway, so asking for it costs one more return of CompletionQueue::Next and no system call.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "edge/access/gate.h"
#include "edge/limits/limiter.h"
#include "edge/rpc/metrics.h"
#include "edge/rpc/request.h"
#include "edge/rpc/status.h"
#include "edge/rpc/tag.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/async_stream.h"
#include "grpcpp/support/async_unary_call.h"
#include "grpcpp/support/byte_buffer.h"
#include "runtime/clock.h"
#include "runtime/trace.h"

namespace waybill::rpc {

// Metadata of a call from within the process: a name in the certificate that its front end's client has shown. From any
// other peer it counts for nothing.
inline constexpr char kCertificateNameKey[] = "waybill-certificate-name";

class ServerQueue;
class ServiceTable;

// A registered method. Lives as long as the server.
struct Method {
  const google::protobuf::MethodDescriptor& descriptor;
  std::string name;  // "package.Service/Method"
  ServiceTable& service;
  int index;  // within the service table
  MethodMetrics metrics;
  int slots;                               // calls posted ahead, per queue
  bool while_draining;                     // served during a drain too, and not waited for
  access::Rule rule;                       // what it asks of its caller
  std::function<void(ServerQueue&)> post;  // makes one more slot for an arriving call
  Tracer* tracer;                          // null: its calls are not traced
};

// What unary and streaming calls share. Everything but the three marked functions may be used from any thread, until
// the owning pointer is gone. Finish, cancellation and the server's drain may race: the first to finish the call wins.
class ServerCall {
 public:
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  // Only inside the handler, before it returns. Views into the call's own buffers: copy what is kept.
  std::string_view Metadata(const std::string& key) const;  // lower-case key; empty when absent
  std::string Peer() const;                                 // "ipv4:127.0.0.1:4242"

  // Who calls; of a method that anybody may call, nobody in particular. Whoever keeps it keeps it alive.
  const access::CallerPtr& caller() const { return caller_; }

  // Its span, or, where nothing is traced, its caller's; invalid when there is none.
  const TraceContext& trace() const { return trace_; }

  // InfiniteFuture when the client set none.
  SteadyTime deadline() const { return deadline_; }

  // The client went away (cancelled, disconnected, deadline passed), or the server gave the call up. Finish is still
  // due.
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  // Runs `callback` once, on the queue's thread, when the call becomes cancelled before it is finished; at once, on
  // this thread, when it already is. Otherwise it is dropped. It must not block. The last one set counts.
  void OnCancelled(absl::AnyInvocable<void()> callback);

  // Sent with the first message or the status. Ignored once the call is finished.
  void AddInitialMetadata(const std::string& key, const std::string& value);

  // Answers the call. False when it was finished before (this one then changes nothing).
  bool Finish(const absl::Status& status);

 protected:
  ServerCall(const Method& method, ServerQueue& queue);
  virtual ~ServerCall() = default;

  virtual void Request() = 0;                                // one of the two below
  virtual void Serve() = 0;                                  // gives the call to its handler
  virtual google::protobuf::Message* request_message() = 0;  // null: messages are read one by one
  virtual bool SendStatus(const absl::Status& status) = 0;   // under mutex_; false: not yet, a write is under way
  virtual void Completed() {}                                // on the queue's thread: nothing comes after this

  // Ask gRPC for the next call of the method.
  void RequestUnary(grpc::internal::ServerAsyncStreamingInterface& stream);
  void RequestServerStream(grpc::internal::ServerAsyncStreamingInterface& stream);
  void RequestBidiStream(grpc::internal::ServerAsyncStreamingInterface& stream);
  void CloseWhenComplete();

  std::optional<grpc::ServerContext>
      context_;  // until the last completion, so that a kept call does not hold up a drain
  std::mutex mutex_;
  bool finished_ = false;  // under mutex_
  bool reading_ = false;   // under mutex_; a read, and the headers, have to come back before the call may go
  bool opening_ = false;
  MemberTag<ServerCall> finish_tag_{this, &ServerCall::FinishSent};

 private:
  friend class Server;
  friend class ServerQueue;
  friend struct ReleaseCall;

  void Post();  // waits for a call to arrive; owns itself from here on
  void Arrived(bool ok);
  void Trace();          // begins its span
  absl::Status Admit();  // past the gate
  // Past the limits; false: the verdict comes later, and the call goes on by Resumed.
  bool Limit(absl::Status& status);
  void Resumed(const limits::Verdict& verdict);  // on the queue's thread
  absl::Status Heed(const limits::Verdict& verdict);
  void Proceed(absl::Status status);  // to the handler, or refused
  void ServeIfWanted();               // or refuses, when the client no longer waits
  void FinishSent(bool ok);
  void Done(bool ok);
  absl::AnyInvocable<void()> TakeCancelled();  // turns cancelled; what is to run because of it
  void Abort(const absl::Status& status);      // on the queue's thread
  void Release();
  void Unref();

  const Method& method_;
  ServerQueue& queue_;
  MemberTag<ServerCall> arrived_tag_{this, &ServerCall::Arrived};
  MemberTag<ServerCall> done_tag_{this, &ServerCall::Done};
  grpc::ByteBuffer payload_;
  std::atomic<int> refs_{1};  // gRPC's, and the owning pointer's once a handler has it
  std::atomic<bool> cancelled_{false};
  absl::AnyInvocable<void()> on_cancelled_;  // under mutex_
  SteadyTime deadline_ = SteadyTime::InfiniteFuture();
  access::CallerPtr caller_;  // null: not let in
  TraceContext trace_;
  Span span_;  // ends under mutex_
  std::chrono::steady_clock::time_point arrived_at_;
  bool finish_sent_ = false;  // these four on the queue's thread only
  bool done_ = false;
  ServerCall* previous_ = nullptr;
  ServerCall* next_ = nullptr;
};

struct ReleaseCall {
  void operator()(ServerCall* call) const { call->Release(); }
};

template <typename Call>
using CallPtr = std::unique_ptr<Call, ReleaseCall>;

template <typename Req, typename Resp>
class UnaryCall final : public ServerCall {
 public:
  using Ptr = CallPtr<UnaryCall>;
  using Handler = std::function<void(Ptr)>;  // called from every queue's thread; must not block

  // `handler` outlives the server.
  UnaryCall(const Method& method, ServerQueue& queue, const Handler& handler)
      : ServerCall(method, queue), handler_(handler), writer_(&*context_) {}

  Req& request() { return request_; }
  // Fill it before Finish(OK); not touched by gRPC earlier.
  Resp& response() { return response_; }

 private:
  void Request() override { RequestUnary(writer_); }
  void Serve() override { handler_(Ptr(this)); }
  google::protobuf::Message* request_message() override { return &request_; }
  bool SendStatus(const absl::Status& status) override {
    if (status.ok()) {
      writer_.Finish(response_, grpc::Status::OK, &finish_tag_);
    } else {
      writer_.FinishWithError(ToGrpcStatus(status), &finish_tag_);
    }
    return true;
  }

  const Handler& handler_;
  Req request_;
  Resp response_;
  grpc::ServerAsyncResponseWriter<Resp> writer_;
};

// What calls share that answer with a stream of messages; `Stream` is gRPC's.
template <typename Resp, typename Stream>
class StreamingCall : public ServerCall {
 public:
  // Sends the headers, so that the client (or a proxy before it) knows that it is served although no message is there
  // yet. At most once, before the first Write.
  void Open() {
    std::lock_guard lock(mutex_);
    if (finished_) return;
    opening_ = true;
    stream_.SendInitialMetadata(&open_tag_);
  }
  // Sends one message; the next only after `done`, which runs on the queue's thread. `ok` false: the client is gone, or
  // the call is finished (then `done` runs at once, on this thread). A Finish meanwhile is sent after the message.
  void Write(const Resp& message, absl::AnyInvocable<void(bool ok)> done) {
    {
      std::lock_guard lock(mutex_);
      if (!finished_) {
        written_ = std::move(done);
        writing_ = true;
        stream_.Write(message, &write_tag_);
        return;
      }
    }
    done(false);
  }

  // Ends the call at once: what is being written and is not read is let go of. The client gets CANCELLED.
  void Abandon() {
    std::lock_guard lock(mutex_);
    if (writing_) context_->TryCancel();  // so it is not complete yet
  }

 protected:
  StreamingCall(const Method& method, ServerQueue& queue) : ServerCall(method, queue), stream_(&*context_) {}

  Stream stream_;

 private:
  bool SendStatus(const absl::Status& status) override {
    if (writing_) {
      status_ = status;
      return false;
    }
    stream_.Finish(ToGrpcStatus(status), &finish_tag_);
    return true;
  }
  void Opened(bool) {
    {
      std::lock_guard lock(mutex_);
      opening_ = false;
    }
    CloseWhenComplete();
  }
  void Written(bool ok) {
    absl::AnyInvocable<void(bool)> done;
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
      done = std::move(written_);
      if (finished_) stream_.Finish(ToGrpcStatus(status_), &finish_tag_);
    }
    done(ok);
  }

  MemberTag<StreamingCall> open_tag_{this, &StreamingCall::Opened};
  MemberTag<StreamingCall> write_tag_{this, &StreamingCall::Written};
  bool writing_ = false;  // these three under mutex_
  absl::Status status_;
  absl::AnyInvocable<void(bool)> written_;
};

template <typename Req, typename Resp>
class ServerStreamCall final : public StreamingCall<Resp, grpc::ServerAsyncWriter<Resp>> {
 public:
  using Ptr = CallPtr<ServerStreamCall>;
  using Handler = std::function<void(Ptr)>;

  ServerStreamCall(const Method& method, ServerQueue& queue, const Handler& handler)
      : StreamingCall<Resp, grpc::ServerAsyncWriter<Resp>>(method, queue), handler_(handler) {}

  Req& request() { return request_; }

 private:
  void Request() override { this->RequestServerStream(this->stream_); }
  void Serve() override { handler_(Ptr(this)); }
  google::protobuf::Message* request_message() override { return &request_; }

  const Handler& handler_;
  Req request_;
};

// Takes what a client streams. On the queue's thread, one call at a time; must not block.
template <typename Req>
class StreamReader {
 public:
  virtual ~StreamReader() = default;
  // A message, for the length of this call.
  virtual void OnRead(Req& message) = 0;
  // No message comes any more. OK: the client closed its side (or went away: then OnCancelled tells). Otherwise what it
  // sent is no message: MALFORMED_REQUEST. Finish is still due.
  virtual void OnReadEnd(const absl::Status& status) = 0;
};

template <typename Req, typename Resp>
class BidiStreamCall final : public StreamingCall<Resp, grpc::ServerAsyncReaderWriter<Resp, grpc::ByteBuffer>> {
  using Base = StreamingCall<Resp, grpc::ServerAsyncReaderWriter<Resp, grpc::ByteBuffer>>;

 public:
  using Ptr = CallPtr<BidiStreamCall>;
  using Handler = std::function<void(Ptr)>;

  BidiStreamCall(const Method& method, ServerQueue& queue, const Handler& handler)
      : Base(method, queue), handler_(handler) {}

  // Once, inside the handler. The call keeps the reader until nothing can come any more.
  void SetReader(std::shared_ptr<StreamReader<Req>> reader) { reader_ = std::move(reader); }
  // Asks for one more message, after SetReader; from any thread, the next only after OnRead was called. Nothing comes
  // of it once the call is finished.
  void Read() {
    std::lock_guard lock(this->mutex_);
    if (this->finished_) return;
    this->reading_ = true;
    this->stream_.Read(&buffer_, &read_tag_);
  }

 private:
  void Request() override { this->RequestBidiStream(this->stream_); }
  void Serve() override { handler_(Ptr(this)); }
  google::protobuf::Message* request_message() override { return nullptr; }
  void Completed() override { reader_.reset(); }
  void ReadDone(bool ok) {
    bool finished;
    {
      std::lock_guard lock(this->mutex_);
      this->reading_ = false;
      finished = this->finished_;
    }
    if (finished) {
      buffer_.Clear();
      this->CloseWhenComplete();
      return;
    }
    if (!ok) {
      reader_->OnReadEnd(absl::OkStatus());
      return;
    }
    Req message;  // not kept, so that an idle stream has none
    absl::Status parsed = ParseRequest(buffer_, message);
    buffer_.Clear();
    if (parsed.ok()) {
      reader_->OnRead(message);
    } else {
      reader_->OnReadEnd(parsed);
    }
  }

  const Handler& handler_;
  std::shared_ptr<StreamReader<Req>> reader_;
  grpc::ByteBuffer buffer_;
  MemberTag<BidiStreamCall> read_tag_{this, &BidiStreamCall::ReadDone};
};

}  // namespace waybill::rpc
