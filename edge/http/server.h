// The HTTP/1.1 server that carries all that is not gRPC: probes and metrics (probes.h), calls by the Connect protocol
// (edge/connect/), and WebSockets (websocket.h). Keep-alive, TLS, IPv4 and IPv6. One thread: handlers answer at once or
// later, from any thread.
//
// What a client can hold is bounded: the number of connections, the size of its headers and of its body, and the time
// each of them may take; and how many connections come from one address, and are at their handshake. When all
// connections are taken, the one that has sent no request for longest makes room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/http/exchange.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"

namespace boost::asio::ssl {
class context;
}

namespace waybill::http {

struct ServerOptions {
  std::string listen = "127.0.0.1:0";          // host:port or [IPv6]:port; port 0 takes a free one; [::] takes IPv4 too
  size_t connections_max = 10'000;             // at once
  size_t connections_per_address_max = 1'000;  // of one address, or one /64 of IPv6; more are closed at once
  bool count_loopback = false;                 // whether that goes for loopback, too
  size_t websockets_max = 5'000;               // of those connections; for more of them: 503
  size_t handshakes_max = 256;                 // of TLS, at once; for more, the one that began first makes room
  uint32_t header_bytes_max = 32 << 10;        // of the first line and all fields: 431
  uint64_t body_bytes_max = (1 << 20) + 1024;  // 413; a message of a MiB with what a protocol puts around it
  uint64_t all_bodies_bytes_max = 256 << 20;   // of all requests that are under way: 503
  absl::Duration idle_timeout = absl::Seconds(75);    // between requests of a connection
  absl::Duration header_timeout = absl::Seconds(10);  // from a connection's beginning, or a request's first byte
  absl::Duration body_timeout = absl::Seconds(30);    // from the end of the headers
  absl::Duration answer_timeout = absl::Seconds(30);  // for what is ready to be sent to be taken
  absl::Duration stop_timeout = absl::Seconds(2);     // the same, once the server stops
  // The certificate for the next connection; null, or nothing set: plain.
  std::function<std::shared_ptr<boost::asio::ssl::context>()> tls;
};

struct Route {
  std::string name;                                    // in metrics
  std::vector<std::string> methods = {"GET", "HEAD"};  // others: 405
};

class Server {
 public:
  // INVALID_ARGUMENT: `listen` is no address; UNAVAILABLE: it cannot be bound. Metrics and log outlive the server.
  // `prepare` is called with the server before anybody can connect: what it serves is there for the first request.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, Metrics& metrics,
                                                       const Logger& log,
                                                       const std::function<void(Server&)>& prepare = nullptr);
  ~Server();  // after the answers under way, and stop_timeout at most once they are given
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;

  // Serves `path`, or all that begins with it when it ends with '/'; the longest that fits counts. For requests from
  // now on.
  void Serve(const std::string& path, Route route, Handler handler);

  // From now on each connection ends with the answer to its next request.
  void SetDraining();

  // The same, and WebSockets are closed with 1012, each at some moment until `within` is over, so that not all of their
  // clients come back at once. Those that are open when the server ends are closed with 1001.
  void DrainWebSockets(absl::Duration within, Random& random);
  // Waits until none is open, `max` at most.
  void AwaitWebSocketsEnd(absl::Duration max);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace waybill::http
