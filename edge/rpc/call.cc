#include "edge/rpc/call.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "edge/rpc/deadline.h"
#include "edge/rpc/queue.h"
#include "edge/rpc/request.h"
#include "edge/rpc/service_table.h"
#include "edge/tls/server_context.h"
#include "grpc/grpc_security_constants.h"
#include "grpcpp/security/auth_context.h"
#include "runtime/status.h"

namespace waybill::rpc {

ServerCall::ServerCall(const Method& method, ServerQueue& queue) : method_(method), queue_(queue) {
  context_.emplace();
  context_->AsyncNotifyWhenDone(&done_tag_);
}

void ServerCall::RequestUnary(grpc::internal::ServerAsyncStreamingInterface& stream) {
  method_.service.RequestUnary(method_.index, &*context_, &payload_, &stream, queue_.queue(), &arrived_tag_);
}

void ServerCall::RequestServerStream(grpc::internal::ServerAsyncStreamingInterface& stream) {
  method_.service.RequestServerStream(method_.index, &*context_, &payload_, &stream, queue_.queue(), &arrived_tag_);
}

void ServerCall::RequestBidiStream(grpc::internal::ServerAsyncStreamingInterface& stream) {
  method_.service.RequestBidiStream(method_.index, &*context_, &stream, queue_.queue(), &arrived_tag_);
}

namespace {

// What was sent under this key.
std::vector<std::string_view> ValuesOf(const grpc::ServerContext& context, const char* key) {
  const auto [first, last] = context.client_metadata().equal_range(key);
  std::vector<std::string_view> values;
  for (auto it = first; it != last; ++it) values.emplace_back(it->second.data(), it->second.size());
  return values;
}

// Those that the handshake has found true. `within` the process, those that its front end's handshake has: nobody
// else's word counts for that.
std::vector<std::string> CertificateNames(const grpc::ServerContext& context, bool within) {
  std::vector<std::string> names;
  if (within) {
    for (const std::string_view name : ValuesOf(context, kCertificateNameKey)) names.emplace_back(name);
    return names;
  }
  // The same as tls::VerifiedNames says of the HTTP port.
  const std::shared_ptr<const grpc::AuthContext> handshake = context.auth_context();
  if (handshake == nullptr || !handshake->IsPeerAuthenticated()) return names;
  const bool has_alternatives = !handshake->FindPropertyValues(GRPC_X509_SAN_PROPERTY_NAME).empty();
  const std::vector<const char*> properties =
      has_alternatives ? std::vector<const char*>{GRPC_PEER_URI_PROPERTY_NAME, GRPC_PEER_DNS_PROPERTY_NAME}
                       : std::vector<const char*>{GRPC_X509_CN_PROPERTY_NAME};
  for (const char* property : properties) {
    for (const grpc::string_ref& value : handshake->FindPropertyValues(property)) {
      std::string name(value.data(), value.size());
      if (tls::IsNameOfAKey(name)) names.push_back(std::move(name));
    }
  }
  return names;
}

// As OpenTelemetry's conventions for gRPC have it: what the client is to blame for is no error of the server's.
bool IsServersFault(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
      return true;
    case absl::StatusCode::kUnavailable:
      return waybill::GetErrorDetail(status).reason != "SHUTTING_DOWN";  // that is no fault, and all at once
    default:
      return false;
  }
}

void EndSpan(Span& span, const Method& method, const access::Caller* caller, const absl::Status& status) {
  if (IsServersFault(status)) span.Fail(std::string(status.message()));
  if (span.recording()) {
    span.Set("rpc.system", "grpc");
    span.Set("rpc.service", method.descriptor.service()->full_name());
    span.Set("rpc.method", method.descriptor.name());
    span.Set("rpc.grpc.status_code", static_cast<int64_t>(status.code()));
    if (caller != nullptr) span.Set("waybill.client", caller->client);
  }
  span.End();
}

}  // namespace

void ServerCall::Post() {
  queue_.Add();
  Request();
}

void ServerCall::Arrived(bool ok) {
  if (!ok) {  // the server shuts down, no call came
    queue_.Remove();
    delete this;
    return;
  }
  method_.post(queue_);  // first, so that the next call never waits for this one
  arrived_at_ = std::chrono::steady_clock::now();
  deadline_ = FromGrpcDeadline(context_->raw_deadline());
  method_.metrics.Started();
  Trace();
  bool welcome = queue_.Open(*this);
  absl::Status status = welcome ? Admit() : ShuttingDownError();
  if (!status.ok()) span_.Drop();
  if (!status.ok() || Limit(status)) Proceed(std::move(status));
}

bool ServerCall::Limit(absl::Status& status) {
  limits::Limiter* limiter = queue_.limiter();
  if (limiter == nullptr || !method_.rule) return true;  // what anybody may call, as health, is never limited
  const std::optional<limits::Verdict> verdict = limiter->Admit(
      method_.name, caller_->client, [this](limits::Verdict later) { queue_.Resume(*this, std::move(later)); });
  if (verdict) {
    status = Heed(*verdict);
    return true;
  }
  // Whatever becomes of the call meanwhile, it is there when the verdict comes, and so is its queue.
  refs_.store(2, std::memory_order_relaxed);
  queue_.Add();
  return false;
}

void ServerCall::Resumed(const limits::Verdict& verdict) {
  ServerQueue& queue = queue_;
  bool finished;
  {
    std::lock_guard lock(mutex_);
    finished = finished_;
  }
  Unref();
  if (!finished) Proceed(Heed(verdict));
  queue.Remove();
}

// Whoever calls by HTTP is told where it stands.
absl::Status ServerCall::Heed(const limits::Verdict& verdict) {
  if (verdict.rule != nullptr && queue_.within()) {
    AddInitialMetadata("ratelimit", limits::RateLimitField(verdict));
    AddInitialMetadata("ratelimit-policy", limits::RateLimitPolicyField(verdict));
  }
  if (!verdict.status.ok()) span_.Drop();
  if (verdict.status.code() == absl::StatusCode::kResourceExhausted) method_.metrics.Limited();
  return verdict.status;
}

void ServerCall::Proceed(absl::Status status) {
  google::protobuf::Message* request = request_message();
  if (status.ok() && request != nullptr) status = ParseRequest(payload_, *request);
  payload_.Clear();
  if (!status.ok()) {
    Finish(status);
    return;
  }
  refs_.store(2, std::memory_order_relaxed);
  queue_.Later(*this);
}

void ServerCall::Trace() {
  // Two traceparents are none, as the specification has it.
  const std::vector<std::string_view> parents = ValuesOf(*context_, "traceparent");
  if (parents.size() == 1) {
    if (std::optional<TraceContext> caller = ParseTraceparent(parents.front())) {
      trace_ = *std::move(caller);
      trace_.state = JoinTracestate(ValuesOf(*context_, "tracestate"));
    }
  }
  if (method_.tracer == nullptr) return;
  span_ = method_.tracer->Enter(method_.name, SpanKind::kServer, trace_);
  trace_ = span_.context();
}

absl::Status ServerCall::Admit() {
  access::Evidence evidence;
  evidence.client = Metadata("waybill-client");
  const std::vector<std::string_view> headers = ValuesOf(*context_, "authorization");
  if (!headers.empty()) evidence.authorization = headers.size() == 1 ? headers.front() : "";
  evidence.certificate_names = [this] { return CertificateNames(*context_, queue_.within()); };
  absl::StatusOr<access::CallerPtr> caller = queue_.gate().Admit(method_.rule, evidence);
  if (!caller.ok()) return caller.status();
  caller_ = *std::move(caller);
  return absl::OkStatus();
}

void ServerCall::ServeIfWanted() {
  if (deadline_ <= SystemClock().Steady()) {
    Finish(absl::DeadlineExceededError("the deadline had passed before the call was looked at; nothing was done"));
  } else if (cancelled()) {
    Finish(absl::CancelledError("the call was cancelled before it was looked at; nothing was done"));
  } else {
    Serve();
    return;
  }
  Unref();
}

std::string_view ServerCall::Metadata(const std::string& key) const {
  const auto& metadata = context_->client_metadata();
  auto it = metadata.find(key);
  if (it == metadata.end()) return {};
  return {it->second.data(), it->second.size()};
}

std::string ServerCall::Peer() const { return context_->peer(); }

void ServerCall::OnCancelled(absl::AnyInvocable<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (!cancelled()) {
      // Swapped, not assigned: what is replaced is destroyed outside the lock, for it may own this very call.
      if (!finished_) std::swap(on_cancelled_, callback);
      return;
    }
  }
  callback();
}

void ServerCall::AddInitialMetadata(const std::string& key, const std::string& value) {
  std::lock_guard lock(mutex_);
  if (!finished_) context_->AddInitialMetadata(key, value);
}

bool ServerCall::Finish(const absl::Status& status) {
  absl::AnyInvocable<void()> dropped;
  std::lock_guard lock(mutex_);
  if (finished_) return false;
  finished_ = true;
  dropped = std::move(on_cancelled_);
  method_.metrics.Handled(status.code(), absl::FromChrono(std::chrono::steady_clock::now() - arrived_at_));
  EndSpan(span_, method_, caller_.get(), status);
  SendStatus(status);
  return true;
}

void ServerCall::FinishSent(bool) {
  finish_sent_ = true;
  CloseWhenComplete();
}

void ServerCall::Done(bool) {
  if (context_->IsCancelled()) {
    auto callback = TakeCancelled();
    if (callback) callback();
  }
  done_ = true;
  CloseWhenComplete();
}

void ServerCall::CloseWhenComplete() {
  if (!finish_sent_ || !done_) return;
  {
    std::lock_guard lock(mutex_);
    if (reading_ || opening_) return;
  }
  Completed();
  queue_.Close(*this);
  context_.reset();
  queue_.Remove();
  Unref();
}

absl::AnyInvocable<void()> ServerCall::TakeCancelled() {
  std::lock_guard lock(mutex_);
  cancelled_.store(true, std::memory_order_release);
  return std::exchange(on_cancelled_, nullptr);
}

void ServerCall::Abort(const absl::Status& status) {
  auto callback = TakeCancelled();
  Finish(status);  // first, so that the client reads this and not what the callback may answer
  if (callback) callback();
}

void ServerCall::Release() {
  Finish(absl::InternalError("the call was dropped unfinished"));
  Unref();
}

void ServerCall::Unref() {
  if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

}  // namespace waybill::rpc
