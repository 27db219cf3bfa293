// Calls of one HTTP/1.1 server over connections that are kept: so many at once, further ones wait their turn.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/http/client.h"

namespace waybill::http {

struct ChannelOptions {
  std::string host;  // an IPv6 address without brackets
  int port = 0;
  // Over TLS when set: asked at each new connection for the CA that may vouch for the server (PEM), or "" for those
  // that this machine trusts.
  std::function<std::string()> ca;
  size_t connections_max = 32;
  size_t calls_max = 2'000;  // that wait or are under way; more are not sent
  size_t answer_bytes_max = 64 << 10;
  absl::Duration idle_max = absl::Seconds(10);  // a connection that was not used for longer is not used again
};

// Thread-safe, with a thread of its own.
class Channel {
 public:
  struct Result {
    // The answer, whatever its status. DEADLINE_EXCEEDED, UNAVAILABLE or RESOURCE_EXHAUSTED: there is none.
    absl::StatusOr<ClientAnswer> answer;
    // Whether a byte of the request may have left. If not, the server certainly knows nothing of it.
    bool sent = false;
  };
  using Done = absl::AnyInvocable<void(Result)>;

  explicit Channel(ChannelOptions options);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // The request's host and port are the channel's. `done` is called once, on the channel's thread, within `timeout`;
  // on the caller's, before this returns, when it was stopped.
  void Call(ClientRequest request, absl::Duration timeout, Done done);
  // Ends what waits and what is under way; every `done` has run when this returns. Not from a `done`.
  void Stop();

 private:
  class Engine;

  const std::unique_ptr<Engine> engine_;
};

}  // namespace waybill::http
