#include "edge/connect/server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "edge/connect/gzip.h"
#include "edge/connect/protocol.h"
#include "edge/rpc/deadline.h"
#include "edge/rpc/status.h"
#include "edge/rpc/tag.h"
#include "edge/tls/server_context.h"
#include "fmt/format.h"
#include "google/rpc/error_details.pb.h"
#include "grpc/grpc.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/byte_buffer.h"

namespace waybill::connect {
namespace {

using google::protobuf::MethodDescriptor;
using google::protobuf::MethodOptions;

constexpr char kJsonType[] = "application/json";
constexpr absl::Duration kDrainMax = absl::Hours(24);  // a condition variable bears no infinity

// Asked for by pages before they call; answers are remembered for so long.
constexpr char kPreflightSeconds[] = "7200";
constexpr char kPageFields[] =
    "authorization, content-encoding, content-type, connect-accept-encoding, connect-content-encoding, "
    "connect-protocol-version, connect-timeout-ms, idempotency-key, traceparent, tracestate, waybill-client, "
    "x-user-agent";

grpc::ByteBuffer BufferOf(std::string bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  if (!buffer.Valid() || !buffer.DumpToSingleSlice(&slice).ok()) return {};
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

// What a handler added, but for gRPC's own.
Metadata Own(const std::multimap<grpc::string_ref, grpc::string_ref>& received) {
  Metadata own;
  for (const auto& [key, value] : received) {
    const std::string name(key.data(), key.size());
    if (name.compare(0, 5, "grpc-") == 0 || name == "content-type") continue;
    own.emplace_back(name, std::string(value.data(), value.size()));
  }
  return own;
}

struct ContentType {
  bool known = false;
  bool stream = false;
  bool json = false;
};

ContentType ContentTypeOf(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  lower.erase(std::remove(lower.begin(), lower.end(), ' '), lower.end());
  const std::string type = lower.substr(0, lower.find(';'));
  const std::string parameters = lower.substr(type.size());
  if (!parameters.empty() && parameters != ";charset=utf-8" && parameters != ";charset=\"utf-8\"") return {};
  if (type == "application/json") return {true, false, true};
  if (type == "application/proto") return {true, false, false};
  if (type == "application/connect+json") return {true, true, true};
  if (type == "application/connect+proto") return {true, true, false};
  return {};
}

grpc::Status NoSuchEncoding(std::string_view encoding) {
  return {grpc::StatusCode::UNIMPLEMENTED,
          fmt::format("unknown compression \"{}\": supported encodings are gzip", encoding)};
}

// Nothing is to be polled for calls within the process (see rpc::Expected).
grpc_completion_queue* NonPollingQueue() {
  const grpc_completion_queue_attributes attributes = {GRPC_CQ_CURRENT_VERSION, GRPC_CQ_NEXT, GRPC_CQ_NON_POLLING,
                                                       nullptr};
  return grpc_completion_queue_create(grpc_completion_queue_factory_lookup(&attributes), &attributes, nullptr);
}

rpc::ServerOptions InProcess(const ServerOptions& of) {
  rpc::ServerOptions options;
  options.gate = of.gate;
  options.limiter = of.limiter;
  options.reflection = false;  // nobody could ask it
  options.tracer = of.tracer;
  options.address.clear();
  options.request_bytes_max = static_cast<int>(of.message_bytes_max);
  return options;
}

// Of a page that may call; nothing for others.
http::Fields CorsOf(const http::Request& request) {
  const std::string_view origin = request.Field("origin");
  if (origin.empty()) return {};
  return {{"access-control-allow-origin", std::string(origin)}, {"access-control-expose-headers", "*"}};
}

absl::Status CheckVersion(std::string_view version) {
  if (version.empty() || version == "1") return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("Connect-Protocol-Version must be \"1\": got \"{}\"", version));
}

absl::StatusOr<std::string> Unpack(std::string_view message, std::string_view encoding, size_t bytes_max) {
  if (encoding.empty() || encoding == "identity") return std::string(message);
  if (encoding == "gzip") return Gunzip(message, bytes_max);
  return rpc::FromGrpcStatus(NoSuchEncoding(encoding));
}

}  // namespace

// How one call is answered.
struct Server::Answering {
  http::ExchangePtr exchange;
  const Json& json;
  const MethodDescriptor& method;
  bool as_json = false;
  bool gzip = false;  // its client takes it
  size_t gzip_from = 0;
  http::Fields cors;

  absl::StatusOr<std::string> Encode(std::string bytes) const {
    return as_json ? json.FromBytes(*method.output_type(), bytes) : absl::StatusOr<std::string>(std::move(bytes));
  }

  void Unary(const grpc::Status& status, std::string body, const Metadata& leading, const Metadata& trailing) const {
    http::Response response;
    response.fields = cors;
    response.fields.insert(response.fields.end(), leading.begin(), leading.end());
    for (const auto& [name, value] : trailing) response.fields.emplace_back("trailer-" + name, value);
    if (status.ok()) {
      response.content_type = as_json ? kJsonType : "application/proto";
      response.body = std::move(body);
    } else {
      response.code = HttpStatus(status.error_code());
      response.content_type = kJsonType;
      response.body = ErrorJson(status, json);
      if (const absl::Duration wait = RetryAfter(status); wait > absl::ZeroDuration()) {
        response.fields.emplace_back("retry-after",
                                     fmt::format("{}", absl::ToInt64Seconds(absl::Ceil(wait, absl::Seconds(1)))));
      }
    }
    if (gzip && response.body.size() >= gzip_from) {
      response.body = Gzip(response.body);
      response.fields.emplace_back("content-encoding", "gzip");
    }
    response.fields.emplace_back("vary", "accept-encoding, origin");
    exchange->Answer(std::move(response));
  }

  void BeginStream(const Metadata& leading) const {
    http::Response head;
    head.content_type = as_json ? "application/connect+json" : "application/connect+proto";
    head.fields = cors;
    head.fields.insert(head.fields.end(), leading.begin(), leading.end());
    if (gzip) head.fields.emplace_back("connect-content-encoding", "gzip");
    exchange->Begin(std::move(head));
  }
  std::string Packed(uint8_t flags, const std::string& message) const {
    if (!gzip || message.size() < gzip_from) return Envelope(flags, message);
    return Envelope(flags | kCompressed, Gzip(message));
  }
  void EndStream(const grpc::Status& status, const Metadata& trailing) const {
    exchange->Write(Packed(kEnd, EndJson(status, trailing, json)), [](bool) {});
    exchange->End();
  }

  // Before there is a call.
  void Refuse(const grpc::Status& status) const {
    if (method.server_streaming()) {
      BeginStream({});
      EndStream(status, {});
    } else {
      Unary(status, {}, {}, {});
    }
  }
  void Refuse(const absl::Status& status) const { Refuse(rpc::ToGrpcStatus(status)); }
  void RefuseType(const std::string& types) const {
    const grpc::Status status(grpc::StatusCode::UNKNOWN, fmt::format("the content-type is none of {}", types));
    http::Fields fields = cors;
    fields.emplace_back("accept-post", types);
    exchange->Answer({415, kJsonType, ErrorJson(status, json), std::move(fields)});
  }
};

// Of gRPC's, within this process. The server keeps it until its last completion.
class Server::Call : public std::enable_shared_from_this<Call> {
 public:
  Call(Server& server, Answering answering) : server_(server), answering_(std::move(answering)) {}
  virtual ~Call() = default;

  virtual void Start(grpc::GenericStub& stub, const std::string& path, grpc::ByteBuffer request) = 0;
  grpc::ClientContext& context() { return context_; }
  // Waits no longer for a client that does not read.
  virtual void CutOff() {}
  const Answering& answering() const { return answering_; }

 protected:
  void Leave() { server_.Leave(shared_from_this()); }

  Server& server_;
  const Answering answering_;
  grpc::ClientContext context_;
  grpc::Status status_;
};

class Server::UnaryCall final : public Call {
 public:
  using Call::Call;
  void Start(grpc::GenericStub& stub, const std::string& path, grpc::ByteBuffer request) override {
    reader_ = stub.PrepareUnaryCall(&context_, path, request, &server_.queue_);
    reader_->StartCall();
    reader_->Finish(&response_, &status_, static_cast<rpc::Tag*>(&finished_tag_));
  }

 private:
  void Finished(bool) {
    const auto self = shared_from_this();
    std::string body;
    if (status_.ok()) {
      absl::StatusOr<std::string> encoded = answering_.Encode(BytesOf(response_));
      if (encoded.ok()) {
        body = *std::move(encoded);
      } else {
        status_ = rpc::ToGrpcStatus(encoded.status());
      }
    }
    answering_.Unary(status_, std::move(body), Own(context_.GetServerInitialMetadata()),
                     Own(context_.GetServerTrailingMetadata()));
    Leave();  // last: who drains may take the HTTP server away then
  }

  rpc::MemberTag<UnaryCall> finished_tag_{this, &UnaryCall::Finished};
  grpc::ByteBuffer response_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
};

// One operation after the other: started, asked, headers, then message by message as fast as the client reads.
class Server::StreamCall final : public Call {
 public:
  using Call::Call;
  void Start(grpc::GenericStub& stub, const std::string& path, grpc::ByteBuffer request) override {
    request_.Swap(&request);
    stream_ = stub.PrepareCall(&context_, path, &server_.queue_);
    stream_->StartCall(Tagged(started_tag_));
  }
  void CutOff() override {
    cut_off_ = true;
    if (writing_) answering_.exchange->Abort();
  }

 private:
  static rpc::Tag* Tagged(rpc::Tag& tag) { return &tag; }

  void Started(bool ok) {
    if (ok) {
      stream_->WriteLast(request_, grpc::WriteOptions(), Tagged(asked_tag_));
    } else {
      Finish();
    }
  }
  void Asked(bool) {
    request_.Clear();
    stream_->ReadInitialMetadata(Tagged(headers_tag_));
  }
  void Headers(bool) {
    answering_.BeginStream(Own(context_.GetServerInitialMetadata()));
    stream_->Read(&message_, Tagged(read_tag_));
  }
  void Read(bool ok) {
    if (!ok) {
      Finish();
      return;
    }
    absl::StatusOr<std::string> encoded = answering_.Encode(BytesOf(message_));
    if (!encoded.ok()) {
      broken_ = encoded.status();
      context_.TryCancel();
      Finish();
      return;
    }
    writing_ = true;
    answering_.exchange->Write(answering_.Packed(0, *encoded), [self = shared_from_this(), this](bool sent) {
      writing_ = false;
      if (sent) {
        stream_->Read(&message_, Tagged(read_tag_));
        return;
      }
      context_.TryCancel();
      Finish();
    });
    if (cut_off_) answering_.exchange->Abort();  // meanwhile
  }
  void Finish() { stream_->Finish(&status_, Tagged(finished_tag_)); }
  void Finished(bool) {
    const auto self = shared_from_this();
    if (!broken_.ok()) status_ = rpc::ToGrpcStatus(broken_);
    answering_.EndStream(status_, Own(context_.GetServerTrailingMetadata()));
    Leave();
  }

  rpc::MemberTag<StreamCall> started_tag_{this, &StreamCall::Started};
  rpc::MemberTag<StreamCall> asked_tag_{this, &StreamCall::Asked};
  rpc::MemberTag<StreamCall> headers_tag_{this, &StreamCall::Headers};
  rpc::MemberTag<StreamCall> read_tag_{this, &StreamCall::Read};
  rpc::MemberTag<StreamCall> finished_tag_{this, &StreamCall::Finished};
  grpc::ByteBuffer request_;
  grpc::ByteBuffer message_;
  std::atomic<bool> writing_{false};
  std::atomic<bool> cut_off_{false};
  absl::Status broken_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

Server::Server(const Clock& clock, Metrics& metrics, ServerOptions options)
    : clock_(clock),
      options_(std::move(options)),
      server_(InProcess(options_), metrics),
      queue_(NonPollingQueue()),
      thread_([this] { rpc::ServeQueue(queue_); }) {}

Server::~Server() {
  Drain(SteadyTime::InfinitePast());
  queue_.Shutdown();
  thread_.join();
}

void Server::ServeOn(http::Server& http) {
  http.Serve("/", {"connect", {"GET", "POST", "OPTIONS"}},
             [this](const http::ExchangePtr& exchange) { Serve(exchange); });
}

absl::Status Server::Start() {
  if (absl::Status status = server_.Start(); !status.ok()) return status;
  for (const auto* detail : {google::rpc::ErrorInfo::descriptor(), google::rpc::BadRequest::descriptor(),
                             google::rpc::RetryInfo::descriptor(), google::rpc::QuotaFailure::descriptor()}) {
    json_.Add(*detail);
  }
  for (const MethodDescriptor* descriptor : server_.methods()) {
    std::string path = fmt::format("/{}/{}", descriptor->service()->full_name(), descriptor->name());
    methods_.emplace(path, Method{*descriptor, path});
    json_.Add(*descriptor->input_type());
    json_.Add(*descriptor->output_type());
  }
  stub_ = std::make_unique<grpc::GenericStub>(server_.InProcessChannel());
  started_ = true;
  return absl::OkStatus();
}

void Server::SendAway() {
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
  }
  server_.SendAway();
}

void Server::Drain(SteadyTime deadline) {
  SendAway();
  server_.Drain(deadline);
  const auto none = [this] { return in_flight_.empty(); };
  const absl::Duration left = std::clamp(deadline - clock_.Steady(), absl::ZeroDuration(), kDrainMax);
  std::unique_lock lock(mutex_);
  if (none_in_flight_.wait_for(lock, absl::ToChronoNanoseconds(left), none)) return;
  for (const auto& call : in_flight_) call->CutOff();
  none_in_flight_.wait(lock, none);
}

void Server::Leave(const std::shared_ptr<Call>& call) {
  std::lock_guard lock(mutex_);
  in_flight_.erase(call);
  server_.expected().End();
  if (draining_ && in_flight_.empty()) none_in_flight_.notify_all();
}

bool Server::Allows(std::string_view origin) const {
  return std::any_of(options_.origins.begin(), options_.origins.end(),
                     [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

void Server::AnswerPreflight(const http::ExchangePtr& exchange) const {
  const std::string_view origin = exchange->request().Field("origin");
  if (!Allows(origin)) {
    exchange->Answer({403, "text/plain; charset=utf-8", "pages of this origin may not call\n", {}});
    return;
  }
  exchange->Answer({204,
                    "",
                    "",
                    {{"access-control-allow-origin", std::string(origin)},
                     {"access-control-allow-methods", "GET, POST"},
                     {"access-control-allow-headers", kPageFields},
                     {"access-control-max-age", kPreflightSeconds},
                     {"vary", "origin"}}});
}

void Server::Serve(const http::ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  if (request.method == "OPTIONS") {
    AnswerPreflight(exchange);
    return;
  }
  const std::string_view origin = request.Field("origin");
  if (!origin.empty() && !Allows(origin)) {
    const grpc::Status status(grpc::StatusCode::PERMISSION_DENIED, "pages of this origin may not call");
    exchange->Answer({403, kJsonType, ErrorJson(status, json_), {}});
    return;
  }
  const http::Fields cors = CorsOf(request);
  const auto refuse = [&](unsigned code, const grpc::Status& status, http::Fields fields = {}) {
    fields.insert(fields.end(), cors.begin(), cors.end());
    exchange->Answer({code, kJsonType, ErrorJson(status, json_), std::move(fields)});
  };
  if (!started_) {
    refuse(503, {grpc::StatusCode::UNAVAILABLE, "the service is starting"});
    return;
  }
  const auto method = methods_.find(request.path);
  if (method == methods_.end()) {
    refuse(404, {grpc::StatusCode::UNIMPLEMENTED,
                 fmt::format("there is no {}; try /livez, /readyz, /metrics, or a method: /package.Service/Method",
                             request.path)});
    return;
  }
  const MethodDescriptor& descriptor = method->second.descriptor;
  const bool reads = descriptor.options().idempotency_level() == MethodOptions::NO_SIDE_EFFECTS;
  if (request.method == "GET" && (!reads || descriptor.server_streaming() || descriptor.client_streaming())) {
    refuse(405, {grpc::StatusCode::UNIMPLEMENTED, "this method takes POST only"}, {{"Allow", "POST"}});
    return;
  }
  if (descriptor.server_streaming() || descriptor.client_streaming()) {
    ServeStream(exchange, method->second);
  } else {
    ServeUnary(exchange, method->second);
  }
}

void Server::ServeUnary(const http::ExchangePtr& exchange, const Method& method) {
  const http::Request& request = exchange->request();
  Answering answering{exchange, json_, method.descriptor};
  answering.gzip_from = options_.gzip_from;
  answering.gzip = Accepts(request.Field("accept-encoding"), "gzip");
  answering.cors = CorsOf(request);
  const bool get = request.method == "GET";
  std::string message;
  std::string encoding(request.Field("content-encoding"));
  std::string version(request.Field("connect-protocol-version"));
  if (get) {
    const std::string codec = http::QueryParameter(request.query, "encoding");
    if (codec != "json" && codec != "proto") {
      answering.Refuse(absl::InvalidArgumentError("the parameter encoding is neither json nor proto"));
      return;
    }
    answering.as_json = codec == "json";
    message = http::QueryParameter(request.query, "message");
    encoding = http::QueryParameter(request.query, "compression");
    version = http::QueryParameter(request.query, "connect");
    if (version == "v1") version = "1";
    std::string decoded;
    if (http::QueryParameter(request.query, "base64") == "1") {
      const size_t end = message.find_last_not_of('=');
      message.resize(end == std::string::npos ? 0 : end + 1);
      if (!absl::WebSafeBase64Unescape(message, &decoded)) {
        answering.Refuse(absl::InvalidArgumentError("the parameter message is not base64url"));
        return;
      }
      message = std::move(decoded);
    }
  } else {
    const ContentType type = ContentTypeOf(request.Field("content-type"));
    answering.as_json = type.json;
    if (!type.known || type.stream) {
      answering.RefuseType("application/json, application/proto");
      return;
    }
    message = std::move(exchange->request().body);
  }
  if (const absl::Status known = CheckVersion(version); !known.ok()) {
    answering.Refuse(known);
    return;
  }
  auto plain = Unpack(message, encoding, options_.message_bytes_max);
  if (plain.ok() && answering.as_json) plain = json_.ToBytes(*method.descriptor.input_type(), *plain);
  if (!plain.ok()) {
    answering.Refuse(plain.status());
    return;
  }
  Begin(std::make_shared<UnaryCall>(*this, answering), request, method.path, *std::move(plain));
}

void Server::ServeStream(const http::ExchangePtr& exchange, const Method& method) {
  const http::Request& request = exchange->request();
  Answering answering{exchange, json_, method.descriptor};
  answering.gzip_from = options_.gzip_from;
  answering.gzip = Accepts(request.Field("connect-accept-encoding"), "gzip");
  answering.cors = CorsOf(request);
  const ContentType type = ContentTypeOf(request.Field("content-type"));
  if (!type.known || !type.stream) {
    answering.RefuseType("application/connect+json, application/connect+proto");
    return;
  }
  answering.as_json = type.json;
  if (method.descriptor.client_streaming()) {
    answering.BeginStream({});
    answering.EndStream({grpc::StatusCode::UNIMPLEMENTED, "what a client streams needs gRPC; this is HTTP/1.1"}, {});
    return;
  }
  const std::string_view version = request.Field("connect-protocol-version");
  if (const absl::Status known = CheckVersion(version); !known.ok()) {
    answering.Refuse(known);
    return;
  }
  const auto envelope = OnlyEnvelope(request.body);
  if (!envelope.ok()) {
    answering.Refuse(envelope.status());
    return;
  }
  const bool packed = (envelope->flags & kCompressed) != 0;
  const std::string_view encoding = request.Field("connect-content-encoding");
  if (packed && (encoding.empty() || encoding == "identity")) {
    answering.Refuse(
        absl::InvalidArgumentError("the envelope is compressed, and no connect-content-encoding says how"));
    return;
  }
  auto plain = Unpack(envelope->message, packed ? encoding : "", options_.message_bytes_max);
  if (plain.ok() && answering.as_json) plain = json_.ToBytes(*method.descriptor.input_type(), *plain);
  if (!plain.ok()) {
    answering.Refuse(plain.status());
    return;
  }
  exchange->request().body = std::string();
  Begin(std::make_shared<StreamCall>(*this, answering), request, method.path, *std::move(plain));
}

void Server::Begin(const std::shared_ptr<Call>& call, const http::Request& request, const std::string& path,
                   std::string message) {
  const auto metadata = MetadataOf(request);
  const auto timeout = Timeout(request.Field("connect-timeout-ms"));
  if (!metadata.ok() || !timeout.ok()) {
    call->answering().Refuse(!metadata.ok() ? metadata.status() : timeout.status());
    return;
  }
  for (const auto& [name, value] : *metadata) call->context().AddMetadata(name, value);
  for (const std::string& name : request.certificate_names) {
    if (!tls::IsNameOfAKey(name)) continue;  // gRPC would end the process
    call->context().AddMetadata(rpc::kCertificateNameKey, name);
  }
  if (*timeout != absl::InfiniteDuration()) {
    call->context().set_deadline(rpc::ToGrpcDeadline(clock_.Steady() + *timeout));
  }
  {
    std::lock_guard lock(mutex_);  // until it has begun, so that none begins while the server drains
    if (!draining_) {
      in_flight_.insert(call);
      server_.expected().Begin();
      call->Start(*stub_, path, BufferOf(std::move(message)));
    }
    if (draining_) {
      call->answering().Refuse(rpc::ShuttingDownError());
      return;
    }
  }
  call->answering().exchange->OnGone([weak = std::weak_ptr(call)] {
    if (auto gone = weak.lock()) gone->context().TryCancel();
  });
}

}  // namespace waybill::connect
