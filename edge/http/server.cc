#include "edge/http/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "boost/asio/io_context.hpp"
#include "boost/asio/ip/tcp.hpp"
#include "boost/asio/ip/v6_only.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "edge/http/connection.h"
#include "fmt/format.h"

namespace waybill::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::milliseconds kAcceptPause{100};  // when no file descriptor is free, most likely

// "127.0.0.1:80", "[::1]:80", "localhost:80".
absl::StatusOr<tcp::endpoint> ParseListen(asio::io_context& io, const std::string& listen) {
  const size_t colon = listen.rfind(':');
  std::string host = listen.substr(0, colon == std::string::npos ? 0 : colon);
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool plausible = !host.empty() && (bracketed || host.find(':') == std::string::npos) && !port.empty() &&
                         port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos &&
                         std::stoi(port) <= UINT16_MAX;
  error_code error;
  tcp::resolver::results_type found;
  if (plausible) found = tcp::resolver(io).resolve(host, port, tcp::resolver::passive, error);
  if (!plausible || error || found.empty()) {
    return absl::InvalidArgumentError(fmt::format("HTTP address '{}' is not host:port", listen));
  }
  return found.begin()->endpoint();
}

// What connections are counted by: the address, of IPv6 what one customer has of it.
std::string AddressOf(const tcp::socket& socket, bool count_loopback) {
  error_code error;
  asio::ip::address address = socket.remote_endpoint(error).address();
  if (error) return "";
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  if (address.is_loopback() && !count_loopback) return "";
  if (address.is_v4()) return address.to_string();
  const auto bytes = address.to_v6().to_bytes();
  return std::string(bytes.begin(), bytes.begin() + 8);
}

}  // namespace

class Server::Impl final : public ConnectionHost {
 public:
  Impl(const ServerOptions& options, Metrics& metrics, const Logger& log)
      : options_(options),
        metrics_(metrics),
        log_(log.For("edge.http")),
        open_(metrics.AddGauge("waybill_http_connections", "Connections to the HTTP port.")),
        dropped_(metrics.AddCounter("waybill_http_connections_dropped_total",
                                    "Connections that were closed to make room for others.")),
        refused_(metrics.AddCounter("waybill_http_connections_refused_total",
                                    "Connections that were closed because too many are open from their address.")),
        websocket_metrics_{
            metrics.AddGauge("waybill_http_websockets", "WebSockets that are open, of the connections."),
            metrics.AddCounter("waybill_websocket_messages_total", "Messages of WebSockets.", {{"direction", "in"}}),
            metrics.AddCounter("waybill_websocket_messages_total", "Messages of WebSockets.", {{"direction", "out"}}),
            metrics.AddCounter("waybill_websocket_too_slow_total",
                               "WebSockets that were closed because what must arrive was not taken in time."),
            metrics.AddCounter("waybill_websocket_merged_total",
                               "Messages to WebSockets that a newer one took the place of, or had no room.")} {}

  absl::Status Start() {
    absl::StatusOr<tcp::endpoint> endpoint = ParseListen(*io_, options_.listen);
    if (!endpoint.ok()) return endpoint.status();
    error_code error = Listen(*endpoint);
    // Where the kernel has no IPv6 at all, everything is IPv4.
    if (error == asio::error::address_family_not_supported && endpoint->address().is_unspecified()) {
      error = Listen(tcp::endpoint(tcp::v4(), endpoint->port()));
    }
    if (error) {
      return absl::UnavailableError(fmt::format("HTTP cannot listen on '{}': {}", options_.listen, error.message()));
    }
    port_ = acceptor_.local_endpoint().port();
    Accept();
    thread_ = std::thread([this] { io_->run(); });
    return absl::OkStatus();
  }

  ~Impl() override {
    asio::post(*io_, [this] {
      draining_ = stopping_ = true;
      error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      for (const auto& connection : Connections()) connection->Drop();
    });
    if (thread_.joinable()) thread_.join();  // nothing is left to do
    io_->restart();
    io_->poll();  // but for what an exchange has said meanwhile, which reaches nobody
  }

  int port() const { return port_; }

  void Serve(const std::string& path, Route route, Handler handler) {
    asio::post(*io_, [this, path, served = Served{std::move(route), std::move(handler)}]() mutable {
      routes_.insert_or_assign(path, std::move(served));
    });
  }

  void SetDraining() {
    asio::post(*io_, [this] { draining_ = true; });
  }

  void DrainWebSockets(absl::Duration within, Random& random) {
    const uint64_t seed = random.Next();
    asio::post(*io_, [this, within, seed] {
      draining_ = true;
      SeededRandom jitter(seed);
      const auto now = std::chrono::steady_clock::now();
      for (const auto& connection : Connections()) {
        if (connection->websocket() == nullptr) continue;
        connection->websocket()->CloseAt(now + absl::ToChronoNanoseconds(within * jitter.Uniform()),
                                         kCloseServiceRestart, "the server restarts");
      }
    });
  }

  const ServerOptions& options() const override { return options_; }
  std::shared_ptr<asio::io_context> io() override { return io_; }
  bool TakeRoom(uint64_t bytes) override {
    if (bytes > 0 && room_taken_ + bytes > options_.all_bodies_bytes_max) return false;
    room_taken_ += bytes;
    return true;
  }
  void GiveRoom(uint64_t bytes) override { room_taken_ -= bytes; }
  bool draining() const override { return draining_; }
  absl::Duration answer_timeout() const override {
    return stopping_ ? std::min(options_.stop_timeout, options_.answer_timeout) : options_.answer_timeout;
  }

  const Served* Find(std::string_view path) const override {
    if (auto exact = routes_.find(path); exact != routes_.end()) return &exact->second;
    for (size_t end = path.size(); end > 0; --end) {
      if (path[end - 1] != '/') continue;
      if (auto found = routes_.find(path.substr(0, end)); found != routes_.end()) return &found->second;
    }
    return nullptr;
  }

  std::string Paths() const override {
    std::vector<std::string_view> paths;
    for (const auto& [path, served] : routes_) paths.emplace_back(path);
    return fmt::format("{}", fmt::join(paths, ", "));
  }

  void Answered(const std::string& route, unsigned code) override {
    prometheus::Counter*& counter = answered_[{route, code}];
    if (counter == nullptr) {
      counter = &metrics_.AddCounter("waybill_http_requests_total", "Requests to the HTTP port, by what they were for.",
                                     {{"route", route}, {"code", fmt::format("{}", code)}});
    }
    counter->Increment();
  }

  void Waiting(Connection& connection, bool waiting) override {
    if (connection.placed) waiting_.erase(connection.place);
    connection.placed = waiting;
    if (waiting) connection.place = waiting_.insert(waiting_.end(), &connection);
  }

  void ShookHands(Connection& connection) override {
    if (std::exchange(connection.shaking_hands, false)) shaking_hands_.erase(connection.handshake_place);
  }

  void AwaitWebSocketsEnd(absl::Duration max) {
    std::unique_lock lock(no_websockets_mutex_);
    no_websockets_.wait_for(lock, absl::ToChronoNanoseconds(max), [this] { return websockets_ == 0; });
  }

  bool TakeWebSocket() override {
    if (websockets_ >= options_.websockets_max) return false;
    websocket_metrics_.open.Set(static_cast<double>(++websockets_));
    return true;
  }
  void GiveWebSocket() override {
    websocket_metrics_.open.Set(static_cast<double>(--websockets_));
    if (websockets_ > 0) return;
    std::lock_guard lock(no_websockets_mutex_);
    no_websockets_.notify_all();
  }
  WebSocketMetrics& websocket_metrics() override { return websocket_metrics_; }

  void Ended(Connection& connection) override {
    ShookHands(connection);
    if (auto from = from_.find(connection.address); from != from_.end() && --from->second == 0) from_.erase(from);
    connections_.erase(&connection);
    open_.Set(static_cast<double>(connections_.size()));
    Accept();
  }

 private:
  error_code Listen(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    // "[::]" takes IPv4 too, whatever the system's default is.
    if (!error && endpoint.protocol() == tcp::v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
    return error;
  }

  std::list<std::shared_ptr<Connection>> Connections() const {
    std::list<std::shared_ptr<Connection>> all;
    for (const auto& [key, connection] : connections_) all.push_back(connection);
    return all;
  }

  // Where all are busy with answers, clients wait for their turn in the kernel.
  void Accept() {
    if (accepting_ || stopping_ || (connections_.size() >= options_.connections_max && waiting_.empty())) return;
    accepting_ = true;
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      accepting_ = false;
      if (stopping_) return;
      if (error) {
        log_.Debug("http", {{"detail", error.message()}});
        retry_.expires_after(kAcceptPause);
        retry_.async_wait([this](error_code cancelled) {
          if (!cancelled) Accept();
        });
        return;
      }
      std::string address = AddressOf(socket, options_.count_loopback);
      if (auto from = from_.find(address);
          from != from_.end() && from->second >= options_.connections_per_address_max) {
        refused_.Increment();
        socket.close(error);
        Accept();
        return;
      }
      accepting_ = true;  // also while room is made
      if (connections_.size() >= options_.connections_max && !waiting_.empty()) {
        dropped_.Increment();
        const auto longest = connections_.at(waiting_.front());
        longest->Drop();
      }
      if (shaking_hands_.size() >= options_.handshakes_max) {
        dropped_.Increment();
        const auto first = connections_.at(shaking_hands_.front());
        first->Drop();
      }
      auto connection = std::make_shared<Connection>(*this, std::move(socket), options_.tls ? options_.tls() : nullptr);
      if (!address.empty()) ++from_[address];
      connection->address = std::move(address);
      if (options_.tls) {
        connection->handshake_place = shaking_hands_.insert(shaking_hands_.end(), connection.get());
        connection->shaking_hands = true;
      }
      connections_.emplace(connection.get(), connection);
      open_.Set(static_cast<double>(connections_.size()));
      connection->Start();
      accepting_ = false;
      Accept();
    });
  }

  const ServerOptions options_;
  Metrics& metrics_;
  const Logger log_;
  prometheus::Gauge& open_;
  prometheus::Counter& dropped_;
  prometheus::Counter& refused_;
  WebSocketMetrics websocket_metrics_;
  int port_ = 0;
  // The rest on the server's thread only.
  const std::shared_ptr<asio::io_context> io_ = std::make_shared<asio::io_context>(1);
  tcp::acceptor acceptor_{*io_};
  asio::steady_timer retry_{*io_};
  std::map<std::string, Served, std::less<>> routes_;
  std::map<std::pair<std::string, unsigned>, prometheus::Counter*> answered_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  std::list<Connection*> waiting_;                // those that wait for their clients, since longest first
  std::list<Connection*> shaking_hands_;          // over TLS, in the order in which they began
  std::unordered_map<std::string, size_t> from_;  // connections by address
  uint64_t room_taken_ = 0;
  std::atomic<size_t> websockets_{0};  // read by others
  std::mutex no_websockets_mutex_;
  std::condition_variable no_websockets_;
  bool accepting_ = false;
  bool draining_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Metrics& metrics, const Logger& log,
                                                      const std::function<void(Server&)>& prepare) {
  std::unique_ptr<Server> server(new Server(std::make_unique<Impl>(options, metrics, log)));
  if (prepare) prepare(*server);
  if (absl::Status started = server->impl_->Start(); !started.ok()) return started;
  return server;
}

int Server::port() const { return impl_->port(); }
void Server::Serve(const std::string& path, Route route, Handler handler) {
  impl_->Serve(path, std::move(route), std::move(handler));
}
void Server::SetDraining() { impl_->SetDraining(); }
void Server::DrainWebSockets(absl::Duration within, Random& random) { impl_->DrainWebSockets(within, random); }
void Server::AwaitWebSocketsEnd(absl::Duration max) { impl_->AwaitWebSocketsEnd(max); }

}  // namespace waybill::http
