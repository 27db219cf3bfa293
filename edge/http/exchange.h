// One request and its answer, as the handlers of http::Server see them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace waybill::http {

using Fields = std::vector<std::pair<std::string, std::string>>;  // names in lower case, in the order they came

struct Request {
  std::string method;  // "GET", as it was sent
  std::string path;    // up to the '?'
  std::string query;   // behind it
  Fields fields;
  std::string body;                            // without its transfer coding
  std::string peer;                            // "ipv4:127.0.0.1:4242"
  std::vector<std::string> certificate_names;  // see tls::VerifiedNames

  // The first of that name (lower case); empty when absent.
  std::string_view Field(std::string_view name) const;
};

struct Response {
  unsigned code = 200;
  std::string content_type = "text/plain; charset=utf-8";  // empty: none is sent
  std::string body;
  Fields fields;  // further ones
};

class Connection;
class WebSocketHandler;
struct WebSocketOptions;

// Kept as long as its handler likes; one that is let go of unanswered answers 500. Thread-safe.
class Exchange {
 public:
  // The connection's request with this number.
  Exchange(std::weak_ptr<Connection> connection, uint64_t number, Request request);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const Request& request() const { return request_; }
  Request& request() { return request_; }

  // The whole answer. This or Begin, once; what comes later is dropped.
  void Answer(Response response);

  // An answer in pieces: the head, then each piece only after the one before it is `sent` (false: nobody reads it any
  // more), then the end. `sent` runs on the server's thread.
  void Begin(Response head);
  void Write(std::string piece, absl::AnyInvocable<void(bool)> sent);
  void End();

  // Answers with 101, and goes on as a WebSocket whose handler that is (see edge/http/websocket.h); in place of Answer.
  // A request that asks for none, or is one too many, is answered with what is wrong; then, and when its client is
  // gone, nothing of the handler is called. `subprotocol`: one that the client offers, or "".
  void Upgrade(const WebSocketOptions& options, std::string subprotocol, std::shared_ptr<WebSocketHandler> handler);

  // Ends the client's connection, and with it this exchange, whatever has been sent: for those who do not read on.
  void Abort();

  // Runs `callback` once, on the server's thread, when the client goes away before it has its answer; at once, on this
  // thread, when it is already gone.
  void OnGone(absl::AnyInvocable<void()> callback);

 private:
  friend class Connection;
  void Gone();

  const std::weak_ptr<Connection> connection_;
  const uint64_t number_;
  Request request_;
  std::mutex mutex_;
  bool answered_ = false;  // these three under mutex_
  bool gone_ = false;
  absl::AnyInvocable<void()> on_gone_;
};

using ExchangePtr = std::shared_ptr<Exchange>;
using Handler = std::function<void(ExchangePtr)>;  // on the server's thread; must not block

// The value of a parameter of a query ("a=b&c=d"), percent-decoded; `found` says whether it is there at all.
std::string QueryParameter(std::string_view query, std::string_view name, bool* found = nullptr);

}  // namespace waybill::http
