// One client's connection to http::Server: reads a request, gives it to its handler, writes the answer, and again. All
// of it on the server's thread.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "boost/asio/executor_work_guard.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/beast/core/flat_buffer.hpp"
#include "boost/beast/http/parser.hpp"
#include "boost/beast/http/string_body.hpp"
#include "edge/http/exchange.h"
#include "edge/http/open_websocket.h"
#include "edge/http/server.h"
#include "edge/http/stream.h"

namespace waybill::http {

struct Served {
  Route route;
  Handler handler;
};

// What a connection needs of its server.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual const ServerOptions& options() const = 0;
  virtual std::shared_ptr<boost::asio::io_context> io() = 0;
  // For a body of so many bytes, of what all bodies may have; given back when its request has been answered.
  virtual bool TakeRoom(uint64_t bytes) = 0;
  virtual void GiveRoom(uint64_t bytes) = 0;
  virtual const Served* Find(std::string_view path) const = 0;  // null: none
  virtual std::string Paths() const = 0;                        // for people
  virtual bool draining() const = 0;
  virtual absl::Duration answer_timeout() const = 0;  // as it is now
  virtual void Answered(const std::string& route, unsigned code) = 0;
  // Whether the connection waits for its client, and may be closed to make room.
  virtual void Waiting(Connection& connection, bool waiting) = 0;
  virtual void ShookHands(Connection& connection) = 0;
  // Whether there may be one more of them; until its connection has ended.
  virtual bool TakeWebSocket() = 0;
  virtual void GiveWebSocket() = 0;
  virtual WebSocketMetrics& websocket_metrics() = 0;
  virtual void Ended(Connection& connection) = 0;  // may be its end
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionHost& host, boost::asio::ip::tcp::socket socket, std::shared_ptr<boost::asio::ssl::context> tls);

  void Start();
  // Ends it; one whose answer is under way when that is sent, or not taken in time.
  void Drop();

  // From any thread: runs `task` on the server's, with this connection while it still answers request `number`, and
  // with null when that is over.
  void Post(uint64_t number, absl::AnyInvocable<void(Connection*)> task);
  // Ends the connection, whatever is under way; from any thread.
  void Abort(uint64_t number);
  // By such a task:
  void Answer(const Response& response);
  void Begin(const Response& head);
  void Write(const std::string& piece, absl::AnyInvocable<void(bool)> sent);
  void EndAnswer();
  // What the request says of itself has been looked at.
  void Upgrade(const std::string& key, const std::string& subprotocol, const WebSocketOptions& options,
               std::shared_ptr<WebSocketHandler> handler);

  // Of one that has become a WebSocket; null otherwise.
  OpenWebSocket* websocket() const { return websocket_.get(); }
  // That has ended.
  void Left() { End(); }

  std::list<Connection*>::iterator place;  // the server's, among those that wait
  bool placed = false;
  std::list<Connection*>::iterator handshake_place;  // the same, among those at their handshake
  bool shaking_hands = false;
  std::string address;  // that it is counted for; "": for none

 private:
  enum class State {
    kHandshake,
    kIdle,       // no byte of a request is here
    kHeader,     // some are
    kBody,       // its headers are
    kAnswering,  // its handler has it
    kClosing,    // the answer is sent, and what the client still sends is not looked at
    kUpgraded,   // the rest is websocket_'s
    kEnded,
  };
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void Enter(State state);
  void Arm(absl::Duration timeout);
  void Disarm();
  void Expired();
  void ShakeHands();
  void WaitToRead();
  void Pull();   // reads what is there
  void Watch();  // the same, while the handler has the request
  // So many bytes at most. false: there are none, and more is waited for, or the end has come.
  bool TakeIn(size_t room);
  bool Feed();  // parses what was read
  void RefuseBytes(boost::system::error_code error);
  bool reading() const { return state_ == State::kIdle || state_ == State::kHeader || state_ == State::kBody; }
  void HeaderRead();
  void Serve();
  void Refuse(unsigned code, std::string_view why, Fields fields = {});
  bool Accept(std::string_view path);                                  // otherwise it is refused
  std::optional<std::pair<unsigned, std::string_view>> Fault() const;  // of the headers
  std::string Head(const Response& response, bool in_pieces);
  void Send(std::string text);
  void Pump();
  void Sent();
  void Linger();
  void End();

  ConnectionHost& host_;
  const std::shared_ptr<boost::asio::io_context> io_;  // an exchange may post to it when the server is gone
  Stream stream_;
  boost::asio::steady_timer timer_;
  State state_ = State::kHandshake;
  bool waiting_to_read_ = false;
  boost::beast::flat_buffer buffer_;  // read, and not parsed
  std::optional<Parser> parser_;
  Request request_;         // its headers
  uint64_t body_room_ = 0;  // taken of the server
  size_t lingered_ = 0;     // bytes

  // Of the request that is answered.
  uint64_t number_ = 0;
  std::weak_ptr<Exchange> exchange_;
  const Served* served_ = nullptr;
  bool head_only_ = false;
  bool http_1_0_ = false;
  bool keep_alive_ = false;
  bool chunked_ = false;
  bool in_pieces_ = false;
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  bool whole_ = false;  // nothing of the answer comes any more
  std::string out_;     // what is being sent
  size_t out_sent_ = 0;
  bool pumping_ = false;
  std::shared_ptr<OpenWebSocket> websocket_;
  absl::AnyInvocable<void(bool)> sent_;
};

}  // namespace waybill::http
