#include "edge/http/connection.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <string_view>
#include <utility>

#include "boost/asio/buffer.hpp"
#include "boost/asio/post.hpp"
#include "boost/beast/http/error.hpp"
#include "boost/beast/http/status.hpp"
#include "fmt/format.h"

namespace waybill::http {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using beast::error_code;
using Next = Stream::Next;

constexpr size_t kReadMax = 16 << 10;
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

std::string NameOf(const GENERAL_NAME& name) {
  if (name.type != GEN_URI && name.type != GEN_DNS) return {};
  const ASN1_IA5STRING& text = *name.d.ia5;
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(&text)), static_cast<size_t>(ASN1_STRING_length(&text))};
}

std::vector<std::string> CertificateNames(SSL* ssl) {
  std::vector<std::string> names;
  if (ssl == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return names;
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (certificate == nullptr) return names;
  auto* alternatives =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; alternatives != nullptr && i < sk_GENERAL_NAME_num(alternatives); ++i) {
    std::string name = NameOf(*sk_GENERAL_NAME_value(alternatives, i));
    if (!name.empty()) names.push_back(std::move(name));
  }
  GENERAL_NAMES_free(alternatives);
  if (!names.empty()) return names;
  char common[256];
  const int length = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate.get()), NID_commonName, common,
                                               static_cast<int>(sizeof common));
  if (length > 0) names.emplace_back(common, static_cast<size_t>(length));
  return names;
}

}  // namespace

Connection::Connection(ConnectionHost& host, asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls)
    : host_(host),
      stream_(std::move(socket), std::move(tls)),
      timer_(host.executor()),
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
  host_.Waiting(*this, state != State::kAnswering && state != State::kEnded);
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
  if (state_ != State::kAnswering) {
    End();
  } else if (pumping_) {
    Arm(host_.answer_timeout());
  }
}

// A timer that is cancelled may have expired already, and its handler be on its way.
void Connection::Disarm() { timer_.expires_at(std::chrono::steady_clock::time_point::max()); }

void Connection::Post(uint64_t number, absl::AnyInvocable<void(Connection*)> task) {
  asio::post(host_.executor(), [self = shared_from_this(), number, task = std::move(task)]() mutable {
    task(self->state_ == State::kAnswering && self->number_ == number && !self->whole_ ? self.get() : nullptr);
  });
}

void Connection::Abort(uint64_t number) {
  asio::post(host_.executor(), [self = shared_from_this(), number] {
    if (self->number_ == number && self->state_ == State::kAnswering) self->End();
  });
}

// --- the request ---

void Connection::WaitToRead() {
  if (waiting_to_read_) return;
  waiting_to_read_ = true;
  stream_.Wait(Next::kWaitToRead, [self = shared_from_this()](error_code error) {
    self->waiting_to_read_ = false;
    if (self->state_ == State::kEnded) return;
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

void Connection::Pull() {
  const Stream::Result result = [&] {
    const auto room = buffer_.prepare(std::min(kReadMax, buffer_.max_size() - buffer_.size()));
    return stream_.Read(room.data(), room.size());
  }();
  switch (result.next) {
    case Next::kDone:
      buffer_.commit(result.bytes);
      Feed();
      return;
    case Next::kEnd:
    case Next::kFailed:
      End();
      return;
    default:
      if (buffer_.size() == 0) buffer_.shrink_to_fit();
      WaitToRead();
  }
}

// Whoever closes, or half-closes, waits for no answer. What it sends already is its next request: kept, and then the
// end of the connection is not seen before the answer.
void Connection::Watch() {
  if (buffer_.size() > 0) return;
  const auto room = buffer_.prepare(kReadMax);
  const Stream::Result result = stream_.Read(room.data(), room.size());
  switch (result.next) {
    case Next::kDone:
      buffer_.commit(result.bytes);
      return;
    case Next::kEnd:
    case Next::kFailed:
      End();
      return;
    default:
      buffer_.shrink_to_fit();
      WaitToRead();
  }
}

void Connection::Feed() {
  if (!parser_.has_value()) {
    parser_.emplace();
    parser_->header_limit(host_.options().header_bytes_max);
    parser_->body_limit(host_.options().body_bytes_max);
    if (state_ == State::kIdle) {
      Enter(State::kHeader);
      Arm(host_.options().header_timeout);
    }
  }
  while (true) {
    error_code error;
    const size_t used = parser_->put(buffer_.data(), error);
    buffer_.consume(used);
    if (error == bhttp::error::need_more) {
      Pull();
      return;
    }
    if (error == bhttp::error::header_limit) return Refuse(431, "the headers are too long");
    if (error == bhttp::error::body_limit) return Refuse(413, "the body is too long");
    if (error == bhttp::error::bad_version) return Refuse(505, "HTTP/1.1 is spoken here");
    if (error) return Refuse(400, error.message());
    if (state_ == State::kHeader && parser_->is_header_done()) {
      HeaderRead();
      if (state_ != State::kBody) return;
    }
    if (parser_->is_done()) {
      Serve();
      return;
    }
    if (buffer_.size() == 0) {
      Pull();
      return;
    }
  }
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
  if (auto expect = View(request[bhttp::field::expect]); !expect.empty() && Lower(expect) != "100-continue") {
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

void Connection::HeaderRead() {
  const auto& request = parser_->get();
  http_1_0_ = request.version() == 10;
  head_only_ = request.method() == bhttp::verb::head;
  served_ = nullptr;
  if (const auto fault = Fault()) return Refuse(fault->first, fault->second);
  const std::string_view target = Target(request);
  if (!Accept(target.substr(0, target.find('?')))) return;
  Enter(State::kBody);
  Arm(host_.options().body_timeout);
  parser_->eager(true);
  if (!parser_->is_done() && !View(request[bhttp::field::expect]).empty() && buffer_.size() == 0) {
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
  chunked_ = whole_ = false;

  Request request;
  request.method = std::string(View(message.method_string()));
  const std::string_view target = Target(message);
  const size_t mark = target.find('?');
  request.path = std::string(target.substr(0, mark));
  if (mark != std::string_view::npos) request.query = std::string(target.substr(mark + 1));
  for (const auto& field : message) {
    request.fields.emplace_back(Lower(View(field.name_string())), std::string(View(field.value())));
  }
  request.body = std::move(message.body());
  request.peer = stream_.Peer();
  if (stream_.secure()) request.certificate_names = CertificateNames(stream_.ssl());

  auto exchange = std::make_shared<Exchange>(weak_from_this(), ++number_, std::move(request));
  exchange_ = exchange;
  served_->handler(std::move(exchange));
  if (state_ == State::kAnswering && !whole_) WaitToRead();
}

void Connection::Refuse(unsigned code, std::string_view why, Fields fields) {
  parser_.reset();
  Enter(State::kAnswering);
  keep_alive_ = chunked_ = whole_ = false;
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
    asio::post(host_.executor(), [self] {
      if (self->state_ == State::kIdle) self->Feed();
    });
  } else {
    WaitToRead();
  }
}

// Closing at once, with input unread, would reset the connection, and the answer might be lost with it.
void Connection::Linger() {
  char unread[1024];
  Stream::Result result;
  do {
    result = stream_.Read(unread, sizeof unread);
  } while (result.next == Next::kDone);
  if (result.next == Next::kWaitToRead || result.next == Next::kWaitToWrite) {
    WaitToRead();
  } else {
    End();
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
  host_.Ended(*this);
}

}  // namespace waybill::http
