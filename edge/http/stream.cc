#include "edge/http/stream.h"

#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <new>
#include <utility>

#include "boost/asio/buffer.hpp"
#include "boost/asio/error.hpp"
#include "fmt/format.h"

namespace waybill::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

Stream::Stream(tcp::socket socket, std::shared_ptr<asio::ssl::context> tls)
    : socket_(std::move(socket)), tls_(std::move(tls)) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  // Who is gone without a word is noticed after two minutes, also where nothing is sent for longer.
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  for (const auto& [option, value] : {std::pair(TCP_KEEPIDLE, 60), {TCP_KEEPINTVL, 15}, {TCP_KEEPCNT, 4}}) {
    setsockopt(socket_.native_handle(), IPPROTO_TCP, option, &value, sizeof value);
  }
  if (tls_ == nullptr) return;
  ssl_.reset(SSL_new(tls_->native_handle()));
  if (ssl_ == nullptr) throw std::bad_alloc();
  SSL_set_fd(ssl_.get(), static_cast<int>(socket_.native_handle()));
  SSL_set_mode(ssl_.get(),
               SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_set_accept_state(ssl_.get());
}

Stream::~Stream() { Close(); }

Stream::Result Stream::Of(int returned, size_t bytes) const {
  if (returned > 0) return {Next::kDone, bytes};
  switch (SSL_get_error(ssl_.get(), returned)) {
    case SSL_ERROR_WANT_READ:
      return {Next::kWaitToRead};
    case SSL_ERROR_WANT_WRITE:
      return {Next::kWaitToWrite};
    case SSL_ERROR_ZERO_RETURN:
      return {Next::kEnd};
    default:
      return {Next::kFailed};
  }
}

Stream::Result Stream::Handshake() {
  if (ssl_ == nullptr) return {};
  ERR_clear_error();
  return Of(SSL_do_handshake(ssl_.get()), 0);
}

Stream::Result Stream::Read(void* data, size_t size) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    size_t bytes = 0;
    const int returned = SSL_read_ex(ssl_.get(), data, size, &bytes);
    return Of(returned, bytes);
  }
  error_code error;
  const size_t bytes = socket_.read_some(asio::buffer(data, size), error);
  if (!error) return {Next::kDone, bytes};
  if (error == asio::error::would_block || error == asio::error::try_again) return {Next::kWaitToRead};
  return {error == asio::error::eof ? Next::kEnd : Next::kFailed};
}

Stream::Result Stream::Write(const void* data, size_t size) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    size_t bytes = 0;
    const int returned = SSL_write_ex(ssl_.get(), data, size, &bytes);
    return Of(returned, bytes);
  }
  error_code error;
  const size_t bytes = socket_.write_some(asio::buffer(data, size), error);
  if (!error) return {Next::kDone, bytes};
  if (error == asio::error::would_block || error == asio::error::try_again) return {Next::kWaitToWrite};
  return {Next::kFailed};
}

void Stream::Wait(Next next, Ready ready) {
  socket_.async_wait(next == Next::kWaitToWrite ? tcp::socket::wait_write : tcp::socket::wait_read, std::move(ready));
}

void Stream::ShutdownSend() {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
  }
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void Stream::Close() {
  error_code ignored;
  socket_.close(ignored);
}

std::string Stream::Peer() const {
  error_code error;
  const tcp::endpoint peer = socket_.remote_endpoint(error);
  if (error) return "unknown";
  return peer.address().is_v4() ? fmt::format("ipv4:{}:{}", peer.address().to_string(), peer.port())
                                : fmt::format("ipv6:[{}]:{}", peer.address().to_string(), peer.port());
}

}  // namespace waybill::http
