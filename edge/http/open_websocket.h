// The side of a WebSocket that http::Connection sees. Boost.Beast reads and writes the frames, over our own stream.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "boost/asio/io_context.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "edge/http/stream.h"
#include "edge/http/websocket.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"

namespace waybill::http {

class Connection;

struct WebSocketMetrics {
  prometheus::Gauge& open;
  prometheus::Counter& received;
  prometheus::Counter& sent;
  prometheus::Counter& too_slow;
  prometheus::Counter& merged;
};

// All on the server's thread.
class OpenWebSocket : public WebSocket {
 public:
  // Answers the request and goes on from there, until Connection::Leave. `ahead` was read behind the request. `owner`
  // has `stream`, and is kept until nothing is under way on that any more.
  static std::shared_ptr<OpenWebSocket> Make(std::shared_ptr<Connection> owner, Stream& stream,
                                             std::shared_ptr<boost::asio::io_context> io,
                                             boost::beast::flat_buffer ahead, WebSocketMetrics& metrics,
                                             const WebSocketOptions& options,
                                             std::shared_ptr<WebSocketHandler> handler);

  virtual void Start(const std::string& key, const std::string& subprotocol) = 0;
  // Closes it then, unless it is closed before.
  virtual void CloseAt(std::chrono::steady_clock::time_point when, uint16_t code, const std::string& reason) = 0;
  // Closes it at once, and ends it after `timeout` at most.
  virtual void Drop(absl::Duration timeout) = 0;
  // Its connection is gone, for whatever reason.
  virtual void Gone() = 0;
};

}  // namespace waybill::http
