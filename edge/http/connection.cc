#include "edge/http/connection.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <string_view>
#include <utility>

#include "boost/asio/buffer.hpp"
#include "boost/asio/post.hpp"
#include "boost/beast/http/error.hpp"
#include "boost/beast/http/status.hpp"
#include "edge/tls/server_context.h"
#include "fmt/format.h"

namespace waybill::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using beast::error_code;
using Next = Stream::Next;

constexpr size_t kReadMax = 16 << 10;  // a record of TLS, so that nothing stays behind in OpenSSL
constexpr int kReadsInATurn = 8;
constexpr size_t kLingerBytesMax = 1 << 20;
constexpr absl::Duration kLingerMax = absl::Seconds(1);

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string_view View(beast::string_view text) { return {text.data(), text.size()}; }

// A value that came from elsewhere must not begin a line of its own.
void AppendField(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ");
  for (char c : value) out.push_back(static_cast<unsigned char>(c) < ' ' ? ' ' : c);
  out.append("\r\n");
}

// The path and what follows it; empty where there is none. In absolute form, as proxies are asked, it begins behind the
// authority.
template <typename Message>
std::string_view Target(const Message& message) {
  std::string_view target = View(message.target());
  if (target.substr(0, 7) == "http://" || target.substr(0, 8) == "https://") {
    const size_t slash = target.find('/', target.find("//") + 2);
    return slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  return !target.empty() && target[0] == '/' ? target : std::string_view();
}

}  // namespace

Connection::Connection(ConnectionHost& host, asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls)
    : host_(host),
      io_(host.io()),
      stream_(std::move(socket), std::move(tls)),
      timer_(*io_),
      buffer_(host.options().header_bytes_max + kReadMax) {}

void Connection::Start() {
  Arm(host_.options().header_timeout);
  host_.Waiting(*this, true);
  ShakeHands();
}

void Connection::ShakeHands() {
  if (state_ != State::kHandshake) return;
  const Stream::Result result = stream_.Handshake();
  if (result.next == Next::kDone) {
    host_.ShookHands(*this);
    state_ = State::kHeader;  // its time began with the connection
    Pull();
  } else if (result.next == Next::kWaitToRead || result.next == Next::kWaitToWrite) {
    stream_.Wait(result.next,
                 [self = shared_from_this()](error_code error) { error ? self->End() : self->ShakeHands(); });
  } else {
    End();
  }
}

void Connection::Enter(State state) {
  state_ = state;
  host_.Waiting(*this, state != State::kAnswering && state != State::kUpgraded && state != State::kEnded);
  // The server does not end before an answer that is still to come.
  if (state == State::kAnswering) {
    work_.emplace(io_->get_executor());
  } else {
    work_.reset();
  }
  if (!reading() && state != State::kAnswering) host_.GiveRoom(std::exchange(body_room_, 0));
}

void Connection::Arm(absl::Duration timeout) {
  timer_.expires_after(absl::ToChronoNanoseconds(timeout));
  timer_.async_wait([weak = weak_from_this()](error_code error) {
    if (auto self = weak.lock(); self != nullptr && !error) self->Expired();
  });
}

void Connection::Expired() {
  if (timer_.expiry() > std::chrono::steady_clock::now()) return;  // it was set anew meanwhile
  if (state_ == State::kBody || (state_ == State::kHeader && parser_.has_value())) {
    Refuse(408, "the request took too long");
  } else {
    End();
  }
}

void Connection::Drop() {
  if (state_ == State::kUpgraded) {
    websocket_->Drop(host_.answer_timeout());
  } else if (state_ != State::kAnswering) {
    End();
  } else if (pumping_) {
    Arm(host_.answer_timeout());
  }
}

// A timer that is cancelled may have expired already, and its handler be on its way.
void Connection::Disarm() { timer_.expires_at(std::chrono::steady_clock::time_point::max()); }

void Connection::Post(uint64_t number, absl::AnyInvocable<void(Connection*)> task) {
  asio::post(*io_, [self = shared_from_this(), number, task = std::move(task)]() mutable {
    task(self->state_ == State::kAnswering && self->number_ == number && !self->whole_ ? self.get() : nullptr);
  });
}

void Connection::Abort(uint64_t number) {
  asio::post(*io_, [self = shared_from_this(), number] {
    if (self->number_ == number && self->state_ == State::kAnswering) self->End();
  });
}

// --- the request ---

void Connection::WaitToRead() {
  if (waiting_to_read_) return;
  waiting_to_read_ = true;
  stream_.Wait(Next::kWaitToRead, [self = shared_from_this()](error_code error) {
    self->waiting_to_read_ = false;
    if (self->state_ == State::kEnded || self->state_ == State::kUpgraded) return;
    if (error) {
      self->End();
    } else if (self->state_ == State::kAnswering) {
      self->Watch();
    } else if (self->state_ == State::kClosing) {
      self->Linger();
    } else {
      self->Pull();
    }
  });
}

bool Connection::TakeIn(size_t room) {
  const Stream::Result result = stream_.Read(buffer_.prepare(room).data(), room);
  switch (result.next) {
    case Next::kDone:
      buffer_.commit(result.bytes);
      return true;
    case Next::kEnd:
    case Next::kFailed:
      End();
      return false;
    default:
      if (buffer_.size() == 0) buffer_.shrink_to_fit();
      WaitToRead();
      return false;
  }
}

// Reads and parses until the request is whole, or nothing more is here. So many reads a turn, so that who keeps the
// socket full holds up nobody else.
void Connection::Pull() {
  for (int reads = 0; reads < kReadsInATurn; ++reads) {
    const size_t room = std::min(kReadMax, buffer_.max_size() - buffer_.size());
    // A chunk's extension, or a trailer, which the parser does not bound.
    if (room == 0) return Refuse(431, "the chunks are more than what is in them");
    if (!TakeIn(room) || !Feed()) return;
  }
  asio::post(*io_, [self = shared_from_this()] {
    if (self->reading()) self->Pull();
  });
}

// Whoever closes, or half-closes, waits for no answer. What it sends already is its next request, and kept; with more
// than a turn's of that the end of the connection is not seen any more, which an answer in pieces may wait for without
// end.
void Connection::Watch() {
  while (buffer_.size() < kReadMax) {
    if (!TakeIn(kReadMax - buffer_.size())) return;
  }
  if (in_pieces_) End();
}

// False when the request is whole, refused or gone; otherwise more is needed.
bool Connection::Feed() {
  if (!parser_.has_value()) {
    parser_.emplace();
    parser_->header_limit(host_.options().header_bytes_max);
    parser_->body_limit(host_.options().body_bytes_max);
    served_ = nullptr;  // nothing of the request before
    head_only_ = http_1_0_ = false;
    if (state_ == State::kIdle) {
      Enter(State::kHeader);
      Arm(host_.options().header_timeout);
    }
  }
  while (true) {
    error_code error;
    const size_t used = parser_->put(buffer_.data(), error);
    buffer_.consume(used);
    if (error == bhttp::error::need_more) return true;
    if (error) {
      RefuseBytes(error);
      return false;
    }
    if (state_ == State::kHeader && parser_->is_header_done()) {
      HeaderRead();
      if (state_ != State::kBody) return false;
    }
    if (parser_->is_done()) {
      Serve();
      return false;
    }
    if (buffer_.size() == 0) return true;
  }
}

void Connection::RefuseBytes(error_code error) {
  if (error == bhttp::error::header_limit) return Refuse(431, "the headers are too long");
  if (error == bhttp::error::body_limit) return Refuse(413, "the body is too long");
  if (error == bhttp::error::bad_version) return Refuse(505, "HTTP/1.1 is spoken here");
  Refuse(400, error.message());
}

// What another reader of the same bytes might take for something else is refused, and so is what would have to be
// guessed at.
std::optional<std::pair<unsigned, std::string_view>> Connection::Fault() const {
  const auto& request = parser_->get();
  size_t hosts = 0, lengths = 0, codings = 0;
  for (const auto& field : request) {
    hosts += field.name() == bhttp::field::host;
    lengths += field.name() == bhttp::field::content_length;
    codings += field.name() == bhttp::field::transfer_encoding;
  }
  if (hosts > 1 || (hosts == 0 && request.version() == 11)) return {{400, "the field Host is needed, once"}};
  if (codings > 0 && (lengths > 0 || request.version() == 10)) {
    return {{400, "Transfer-Encoding stands with a Content-Length, or in HTTP/1.0"}};
  }
  // Beast takes "5, 5" for 5, as it may.
  if (lengths > 1 || View(request[bhttp::field::content_length]).find(',') != std::string_view::npos) {
    return {{400, "the field Content-Length is there more than once"}};
  }
  if (codings > 1 || (codings == 1 && Lower(View(request[bhttp::field::transfer_encoding])) != "chunked")) {
    return {{501, "of the transfer codings only chunked is known"}};
  }
  if (const auto length = parser_->content_length(); length && *length > host_.options().body_bytes_max) {
    return {{413, "the body is too long"}};
  }
  if (auto expect = View(request[bhttp::field::expect]);
      !expect.empty() && request.version() == 11 && Lower(expect) != "100-continue") {
    return {{417, "of expectations only 100-continue is known"}};
  }
  if (Target(request).empty()) return {{400, "the target is no path"}};
  return std::nullopt;
}

bool Connection::Accept(std::string_view path) {
  served_ = host_.Find(path);
  if (served_ == nullptr) {
    Refuse(404, fmt::format("not found; try {}", host_.Paths()));
    return false;
  }
  const auto& methods = served_->route.methods;
  if (std::find(methods.begin(), methods.end(), View(parser_->get().method_string())) == methods.end()) {
    const std::string allowed = fmt::format("{}", fmt::join(methods, ", "));
    Refuse(405, fmt::format("only {}", allowed), {{"Allow", allowed}});
    return false;
  }
  return true;
}

// All that counts of the headers is taken here: what comes behind the body (trailers) is no part of them.
void Connection::HeaderRead() {
  const auto& message = parser_->get();
  http_1_0_ = message.version() == 10;
  head_only_ = message.method() == bhttp::verb::head;
  if (const auto fault = Fault()) return Refuse(fault->first, fault->second);
  const std::string_view target = Target(message);
  const size_t mark = target.find('?');
  if (!Accept(target.substr(0, mark))) return;
  body_room_ = parser_->content_length().value_or(parser_->chunked() ? host_.options().body_bytes_max : 0);
  if (!host_.TakeRoom(body_room_)) {
    body_room_ = 0;
    return Refuse(503, "others are sending too much", {{"Retry-After", "1"}});
  }
  request_ = Request();
  request_.method = std::string(View(message.method_string()));
  request_.path = std::string(target.substr(0, mark));
  if (mark != std::string_view::npos) request_.query = std::string(target.substr(mark + 1));
  for (const auto& field : message) {
    request_.fields.emplace_back(Lower(View(field.name_string())), std::string(View(field.value())));
  }
  Enter(State::kBody);
  Arm(host_.options().body_timeout);
  parser_->eager(true);
  const bool asks_first = !http_1_0_ && !View(message[bhttp::field::expect]).empty();
  if (asks_first && !parser_->is_done() && buffer_.size() == 0) {
    // In the way of no other answer: nothing else is being sent.
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    if (stream_.Write(kContinue.data(), kContinue.size()).bytes != kContinue.size()) End();
  }
}

void Connection::Serve() {
  auto message = parser_->release();
  parser_.reset();
  Disarm();
  Enter(State::kAnswering);
  keep_alive_ = message.keep_alive();
  chunked_ = in_pieces_ = whole_ = false;
  request_.body = std::move(message.body());
  request_.peer = stream_.Peer();
  if (stream_.secure()) request_.certificate_names = tls::VerifiedNames(stream_.ssl());
  auto exchange = std::make_shared<Exchange>(weak_from_this(), ++number_, std::exchange(request_, Request()));
  exchange_ = exchange;
  served_->handler(std::move(exchange));
  if (state_ == State::kAnswering && !whole_) WaitToRead();
}

void Connection::Refuse(unsigned code, std::string_view why, Fields fields) {
  parser_.reset();
  Enter(State::kAnswering);
  keep_alive_ = chunked_ = in_pieces_ = whole_ = false;
  Answer({code, "text/plain; charset=utf-8", fmt::format("{}\n", why), std::move(fields)});
}

// --- the answer ---

std::string Connection::Head(const Response& response, bool in_pieces) {
  host_.Answered(served_ == nullptr ? "other" : served_->route.name, response.code);
  keep_alive_ = keep_alive_ && !host_.draining() && !(in_pieces && http_1_0_);
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.code,
                                 std::string_view(bhttp::obsolete_reason(bhttp::int_to_status(response.code))));
  if (!response.content_type.empty()) AppendField(head, "Content-Type", response.content_type);
  if (!in_pieces && response.code != 204) {
    AppendField(head, "Content-Length", fmt::format("{}", response.body.size()));
  } else if (in_pieces && !http_1_0_) {
    AppendField(head, "Transfer-Encoding", "chunked");
  }
  for (const auto& [name, value] : response.fields) AppendField(head, name, value);
  head.append("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
  if (!keep_alive_) {
    head.append("Connection: close\r\n");
  } else if (http_1_0_) {
    head.append("Connection: keep-alive\r\n");
  }
  head.append("\r\n");
  return head;
}

void Connection::Answer(const Response& response) {
  whole_ = true;
  std::string text = Head(response, /*in_pieces=*/false);
  if (!head_only_) text.append(response.body);
  Send(std::move(text));
}

void Connection::Begin(const Response& head) {
  std::string text = Head(head, /*in_pieces=*/true);
  chunked_ = !http_1_0_;
  in_pieces_ = true;
  Send(std::move(text));
}

void Connection::Write(const std::string& piece, absl::AnyInvocable<void(bool)> sent) {
  sent_ = std::move(sent);
  Send(piece.empty() ? std::string() : chunked_ ? fmt::format("{:x}\r\n{}\r\n", piece.size(), piece) : piece);
}

void Connection::EndAnswer() {
  whole_ = true;
  Send(chunked_ ? "0\r\n\r\n" : "");
}

void Connection::Upgrade(const std::string& key, const std::string& subprotocol, const WebSocketOptions& options,
                         std::shared_ptr<WebSocketHandler> handler) {
  if (http_1_0_) return Answer({400, "text/plain; charset=utf-8", "a WebSocket begins with HTTP/1.1\n", {}});
  if (host_.draining() || !host_.TakeWebSocket()) {
    const char* why = host_.draining() ? "this server ends\n" : "too many WebSockets are open\n";
    return Answer({503, "text/plain; charset=utf-8", why, {{"Retry-After", "1"}}});
  }
  host_.Answered(served_->route.name, 101);
  Enter(State::kUpgraded);
  Disarm();
  if (buffer_.size() == 0) buffer_.shrink_to_fit();
  websocket_ = OpenWebSocket::Make(shared_from_this(), stream_, io_, std::exchange(buffer_, {}),
                                   host_.websocket_metrics(), options, std::move(handler));
  websocket_->Start(key, subprotocol);
}

void Connection::Send(std::string text) {
  if (out_.empty()) {
    out_ = std::move(text);
  } else {
    out_.append(text);
  }
  if (pumping_) return;
  pumping_ = true;
  Arm(host_.answer_timeout());
  Pump();
}

void Connection::Pump() {
  while (out_sent_ < out_.size()) {
    const Stream::Result result = stream_.Write(out_.data() + out_sent_, out_.size() - out_sent_);
    if (result.next == Next::kDone) {
      out_sent_ += result.bytes;
    } else if (result.next == Next::kWaitToWrite || result.next == Next::kWaitToRead) {
      stream_.Wait(result.next, [self = shared_from_this()](error_code error) {
        if (self->state_ != State::kAnswering) return;
        error ? self->End() : self->Pump();
      });
      return;
    } else {
      End();
      return;
    }
  }
  Sent();
}

void Connection::Sent() {
  const auto self = shared_from_this();
  pumping_ = false;
  out_ = std::string();
  out_sent_ = 0;
  Disarm();
  if (auto sent = std::exchange(sent_, nullptr)) sent(true);
  if (!whole_ || pumping_ || state_ != State::kAnswering) return;
  exchange_.reset();
  if (!keep_alive_) {
    Enter(State::kClosing);
    stream_.ShutdownSend();
    Arm(kLingerMax);
    WaitToRead();
    return;
  }
  Enter(State::kIdle);
  Arm(host_.options().idle_timeout);
  if (buffer_.size() > 0) {
    asio::post(*io_, [self] {
      if (self->state_ == State::kIdle && self->Feed()) self->Pull();
    });
  } else {
    WaitToRead();
  }
}

// Closing at once, with input unread, would reset the connection, and the answer might be lost with it.
void Connection::Linger() {
  char unread[kReadMax];
  const Stream::Result result = stream_.Read(unread, sizeof unread);
  switch (result.next) {
    case Next::kDone:
      lingered_ += result.bytes;
      if (lingered_ > kLingerBytesMax) {
        End();
      } else {
        asio::post(*io_, [self = shared_from_this()] {
          if (self->state_ == State::kClosing) self->Linger();
        });
      }
      return;
    case Next::kEnd:
    case Next::kFailed:
      End();
      return;
    default:
      WaitToRead();
  }
}

void Connection::End() {
  if (state_ == State::kEnded) return;
  const auto self = shared_from_this();
  Enter(State::kEnded);
  Disarm();
  stream_.Close();
  if (auto sent = std::exchange(sent_, nullptr)) sent(false);
  if (auto exchange = exchange_.lock()) exchange->Gone();
  if (auto websocket = std::exchange(websocket_, nullptr)) {
    host_.GiveWebSocket();
    websocket->Gone();
  }
  host_.Ended(*this);
}

}  // namespace waybill::http
