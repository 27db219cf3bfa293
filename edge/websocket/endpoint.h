// A path of http::Server that serves WebSockets, and the chain that stands before them, as it does before every other
// call: which page, who, may they, how often, and how many at a time.
//
// A browser hides from its page what an upgrade was answered with. So a page that may call at all and is refused for
// another reason is let in, and closed at once with 4000 and the HTTP status (4401, 4403, 4429, 4503), the reason's
// name behind it. Everybody else gets that status as an answer.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/access/gate.h"
#include "edge/http/server.h"
#include "edge/http/websocket.h"
#include "edge/limits/limiter.h"

namespace waybill::websocket {

struct EndpointOptions {
  // Origins whose pages may connect, as browsers write them; "*": all. Others are refused, and any when there are none:
  // browsers send cookies and certificates with an upgrade whatever page it comes from. Who sends no Origin is no page.
  std::vector<std::string> origins;
  std::vector<std::string> subprotocols;  // one of them has to be offered; the client's order counts. Empty: none is
                                          // chosen
  std::string method;                     // "package.Service/Method", as the rules of limits name it
  limits::Limiter* limiter = nullptr;     // null: as often as they like
  size_t per_client_max = 1'000;          // open at a time
  http::WebSocketOptions socket;
};

// Somebody who may connect.
struct Admission {
  std::string client;  // whom limits are about
  std::function<std::shared_ptr<http::WebSocketHandler>(const std::string& subprotocol)> open;
};

// What a request shows of its caller, for access::Gate. The request outlives it.
access::Evidence EvidenceOf(const http::Request& request);

// Of what a call was refused with. `status` is not OK.
unsigned HttpStatus(const absl::Status& status);

class Endpoint {
 public:
  // Who that is, and what is opened for him; or why not. On the server's thread.
  using Admit = std::function<absl::StatusOr<Admission>(const http::Request&)>;

  // What is named in the options outlives this.
  Endpoint(EndpointOptions options, Admit admit);

  // This outlives the server.
  void ServeOn(http::Server& server, const std::string& path, const std::string& name);

 private:
  class Counted;
  struct Open {
    std::mutex mutex;
    absl::flat_hash_map<std::string, size_t> by_client;
  };

  void Serve(const http::ExchangePtr& exchange);
  void Limited(const http::ExchangePtr& exchange, const std::string& subprotocol, Admission admission) const;
  void Enter(const http::ExchangePtr& exchange, const std::string& subprotocol, const Admission& admission) const;
  void Refuse(const http::ExchangePtr& exchange, const std::string& subprotocol, const absl::Status& status) const;
  bool Allows(std::string_view origin) const;

  const EndpointOptions options_;
  const Admit admit_;
  const std::shared_ptr<Open> open_ = std::make_shared<Open>();  // sockets may outlive this
};

}  // namespace waybill::websocket
