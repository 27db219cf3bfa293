// One accepted TCP connection, plain or under TLS. Boost's own TLS stream keeps 70 KiB of buffers a connection, idle or
// not; this one leaves records to OpenSSL, which lets go of its buffers when nothing is on the way.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ssl/context.hpp"
#include "boost/system/error_code.hpp"

namespace waybill::http {

// Nothing blocks, and nothing is kept here: what cannot be done now says what to wait for. One thread.
class Stream {
 public:
  enum class Next { kDone, kWaitToRead, kWaitToWrite, kEnd, kFailed };  // kEnd: the peer sends no more
  struct Result {
    Next next = Next::kDone;
    size_t bytes = 0;  // with kDone
  };
  using Ready = absl::AnyInvocable<void(boost::system::error_code)>;

  // `tls` null: plain.
  Stream(boost::asio::ip::tcp::socket socket, std::shared_ptr<boost::asio::ssl::context> tls);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Until it says kDone; before anything else. At once where there is no TLS.
  Result Handshake();
  Result Read(void* data, size_t size);
  Result Write(const void* data, size_t size);
  // `next` is one of the two that wait.
  void Wait(Next next, Ready ready);

  void ShutdownSend();
  void Close();
  bool secure() const { return ssl_ != nullptr; }
  std::string Peer() const;  // "ipv4:127.0.0.1:4242", as gRPC writes it
  SSL* ssl() const { return ssl_.get(); }

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  Result Of(int returned, size_t bytes) const;

  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<boost::asio::ssl::context> tls_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
};

}  // namespace waybill::http
