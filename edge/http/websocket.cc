#include "edge/http/websocket.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <mutex>
#include <utility>

#include "absl/strings/escaping.h"
#include "boost/asio/buffer.hpp"
#include "boost/asio/compose.hpp"
#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "boost/beast/core/buffers_range.hpp"
#include "boost/beast/core/role.hpp"
#include "boost/beast/core/stream_traits.hpp"
#include "boost/beast/http/empty_body.hpp"
#include "boost/beast/http/message.hpp"
#include "boost/beast/http/rfc7230.hpp"
#include "boost/beast/websocket/error.hpp"
#include "boost/beast/websocket/stream.hpp"
#include "edge/http/connection.h"
#include "edge/http/open_websocket.h"

namespace waybill::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace ws = boost::beast::websocket;
using boost::system::error_code;
using std::chrono::steady_clock;
using Next = Stream::Next;

constexpr size_t kWriteMax = 16 << 10;  // that is put together to be written at once
constexpr size_t kUnreadMax = 1 << 20;  // behind the close frames
constexpr size_t kReasonMax = 123;
constexpr steady_clock::time_point kNever = steady_clock::time_point::max();

beast::string_view ToBeast(std::string_view text) { return {text.data(), text.size()}; }

bool HasToken(std::string_view list, std::string_view token) {
  return bhttp::token_list(ToBeast(list)).exists(ToBeast(token));
}

// Sixteen bytes in base64.
bool IsKey(std::string_view key) {
  std::string bytes;
  return key.size() == 24 && absl::Base64Unescape({key.data(), key.size()}, &bytes) && bytes.size() == 16;
}

// Whole characters, of what is UTF-8.
std::string_view CutTo(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

// A Stream as Beast needs one. Moved about by nobody: operations point to it.
class BeastStream {
 public:
  using executor_type = asio::io_context::executor_type;

  BeastStream(Stream& stream, asio::io_context& io, beast::flat_buffer ahead)
      : stream_(stream), io_(io), ahead_(std::move(ahead)) {}
  BeastStream(const BeastStream&) = delete;
  BeastStream& operator=(const BeastStream&) = delete;

  executor_type get_executor() const noexcept { return io_.get_executor(); }

  template <typename Buffers, typename Done>
  auto async_read_some(const Buffers& into, Done&& done) {
    asio::mutable_buffer first;
    for (const asio::mutable_buffer buffer : beast::buffers_range_ref(into)) {
      if (first.size() == 0) first = buffer;
    }
    return asio::async_compose<Done, void(error_code, size_t)>(Reading{{*this}, first}, done, io_);
  }

  // Short pieces go together, the header of a frame with what is in it.
  template <typename Buffers, typename Done>
  auto async_write_some(const Buffers& from, Done&& done) {
    asio::const_buffer first;
    size_t total = 0;
    for (const asio::const_buffer buffer : beast::buffers_range_ref(from)) {
      if (first.size() == 0) first = buffer;
      total += buffer.size();
    }
    Writing writing{{*this}, first, {}};
    if (total > first.size() && first.size() < kWriteMax) {
      writing.copy.resize(std::min(total, kWriteMax));
      asio::buffer_copy(asio::buffer(writing.copy), from);
    }
    return asio::async_compose<Done, void(error_code, size_t)>(std::move(writing), done, io_);
  }

  Stream& stream() { return stream_; }

 private:
  // What reading and writing have in common. Who asked hears of the end later, never within its own call.
  struct Operation {
    BeastStream& on;
    bool waited = false;

    // Whether the stream has to be waited for; then it is begun again.
    template <typename Self>
    bool Waits(Self& self, Next next) {
      if (next != Next::kWaitToRead && next != Next::kWaitToWrite) return false;
      waited = true;
      Stream& stream = on.stream_;
      stream.Wait(next, [self = std::move(self)](error_code failed) mutable { self(failed); });
      return true;
    }
    template <typename Self>
    void Complete(Self& self, error_code error, size_t bytes) {
      if (waited) return self.complete(error, bytes);
      asio::post(on.io_, [self = std::move(self), error, bytes]() mutable { self.complete(error, bytes); });
    }
  };

  struct Reading : Operation {
    asio::mutable_buffer into;

    template <typename Self>
    void operator()(Self& self, error_code error = {}) {
      if (error) return Complete(self, error, 0);
      if (on.ahead_.size() > 0) {
        const size_t bytes = asio::buffer_copy(into, on.ahead_.data());
        on.ahead_.consume(bytes);
        if (on.ahead_.size() == 0) on.ahead_.shrink_to_fit();
        return Complete(self, {}, bytes);
      }
      const Stream::Result result = into.size() == 0 ? Stream::Result() : on.stream_.Read(into.data(), into.size());
      if (Waits(self, result.next)) return;
      if (result.next == Next::kDone) return Complete(self, {}, result.bytes);
      Complete(self, result.next == Next::kEnd ? error_code(asio::error::eof) : asio::error::connection_reset, 0);
    }
  };

  struct Writing : Operation {
    asio::const_buffer from;
    std::string copy;  // or this

    template <typename Self>
    void operator()(Self& self, error_code error = {}) {
      if (error) return Complete(self, error, 0);
      const asio::const_buffer data = copy.empty() ? from : asio::const_buffer(copy.data(), copy.size());
      const Stream::Result result = data.size() == 0 ? Stream::Result() : on.stream_.Write(data.data(), data.size());
      if (Waits(self, result.next)) return;
      if (result.next == Next::kDone) return Complete(self, {}, result.bytes);
      Complete(self, asio::error::connection_reset, 0);
    }
  };

  Stream& stream_;
  asio::io_context& io_;
  beast::flat_buffer ahead_;
};

// Reads until the client has ended its side, too, so that it sees the close frame rather than a reset.
struct TearingDown {
  Stream& stream;
  size_t unread = 0;

  template <typename Self>
  void operator()(Self& self, error_code error = {}) {
    char buffer[4096];
    while (!error && unread < kUnreadMax) {
      const Stream::Result result = stream.Read(buffer, sizeof buffer);
      unread += result.bytes;
      if (result.next == Next::kDone) continue;
      if (result.next == Next::kEnd || result.next == Next::kFailed) break;
      Stream& from = stream;
      from.Wait(result.next, [self = std::move(self)](error_code failed) mutable { self(failed); });
      return;
    }
    self.complete({});
  }
};

// Found by Beast through the stream's namespace.
template <typename Done>
void async_teardown(beast::role_type, BeastStream& over, Done&& done) {
  over.stream().ShutdownSend();
  asio::async_compose<Done, void(error_code)>(TearingDown{over.stream()}, done, over);
}
void beast_close_socket(BeastStream& over) { over.stream().Close(); }

class BeastWebSocket final : public OpenWebSocket, public std::enable_shared_from_this<BeastWebSocket> {
 public:
  BeastWebSocket(std::shared_ptr<Connection> owner, Stream& stream, std::shared_ptr<asio::io_context> io,
                 beast::flat_buffer ahead, WebSocketMetrics& metrics, const WebSocketOptions& options,
                 std::shared_ptr<WebSocketHandler> handler)
      : options_(options),
        metrics_(metrics),
        io_(std::move(io)),
        owner_(std::move(owner)),
        handler_(std::move(handler)),
        timer_(*io_) {
    stream_.emplace(stream, *io_, std::move(ahead));
  }

  bool SendIfRoom(Message text) override {
    {
      std::lock_guard lock(mutex_);
      if (close_) return false;
      if (Taken(2, text->size())) {
        wants_room_ = true;
        return false;
      }
      queued_bytes_ += text->size();
      queue_.push_back({"", std::move(text)});
      if (std::exchange(woken_, true)) return true;
    }
    Wake();
    return true;
  }

  bool SendLatest(std::string_view key, Message text) override {
    {
      std::lock_guard lock(mutex_);
      if (close_) return false;
      const auto older = std::find_if(queue_.begin(), queue_.end(),
                                      [&](const Queued& one) { return !one.key.empty() && one.key == key; });
      if (older != queue_.end()) {
        metrics_.merged.Increment();
        queued_bytes_ += text->size() - older->text->size();
        older->text = std::move(text);
        return true;
      }
      if (Full(text->size())) {
        metrics_.merged.Increment();
        return false;
      }
      queued_bytes_ += text->size();
      queue_.push_back({std::string(key), std::move(text)});
      if (std::exchange(woken_, true)) return true;
    }
    Wake();
    return true;
  }

  void Close(uint16_t code, std::string_view reason) override {
    {
      std::lock_guard lock(mutex_);
      if (close_) return;
      Leave(code, reason);
      if (std::exchange(woken_, true)) return;
    }
    Wake();
  }

  void Start(const std::string& key, const std::string& subprotocol) override {
    stream_->auto_fragment(false);
    stream_->read_message_max(options_.message_bytes_max);
    stream_->set_option(ws::stream_base::timeout{ws::stream_base::none(), ws::stream_base::none(), false});
    stream_->set_option(ws::stream_base::decorator([subprotocol](ws::response_type& response) {
      if (!subprotocol.empty()) response.set(bhttp::field::sec_websocket_protocol, subprotocol);
      response.set(bhttp::field::server, "waybill");
    }));
    stream_->control_callback([this](ws::frame_type kind, beast::string_view) {
      Heard();
      if (kind != ws::frame_type::close) return;
      client_closed_ = true;
      CloseSoon();
    });
    bhttp::request<bhttp::empty_body> request(bhttp::verb::get, "/", 11);  // what was seen to stand there
    request.set(bhttp::field::host, "-");
    request.set(bhttp::field::connection, "upgrade");
    request.set(bhttp::field::upgrade, "websocket");
    request.set(bhttp::field::sec_websocket_key, key);
    request.set(bhttp::field::sec_websocket_version, "13");
    heard_ = steady_clock::now();
    write_until_ = heard_ + Chrono(options_.write_timeout);
    Arm();
    ++under_way_;
    stream_->async_accept(request, [self = shared_from_this()](error_code error) {
      self->write_until_ = kNever;
      if (error || self->ended_) {
        self->End(kCloseAbnormal, "");
      } else {
        self->Opened();
      }
      self->Done();
    });
  }

  void CloseAt(steady_clock::time_point when, uint16_t code, const std::string& reason) override {
    leave_at_ = when;
    leave_with_ = {code, reason};
    Arm();
  }

  void Drop(absl::Duration timeout) override {
    Close(kCloseGoingAway, "the server ends");
    drop_at_ = steady_clock::now() + Chrono(timeout);
    Arm();
  }

  void Gone() override { End(kCloseAbnormal, ""); }

 private:
  struct Queued {
    std::string key;
    Message text;
  };
  struct Farewell {
    uint16_t code = kCloseNormal;
    std::string reason;
  };

  // Under mutex_, once.
  void Leave(uint16_t code, std::string_view reason) {
    close_ = Farewell{code, std::string(CutTo(reason, kReasonMax))};
    if (code == kCloseTryAgainLater) metrics_.too_slow.Increment();
  }

  static steady_clock::duration Chrono(absl::Duration duration) { return absl::ToChronoNanoseconds(duration); }

  bool Full(size_t bytes) const {
    return queue_.size() >= options_.queue_messages_max ||
           (!queue_.empty() && queued_bytes_ + bytes > options_.queue_bytes_max);
  }

  // Whether a part of the queue, a half or a quarter of it, has no room for so many bytes.
  bool Taken(size_t part, size_t bytes) const {
    return !queue_.empty() && (queue_.size() >= options_.queue_messages_max / part ||
                               queued_bytes_ + bytes > options_.queue_bytes_max / part);
  }

  void Wake() {
    asio::post(*io_, [self = shared_from_this()] {
      {
        std::lock_guard lock(self->mutex_);
        self->woken_ = false;
      }
      self->Pump();
    });
  }

  void Opened() {
    open_ = true;
    heard_ = steady_clock::now();
    Arm();
    handler_->OnOpen(shared_from_this());
    Read();
    Pump();
  }

  void Read() {
    if (ended_) return;
    ++under_way_;
    stream_->async_read(in_, [self = shared_from_this()](error_code error, size_t) {
      if (error) {
        self->ReadFailed(error);
      } else if (!self->ended_) {
        self->Received();
        self->Read();
      }
      self->Done();
    });
  }

  void Heard() {
    heard_ = steady_clock::now();
    if (std::exchange(pinged_, false)) Arm();
  }

  void Received() {
    Heard();
    metrics_.received.Increment();
    std::string message(static_cast<const char*>(in_.data().data()), in_.size());
    in_.consume(in_.size());
    in_.shrink_to_fit();
    handler_->OnMessage(std::move(message), stream_->got_text());
  }

  void ReadFailed(error_code error) {
    if (closing_) return;  // that says when it is done
    if (client_closed_) {
      EndWithWhatWasSaid();
    } else if (error == ws::error::message_too_big) {
      End(kCloseTooBig, "");
    } else if (error == ws::error::bad_frame_payload) {
      End(kCloseBadPayload, "");
    } else if (error == ws::condition::protocol_violation) {
      End(kCloseProtocolError, "");
    } else {
      End(kCloseAbnormal, "");
    }
  }

  void EndWithWhatWasSaid() {
    if (closing_) return End(farewell_.code, farewell_.reason);
    if (!client_closed_) return End(kCloseAbnormal, "");
    const ws::close_reason& with = stream_->reason();
    End(with.code == ws::close_code::none ? kCloseNoCode : static_cast<uint16_t>(with.code),
        {with.reason.data(), with.reason.size()});
  }

  // Sends what waits, one message at a time, and then the close frame.
  void Pump() {
    if (!open_ || ended_ || closing_) return;
    bool room = false;
    {
      std::lock_guard lock(mutex_);
      if (close_) CloseSoon();
      if (writing_) return;
      if (queue_.empty()) {
        if (!close_) return;
        farewell_ = *close_;
      } else {
        sending_ = std::move(queue_.front().text);
        queued_bytes_ -= sending_->size();
        queue_.pop_front();
      }
      room = wants_room_ && !close_ && !Taken(4, 0);
      if (room) wants_room_ = false;
    }
    if (sending_ == nullptr) return SayFarewell();
    writing_ = true;
    write_until_ = steady_clock::now() + Chrono(options_.write_timeout);
    Arm();
    ++under_way_;
    stream_->async_write(asio::buffer(*sending_), [self = shared_from_this()](error_code error, size_t) {
      self->writing_ = false;
      self->write_until_ = kNever;
      self->sending_ = nullptr;
      if (!error) {
        self->metrics_.sent.Increment();
        self->Pump();
      }  // else the reading says what it is, or the time
      self->Done();
    });
    if (room) handler_->OnRoom();
  }

  // Whatever the client does from now on.
  void CloseSoon() {
    if (close_until_ != kNever) return;
    close_until_ = steady_clock::now() + Chrono(options_.close_timeout);
    Arm();
  }

  void SayFarewell() {
    closing_ = true;
    ws::close_reason with(static_cast<ws::close_code>(farewell_.code));
    with.reason.assign(farewell_.reason.data(), farewell_.reason.size());
    ++under_way_;
    stream_->async_close(with, [self = shared_from_this()](error_code) {
      self->End(self->farewell_.code, self->farewell_.reason);
      self->Done();
    });
  }

  void Ping() {
    pinged_ = true;
    pong_until_ = steady_clock::now() + Chrono(options_.pong_timeout);
    if (pinging_) return;  // the last one is still on its way
    pinging_ = true;
    ++under_way_;
    stream_->async_ping({}, [self = shared_from_this()](error_code) {
      self->pinging_ = false;
      self->Done();
    });
  }

  // When something is due next. The timer is set for what is soonest and looked at then, so that what only moves away,
  // as each message does, costs nothing.
  steady_clock::time_point Due() const {
    const auto silence = !open_ || close_until_ != kNever ? kNever
                         : pinged_                        ? pong_until_
                                                          : heard_ + Chrono(options_.ping_after);
    return std::min({silence, write_until_, close_until_, leave_at_, drop_at_});
  }
  void Arm() {
    const auto due = Due();
    if (ended_ || due >= armed_) return;
    armed_ = due;
    timer_.expires_at(due);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      if (auto self = weak.lock(); self != nullptr && !error) self->Expired();
    });
  }
  void Expired() {
    if (ended_ || timer_.expiry() > steady_clock::now()) return;
    armed_ = kNever;
    const auto now = steady_clock::now();
    if (std::min({write_until_, close_until_, drop_at_}) <= now) return EndWithWhatWasSaid();
    if (leave_at_ <= now) {
      leave_at_ = kNever;
      Close(leave_with_.code, leave_with_.reason);
    }
    if (open_ && close_until_ == kNever) {
      if (pinged_ && pong_until_ <= now) return End(kCloseAbnormal, "");
      if (!pinged_ && heard_ + Chrono(options_.ping_after) <= now) Ping();
    }
    Arm();
  }

  void End(uint16_t code, std::string_view reason) {
    if (std::exchange(ended_, true)) return;
    {
      std::lock_guard lock(mutex_);
      if (!close_) close_ = Farewell{code, ""};
      queue_.clear();
    }
    timer_.cancel();
    if (auto handler = std::exchange(handler_, nullptr); handler != nullptr && open_) {
      handler->OnClose(code, std::string(reason));
    }
    owner_->Left();
    if (under_way_ == 0) LetGo();
  }

  // An operation on the stream has ended. With the last one the stream goes, whoever still has this.
  void Done() {
    if (--under_way_ == 0 && ended_) LetGo();
  }
  void LetGo() {
    asio::post(*io_, [self = shared_from_this()] {
      self->stream_.reset();
      self->owner_.reset();
    });
  }

  const WebSocketOptions options_;
  WebSocketMetrics& metrics_;
  const std::shared_ptr<asio::io_context> io_;
  std::shared_ptr<Connection> owner_;
  std::shared_ptr<WebSocketHandler> handler_;
  std::optional<ws::stream<BeastStream, /*deflateSupported=*/false>> stream_;
  asio::steady_timer timer_;
  beast::flat_buffer in_;
  Message sending_;
  Farewell farewell_;    // that was said
  Farewell leave_with_;  // that is said at leave_at_
  int under_way_ = 0;    // operations on the stream
  bool open_ = false;
  bool ended_ = false;
  bool writing_ = false;
  bool pinging_ = false;
  bool closing_ = false;
  bool client_closed_ = false;
  bool pinged_ = false;  // and not heard of since
  steady_clock::time_point heard_;
  steady_clock::time_point pong_until_ = kNever;
  steady_clock::time_point write_until_ = kNever;
  steady_clock::time_point close_until_ = kNever;
  steady_clock::time_point leave_at_ = kNever;
  steady_clock::time_point drop_at_ = kNever;
  steady_clock::time_point armed_ = kNever;

  std::mutex mutex_;  // over what follows
  std::list<Queued> queue_;
  size_t queued_bytes_ = 0;
  std::optional<Farewell> close_;  // asked for; nothing is queued any more
  bool woken_ = false;
  bool wants_room_ = false;
};

}  // namespace

std::shared_ptr<OpenWebSocket> OpenWebSocket::Make(std::shared_ptr<Connection> owner, Stream& stream,
                                                   std::shared_ptr<asio::io_context> io, beast::flat_buffer ahead,
                                                   WebSocketMetrics& metrics, const WebSocketOptions& options,
                                                   std::shared_ptr<WebSocketHandler> handler) {
  return std::make_shared<BeastWebSocket>(std::move(owner), stream, std::move(io), std::move(ahead), metrics, options,
                                          std::move(handler));
}

std::optional<Response> UpgradeFault(const Request& request) {
  const auto fault = [](unsigned code, const char* why, Fields fields = {}) {
    return Response{code, "text/plain; charset=utf-8", why, std::move(fields)};
  };
  if (!HasToken(request.Field("upgrade"), "websocket") || !HasToken(request.Field("connection"), "upgrade")) {
    return fault(426, "a WebSocket is asked for here\n", {{"Upgrade", "websocket"}, {"Connection", "Upgrade"}});
  }
  if (request.method != "GET" || !request.body.empty()) return fault(400, "an upgrade is a GET without a body\n");
  if (request.Field("sec-websocket-version") != "13") {
    return fault(426, "of WebSockets version 13 is known\n", {{"Sec-WebSocket-Version", "13"}});
  }
  if (!IsKey(request.Field("sec-websocket-key"))) return fault(400, "Sec-WebSocket-Key is not 16 bytes in base64\n");
  return std::nullopt;
}

std::vector<std::string> OfferedSubprotocols(const Request& request) {
  std::vector<std::string> offered;
  for (const auto& [name, value] : request.fields) {
    if (name != "sec-websocket-protocol") continue;
    for (const auto token : bhttp::token_list(ToBeast(value))) offered.emplace_back(token.data(), token.size());
  }
  return offered;
}

}  // namespace waybill::http
