#include "edge/websocket/endpoint.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/status.h"

namespace waybill::websocket {
namespace {

using http::Exchange;
using http::ExchangePtr;

// Says why, to a page that would not learn it otherwise.
class Refusal final : public http::WebSocketHandler {
 public:
  Refusal(uint16_t code, std::string reason) : code_(code), reason_(std::move(reason)) {}
  void OnOpen(http::WebSocketPtr socket) override { socket->Close(code_, reason_); }
  void OnMessage(std::string, bool) override {}
  void OnClose(uint16_t, std::string_view) override {}

 private:
  const uint16_t code_;
  const std::string reason_;
};

}  // namespace

// One that counts while it is open.
class Endpoint::Counted final : public http::WebSocketHandler {
 public:
  Counted(std::shared_ptr<Open> open, std::string client, std::shared_ptr<http::WebSocketHandler> handler)
      : open_(std::move(open)), client_(std::move(client)), handler_(std::move(handler)) {}
  // Also of one that never was opened.
  ~Counted() override {
    std::lock_guard lock(open_->mutex);
    const auto count = open_->by_client.find(client_);
    if (--count->second == 0) open_->by_client.erase(count);
  }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  void OnOpen(http::WebSocketPtr socket) override { handler_->OnOpen(std::move(socket)); }
  void OnMessage(std::string message, bool is_text) override { handler_->OnMessage(std::move(message), is_text); }
  void OnRoom() override { handler_->OnRoom(); }
  void OnClose(uint16_t code, std::string_view reason) override { handler_->OnClose(code, reason); }

 private:
  const std::shared_ptr<Open> open_;
  const std::string client_;
  const std::shared_ptr<http::WebSocketHandler> handler_;
};

access::Evidence EvidenceOf(const http::Request& request) {
  access::Evidence evidence;
  evidence.client = request.Field("waybill-client");
  for (const auto& [name, value] : request.fields) {
    if (name == "authorization") evidence.authorization = evidence.authorization ? "" : std::string_view(value);
  }
  evidence.certificate_names = [&request] { return request.certificate_names; };
  return evidence;
}

unsigned HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
      return 400;
    case absl::StatusCode::kUnavailable:
      return 503;
    default:
      return 500;
  }
}

Endpoint::Endpoint(EndpointOptions options, Admit admit) : options_(std::move(options)), admit_(std::move(admit)) {}

void Endpoint::ServeOn(http::Server& server, const std::string& path, const std::string& name) {
  server.Serve(path, {name, {"GET"}}, [this](const ExchangePtr& exchange) { Serve(exchange); });
}

bool Endpoint::Allows(std::string_view origin) const {
  return std::any_of(options_.origins.begin(), options_.origins.end(),
                     [&](const std::string& allowed) { return allowed == "*" || allowed == origin; });
}

void Endpoint::Serve(const ExchangePtr& exchange) {
  const http::Request& request = exchange->request();
  if (auto fault = http::UpgradeFault(request)) return exchange->Answer(*std::move(fault));
  size_t origins = 0;
  for (const auto& [name, value] : request.fields) origins += name == "origin";
  if (origins > 1 || (origins == 1 && !Allows(request.Field("origin")))) {
    return exchange->Answer({403, "text/plain; charset=utf-8", "pages of this origin may not connect\n", {}});
  }
  std::string subprotocol;
  if (!options_.subprotocols.empty()) {
    for (const std::string& offered : http::OfferedSubprotocols(request)) {
      const auto& known = options_.subprotocols;
      if (subprotocol.empty() && std::find(known.begin(), known.end(), offered) != known.end()) subprotocol = offered;
    }
    if (subprotocol.empty()) {
      return exchange->Answer({400,
                               "text/plain; charset=utf-8",
                               fmt::format("no subprotocol that is known is offered; offer one of {}\n",
                                           fmt::join(options_.subprotocols, ", ")),
                               {}});
    }
  }
  absl::StatusOr<Admission> admission = admit_(request);
  if (!admission.ok()) return Refuse(exchange, subprotocol, admission.status());
  Limited(exchange, subprotocol, *std::move(admission));
}

void Endpoint::Limited(const ExchangePtr& exchange, const std::string& subprotocol, Admission admission) const {
  if (options_.limiter == nullptr) return Enter(exchange, subprotocol, admission);
  const auto judge = [this, exchange, subprotocol, admission](const limits::Verdict& verdict) {
    if (verdict.status.ok()) {
      Enter(exchange, subprotocol, admission);
    } else {
      Refuse(exchange, subprotocol, verdict.status);
    }
  };
  if (const std::optional<limits::Verdict> verdict =
          options_.limiter->Admit(options_.method, admission.client, judge)) {
    judge(*verdict);
  }
}

void Endpoint::Enter(const ExchangePtr& exchange, const std::string& subprotocol, const Admission& admission) const {
  bool room = false;
  {
    std::lock_guard lock(open_->mutex);
    size_t& count = open_->by_client[admission.client];
    room = count < options_.per_client_max;
    if (room) ++count;
  }
  if (!room) {
    return Refuse(exchange, subprotocol,
                  domain::QueueFull("this client has as many WebSockets open as it may", absl::Seconds(5)));
  }
  exchange->Upgrade(options_.socket, subprotocol,
                    std::make_shared<Counted>(open_, admission.client, admission.open(subprotocol)));
}

void Endpoint::Refuse(const ExchangePtr& exchange, const std::string& subprotocol, const absl::Status& status) const {
  const ErrorDetail detail = GetErrorDetail(status);
  const unsigned code = HttpStatus(status);
  if (!exchange->request().Field("origin").empty()) {
    return exchange->Upgrade(options_.socket, subprotocol,
                             std::make_shared<Refusal>(static_cast<uint16_t>(4000 + code), detail.reason));
  }
  http::Fields fields;
  if (detail.retry_after > absl::ZeroDuration()) {
    fields.emplace_back("Retry-After",
                        fmt::format("{}", absl::ToInt64Seconds(absl::Ceil(detail.retry_after, absl::Seconds(1)))));
  }
  if (code == 401) fields.emplace_back("WWW-Authenticate", "Bearer");
  const std::string message(status.message());
  const std::string text = detail.reason.empty() ? message + "\n" : fmt::format("{}: {}\n", detail.reason, message);
  exchange->Answer({code, "text/plain; charset=utf-8", text, std::move(fields)});
}

}  // namespace waybill::websocket
