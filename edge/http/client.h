// The HTTP/1.1 client of what is called by URL: one request at a time over a connection, plain or over TLS, everything
// bounded.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/ssl/context.hpp"
#include "boost/beast/http/message.hpp"
#include "boost/beast/http/string_body.hpp"
#include "boost/system/error_code.hpp"
#include "edge/http/lookup.h"

struct ssl_st;  // OpenSSL's SSL

namespace waybill::http {

struct ClientRequest {
  std::string host;  // for the header and the certificate; an IPv6 address without brackets
  int port = 0;
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;  // besides Host, User-Agent, Content-Length and Connection
  std::string body;
  std::string method = "POST";
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

boost::beast::http::request<boost::beast::http::string_body> MakeRequest(ClientRequest request, bool keep_alive);

// Whether there is nothing to read, of a connection over which nothing is owed to us: whatever there is, is an end, or
// makes one necessary. `tls` null: plain; else also of what TLS has read, and we have not.
bool IsQuiet(int socket, ssl_st* tls);

// What a call left behind that the server keeps open: for another call to the same address, host and TLS.
class KeptConnection {
 public:
  KeptConnection(KeptConnection&& other) noexcept;
  KeptConnection& operator=(KeptConnection&& other) noexcept;
  ~KeptConnection();  // closes it

  bool Quiet() const;  // IsQuiet

 private:
  friend class ClientCall;
  struct Socket;
  explicit KeptConnection(std::unique_ptr<Socket> socket);

  std::unique_ptr<Socket> socket_;
};

// Makes one request. Redirects are answers like others.
class ClientCall {
 public:
  using Done = absl::AnyInvocable<void(boost::system::error_code failed)>;

  // `tls` may be null: plain. It outlives this, as `io` does, and this outlives what it has begun: until `done`. Of the
  // answer's body at most so much is read. `keep`: the server is asked to leave the connection open.
  ClientCall(boost::asio::io_context& io, ClientRequest request, boost::asio::ssl::context* tls,
             size_t answer_bytes_max, bool keep = false);
  ~ClientCall();
  ClientCall(const ClientCall&) = delete;
  ClientCall& operator=(const ClientCall&) = delete;

  // To the first of these that takes the connection, on `io`'s thread; once. `done` is called once, and may end this:
  // what went wrong on the way there or back, or nothing, and then there is an answer.
  void Start(const Addresses& addresses, absl::Duration timeout, Done done);
  // Over one that a call with the same host, port and `tls` has left; instead.
  void Start(KeptConnection connection, absl::Duration timeout, Done done);
  const ClientAnswer& answer() const;
  // Once `done` was told of no error: the connection, if the server keeps it and all of the answer was read.
  std::optional<KeptConnection> Take();

 private:
  class Run;

  // What it has begun ends after it has said so: by then nobody but the operations holds it.
  std::shared_ptr<Run> run_;
};

// Looks up the request's host and calls it, on this thread, which waits for it. NOT_FOUND, DEADLINE_EXCEEDED,
// UNAVAILABLE: there is no answer.
absl::StatusOr<ClientAnswer> CallAndWait(ClientRequest request, boost::asio::ssl::context* tls, size_t answer_bytes_max,
                                         absl::Duration timeout);

}  // namespace waybill::http
