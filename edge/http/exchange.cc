#include "edge/http/exchange.h"

#include <algorithm>
#include <utility>

#include "edge/http/connection.h"
#include "edge/http/websocket.h"

namespace waybill::http {
namespace {

int HexOf(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string Decode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexOf(text[i + 1]) >= 0 && HexOf(text[i + 2]) >= 0) {
      decoded.push_back(static_cast<char>(HexOf(text[i + 1]) * 16 + HexOf(text[i + 2])));
      i += 2;
    } else {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
    }
  }
  return decoded;
}

}  // namespace

std::string_view Request::Field(std::string_view name) const {
  for (const auto& [field, value] : fields) {
    if (field == name) return value;
  }
  return {};
}

Exchange::Exchange(std::weak_ptr<Connection> connection, uint64_t number, Request request)
    : connection_(std::move(connection)), number_(number), request_(std::move(request)) {}

Exchange::~Exchange() {
  if (!answered_) Answer({500, "text/plain; charset=utf-8", "the request was dropped unanswered\n", {}});
}

void Exchange::Answer(Response response) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(answered_, true)) return;
  }
  if (auto connection = connection_.lock()) {
    connection->Post(number_, [response = std::move(response)](Connection* to) {
      if (to != nullptr) to->Answer(response);
    });
  }
}

void Exchange::Begin(Response head) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(answered_, true)) return;
  }
  if (auto connection = connection_.lock()) {
    connection->Post(number_, [head = std::move(head)](Connection* to) {
      if (to != nullptr) to->Begin(head);
    });
  }
}

void Exchange::Write(std::string piece, absl::AnyInvocable<void(bool)> sent) {
  auto connection = connection_.lock();
  if (connection == nullptr) {
    sent(false);
    return;
  }
  connection->Post(number_, [piece = std::move(piece), sent = std::move(sent)](Connection* to) mutable {
    if (to == nullptr) {
      sent(false);
    } else {
      to->Write(piece, std::move(sent));
    }
  });
}

void Exchange::End() {
  if (auto connection = connection_.lock()) {
    connection->Post(number_, [](Connection* to) {
      if (to != nullptr) to->EndAnswer();
    });
  }
}

void Exchange::Upgrade(const WebSocketOptions& options, std::string subprotocol,
                       std::shared_ptr<WebSocketHandler> handler) {
  if (auto fault = UpgradeFault(request_)) return Answer(*std::move(fault));
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(answered_, true)) return;
  }
  if (auto connection = connection_.lock()) {
    connection->Post(number_, [key = std::string(request_.Field("sec-websocket-key")), options,
                               subprotocol = std::move(subprotocol), handler = std::move(handler)](Connection* to) {
      if (to != nullptr) to->Upgrade(key, subprotocol, options, handler);
    });
  }
}

void Exchange::Abort() {
  if (auto connection = connection_.lock()) connection->Abort(number_);
}

void Exchange::OnGone(absl::AnyInvocable<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (!gone_) {
      on_gone_ = std::move(callback);
      return;
    }
  }
  callback();
}

void Exchange::Gone() {
  absl::AnyInvocable<void()> callback;
  {
    std::lock_guard lock(mutex_);
    gone_ = true;
    callback = std::exchange(on_gone_, nullptr);
  }
  if (callback) callback();
}

std::string QueryParameter(std::string_view query, std::string_view name, bool* found) {
  if (found != nullptr) *found = false;
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
    const size_t equals = parameter.find('=');
    if (parameter.substr(0, equals) != name) continue;
    if (found != nullptr) *found = true;
    return equals == std::string_view::npos ? std::string() : Decode(parameter.substr(equals + 1));
  }
  return {};
}

}  // namespace waybill::http
