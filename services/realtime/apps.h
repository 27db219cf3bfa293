// Who may open a session: apps that show a token. In the header Authorization, or, since pages cannot set one, among
// the subprotocols they offer: "waybill.v1.json, waybill.token.TOKEN".
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/tokens/token.h"
#include "edge/websocket/endpoint.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "services/realtime/session.h"

namespace waybill::realtime {

// The keys of a file that is read again and again.
class TokenKeys {
 public:
  // As tokens::Keys::Read. Log and metrics outlive this.
  static absl::StatusOr<std::unique_ptr<TokenKeys>> Open(std::string path, const Logger& log, Metrics& metrics);

  std::shared_ptr<const tokens::Keys> current() const;
  // Reads the file; one with a mistake changes nothing, and is told once.
  void Look();

 private:
  TokenKeys(std::string path, const Logger& log, Metrics& metrics);

  const std::string path_;
  const Logger log_;
  prometheus::Counter& refused_;
  mutable std::mutex mutex_;
  std::shared_ptr<const tokens::Keys> current_;
  std::string told_;  // what was wrong when it was last looked at; Look's alone
};

// The token that a request shows; "": none. Of several, none.
std::string TokenOf(const http::Request& request);

// For websocket::Endpoint: NO_IDENTITY, TOKEN_INVALID, TOKEN_EXPIRED. All outlive what is answered.
websocket::Endpoint::Admit AdmitApps(const TokenKeys& keys, OrderChannels& channels, Scheduler& scheduler,
                                     const Clock& clock, const SessionOptions& options);

}  // namespace waybill::realtime
