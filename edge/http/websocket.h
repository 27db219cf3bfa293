// A WebSocket (RFC 6455) of http::Server: what a request with that upgrade becomes once a handler has accepted it
// (Exchange::Upgrade). No extensions: nothing is compressed.
//
// What a client can hold is bounded: the size of a message, what waits to be taken by it, how long it may be silent
// before it is pinged, and how long it may take to answer that, to take a message, and to close.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "edge/http/exchange.h"

namespace waybill::http {

struct WebSocketOptions {
  size_t message_bytes_max = 64 << 10;  // of what the client sends, over all frames of a message: 1009
  // What waits for the client, besides the message that is being sent. One message may be longer than that.
  size_t queue_messages_max = 256;
  size_t queue_bytes_max = 256 << 10;
  absl::Duration ping_after = absl::Seconds(25);     // of silence; its pongs are no silence
  absl::Duration pong_timeout = absl::Seconds(10);   // 1006
  absl::Duration write_timeout = absl::Seconds(15);  // for a message to be taken: 1006
  absl::Duration close_timeout = absl::Seconds(5);   // for what is queued, and the client's own close frame
};

// Close codes that are not the protocol's own business; 4000 to 4999 are the application's.
inline constexpr uint16_t kCloseNormal = 1000;
inline constexpr uint16_t kCloseGoingAway = 1001;  // the server ends
inline constexpr uint16_t kCloseProtocolError = 1002;
inline constexpr uint16_t kCloseNoCode = 1005;    // the client's close frame had none
inline constexpr uint16_t kCloseAbnormal = 1006;  // it went away without one
inline constexpr uint16_t kCloseBadPayload = 1007;
inline constexpr uint16_t kClosePolicy = 1008;
inline constexpr uint16_t kCloseTooBig = 1009;
inline constexpr uint16_t kCloseServiceRestart = 1012;  // come back, elsewhere or in a moment
inline constexpr uint16_t kCloseTryAgainLater = 1013;   // it takes too slowly what must arrive: come back, and resume

// Thread-safe; may be kept for longer than the connection lives, when nothing that it does reaches anybody.
class WebSocket {
 public:
  using Message = std::shared_ptr<const std::string>;  // one for any number of sockets

  virtual ~WebSocket() = default;
  // A text message, UTF-8, after those before it. Where half of the queue is taken already nothing is sent, and OnRoom
  // follows: who cannot wait for that closes with kCloseTryAgainLater. Whether it is queued.
  virtual bool SendIfRoom(Message text) = 0;
  // One that only counts until there is a newer one: it takes the place of that with the same `key` which still waits.
  // One that finds the queue full is dropped. Whether it is queued.
  virtual bool SendLatest(std::string_view key, Message text) = 0;
  // After what is queued; what comes later is dropped. `code`: 1000 to 1014 without 1004 to 1006, or 3000 to 4999.
  // `reason` is UTF-8; what is over 123 bytes of it is cut off.
  virtual void Close(uint16_t code, std::string_view reason) = 0;
};
using WebSocketPtr = std::shared_ptr<WebSocket>;

// All on the server's thread; must not block.
class WebSocketHandler {
 public:
  virtual ~WebSocketHandler() = default;
  virtual void OnOpen(WebSocketPtr socket) = 0;  // first
  virtual void OnMessage(std::string message, bool is_text) = 0;
  // After a SendIfRoom that was refused, once no more than a quarter of the queue is taken.
  virtual void OnRoom() {}
  // Last, and once. The code that the client sent, else the one that it was sent; 1006 where it went without.
  virtual void OnClose(uint16_t code, std::string_view reason) = 0;
};

// What is wrong with a request as one for a WebSocket, ready to be answered with; nullopt: nothing.
std::optional<Response> UpgradeFault(const Request& request);

// The subprotocols that the client offers, in its order.
std::vector<std::string> OfferedSubprotocols(const Request& request);

}  // namespace waybill::http
