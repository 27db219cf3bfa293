// The HTTP/1.1 client of what is called by URL: one request a connection, plain or over TLS, everything bounded.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl/context.hpp"
#include "boost/system/error_code.hpp"

namespace waybill::http {

using Addresses = std::vector<boost::asio::ip::tcp::endpoint>;

// Looks up the addresses of a host, by a thread of the C library's: getaddrinfo takes as long as it likes, and nothing
// ends it. One that is under way when this ends is left to itself. An address is found at once.
class Lookup {
 public:
  Lookup(std::string host, int port);
  ~Lookup();
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;

  // Waits for so long at most: asio::error::timed_out. One that was not answered in time is what the next call waits
  // for, so that there is one at most.
  boost::system::error_code Find(absl::Duration timeout, Addresses& found);
  // Nobody asks any more. False: a thread still writes the answer; whoever wants to lose no memory keeps this until
  // true. At most as many threads as the C library has (20) do.
  bool GiveUp();

 private:
  struct Question;

  const std::string host_, port_;
  std::unique_ptr<Question> question_;  // null: none is under way
};

struct ClientRequest {
  std::string host;  // for the header and the certificate; an IPv6 address without brackets
  int port = 0;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  // besides Host, User-Agent, Content-Length and Connection
  std::string body;
};

struct ClientAnswer {
  unsigned status = 0;
  std::string body;
  bool cut = false;         // the body is longer than what was read of it, or did not come whole
  std::string retry_after;  // the header, as it came
};

// Whoever it is has to show a certificate of those that `ca` (PEM) vouches for, or, where it is "", those that this
// machine trusts. If that fails, nobody is believed, and each call says so.
std::unique_ptr<boost::asio::ssl::context> MakeClientTls(const std::string& ca);

// POSTs one request. Redirects are answers like others.
class ClientCall {
 public:
  using Done = absl::AnyInvocable<void(boost::system::error_code failed)>;

  // `tls` may be null: plain. It outlives this, as `io` does, and this outlives what it has begun: until `done`. Of the
  // answer's body at most so much is read.
  ClientCall(boost::asio::io_context& io, ClientRequest request, boost::asio::ssl::context* tls,
             size_t answer_bytes_max);
  ~ClientCall();
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

  // To the first of these that takes the connection, on `io`'s thread; once. `done` is called once, and may end this:
  // what went wrong on the way there or back, or nothing, and then there is an answer.
  void Start(const Addresses& addresses, absl::Duration timeout, Done done);
  const ClientAnswer& answer() const;

 private:
  class Run;

  // What it has begun ends after it has said so: by then nobody but the operations holds it.
  std::shared_ptr<Run> run_;
};

}  // namespace waybill::http
