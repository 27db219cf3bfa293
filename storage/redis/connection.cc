#include "storage/redis/connection.h"

#include <hiredis/hiredis.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "absl/types/span.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/redis/connect.h"

namespace waybill::storage {
namespace {

absl::Status BadUrl(std::string_view why) {
  return absl::InvalidArgumentError(
      fmt::format("not a Redis URL (redis://[[user]:password@]host[:port][/database]): {}", why));
}

std::optional<int> ParseNumber(std::string_view text, int max) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0 || number > max) return std::nullopt;
  return number;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (error != std::errc() || end != text.data() + i + 3) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

absl::Status Unavailable(std::string_view message) {
  ErrorDetail detail;
  detail.retry_after = absl::Milliseconds(200);
  return domain::ReasonError("STORE_UNAVAILABLE", message, std::move(detail));
}

}  // namespace

absl::StatusOr<RedisUrl> RedisUrl::Parse(std::string_view url) {
  constexpr std::string_view kScheme = "redis://";
  if (url.starts_with("rediss://")) {
    return absl::InvalidArgumentError(
        "rediss:// is not spoken here: have stunnel beside this process speak TLS to Redis, and name its port here "
        "with "
        "redis:// (TLS in docs/operations.md)");
  }
  if (url.substr(0, kScheme.size()) != kScheme) return BadUrl("it has to begin with redis://");
  url.remove_prefix(kScheme.size());
  RedisUrl parsed;
  if (size_t at = url.rfind('@'); at != std::string_view::npos) {
    std::string_view credentials = url.substr(0, at);
    url.remove_prefix(at + 1);
    size_t colon = credentials.find(':');
    if (colon == std::string_view::npos) return BadUrl("a user without a password");
    auto user = PercentDecode(credentials.substr(0, colon));
    auto password = PercentDecode(credentials.substr(colon + 1));
    if (!user || !password) return BadUrl("bad percent-encoding in the credentials");
    parsed.user = *user;
    parsed.password = *password;
  }
  if (size_t slash = url.find('/'); slash != std::string_view::npos) {
    std::string_view text = url.substr(slash + 1);
    url = url.substr(0, slash);
    if (!text.empty()) {
      std::optional<int> database = ParseNumber(text, 1'000'000);
      if (!database) return BadUrl("the database has to be a number");
      parsed.database = *database;
    }
  }
  std::string_view host = url, port;
  if (!url.empty() && url[0] == '[') {
    size_t end = url.find(']');
    if (end == std::string_view::npos) return BadUrl("[ without ]");
    host = url.substr(1, end - 1);
    port = url.substr(end + 1);
    if (!port.empty() && port[0] != ':') return BadUrl("junk after ]");
    if (!port.empty()) port.remove_prefix(1);
  } else if (size_t colon = url.find(':'); colon != std::string_view::npos) {
    host = url.substr(0, colon);
    port = url.substr(colon + 1);
    if (port.empty()) return BadUrl("the port has to be a number");
  }
  if (host.empty()) return BadUrl("no host");
  parsed.host = std::string(host);
  if (!port.empty()) {
    std::optional<int> number = ParseNumber(port, 65535);
    if (!number || *number == 0) return BadUrl("the port has to be a number");
    parsed.port = *number;
  }
  return parsed;
}

// --- Replies

bool RedisReply::IsError() const { return reply_->type == REDIS_REPLY_ERROR; }

bool RedisReply::IsNull() const { return reply_->type == REDIS_REPLY_NIL; }

int64_t RedisReply::Integer() const { return reply_->type == REDIS_REPLY_INTEGER ? reply_->integer : 0; }

std::string_view RedisReply::Text() const {
  switch (reply_->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      return {reply_->str, static_cast<size_t>(reply_->len)};
    default:
      return "";
  }
}

size_t RedisReply::size() const { return reply_->type == REDIS_REPLY_ARRAY ? reply_->elements : 0; }

RedisReply RedisReply::operator[](size_t index) const {
  if (index >= size()) std::abort();  // the caller does not know its own command's answer
  return RedisReply(reply_->element[index]);
}

void RedisReplies::Free::operator()(redisReply* reply) const { freeReplyObject(reply); }

// --- Pipelines

namespace {

// "<sign><number>\r\n". Written for each argument of each command: formatting by a format string took a third of the
// ingest service's time.
void AppendHeader(std::string& bytes, char sign, size_t number) {
  char buffer[24];
  buffer[0] = sign;
  char* end = std::to_chars(buffer + 1, buffer + 22, number).ptr;
  *end++ = '\r';
  *end++ = '\n';
  bytes.append(buffer, static_cast<size_t>(end - buffer));
}

}  // namespace

void RedisPipeline::Add(const std::string_view* arguments, size_t count) {
  AppendHeader(bytes_, '*', count);
  for (size_t i = 0; i < count; ++i) {
    AppendHeader(bytes_, '$', arguments[i].size());
    bytes_.append(arguments[i]);
    bytes_.append("\r\n");
  }
  ++size_;
}

void RedisPipeline::Clear() {
  bytes_.clear();
  size_ = 0;
}

// --- Connection

namespace {

// The server is not, or not yet, the one that serves.
constexpr std::string_view kWrongServer[] = {"READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN"};

bool IsOneOf(std::string_view code, absl::Span<const std::string_view> codes) {
  return std::find(codes.begin(), codes.end(), code) != codes.end();
}

}  // namespace

RedisConnection::~RedisConnection() { Disconnect(); }

void RedisConnection::Disconnect() {
  if (context_ != nullptr) redisFree(context_);
  context_ = nullptr;
}

absl::Status RedisConnection::Fail(std::string_view what, std::string_view why) {
  Disconnect();
  backoff_ = std::clamp(backoff_ * 2, options_.backoff_initial, options_.backoff_max);
  not_before_ = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(backoff_);
  return Unavailable(fmt::format("redis at {}:{}: {}: {}", url_.host, url_.port, what, why));
}

absl::StatusOr<RedisReplies> RedisConnection::Run(std::initializer_list<std::string_view> command) {
  RedisPipeline pipeline;
  pipeline.Add(command);
  return Run(pipeline);
}

// A trace of its own: it is of many callers, of whom the connection knows nothing.
absl::StatusOr<RedisReplies> RedisConnection::Run(const RedisPipeline& pipeline, absl::FunctionRef<bool()> more) {
  if (options_.tracer == nullptr) return RunOnce(pipeline, more);
  Span span = options_.tracer->Enter("redis pipeline", SpanKind::kClient, {});
  absl::StatusOr<RedisReplies> replies = RunOnce(pipeline, more);
  if (!replies.ok()) span.Fail(std::string(replies.status().message()));
  span.Set("db.system", "redis");
  span.Set("waybill.redis.commands", static_cast<int64_t>(pipeline.size()));
  return replies;
}

absl::StatusOr<RedisReplies> RedisConnection::RunOnce(const RedisPipeline& pipeline, absl::FunctionRef<bool()> more) {
  bool others = true;
  const auto rest = [&] { return others = others && more(); };  // what was made for the first try stays
  const bool was_connected = connected();
  if (!was_connected) {
    absl::Status status = Connect();
    if (!status.ok()) return status;
  }
  absl::StatusOr<RedisReplies> replies = Exchange(pipeline, rest);
  if (!replies.ok() && was_connected && closed_by_peer_) {
    // The server may have been restarted while the connection was idle.
    not_before_ = {};
    absl::Status status = Connect();
    if (!status.ok()) return status;
    replies = Exchange(pipeline, rest);
  }
  if (replies.ok()) {
    backoff_ = absl::ZeroDuration();
    LeaveWrongServer(*replies);
  }
  return replies;
}

// After a failover connections to the old master stay open, and a name leads elsewhere only who asks for it.
void RedisConnection::LeaveWrongServer(const RedisReplies& replies) {
  for (size_t i = 0; i < replies.size(); ++i) {
    if (replies[i].IsError() && IsOneOf(RedisErrorCode(replies[i].Text()), kWrongServer)) return Disconnect();
  }
}

absl::Status RedisConnection::Connect() {
  if (std::chrono::steady_clock::now() < not_before_) {
    return Unavailable(fmt::format("redis at {}:{} was unreachable a moment ago", url_.host, url_.port));
  }
  // Not by hiredis, which gives the first of a name's addresses all of the time.
  absl::StatusOr<std::vector<SocketAddress>> addresses = Resolve(url_.host, url_.port);
  if (!addresses.ok()) return Fail("resolve", std::string(addresses.status().message()));
  absl::StatusOr<int> connected = ConnectToAny(*addresses, options_.connect_timeout);
  if (!connected.ok()) return Fail("connect", std::string(connected.status().message()));
  context_ = redisConnectFd(*connected);
  if (context_ == nullptr) {
    close(*connected);
    return Fail("connect", "out of memory");
  }
  redisSetTimeout(context_, absl::ToTimeval(options_.timeout));
  redisEnableKeepAlive(context_);
  ++times_connected_;
  RedisPipeline hello;
  if (!url_.password.empty()) {
    if (url_.user.empty()) {
      hello.Add({"AUTH", url_.password});
    } else {
      hello.Add({"AUTH", url_.user, url_.password});
    }
  }
  if (url_.database != 0) hello.Add({"SELECT", std::to_string(url_.database)});
  if (hello.size() == 0) return absl::OkStatus();
  absl::StatusOr<RedisReplies> replies = Exchange(hello, NoMore);
  if (!replies.ok()) return replies.status();
  for (size_t i = 0; i < replies->size(); ++i) {
    if ((*replies)[i].IsError()) return Fail("connect", std::string((*replies)[i].Text()));
  }
  return absl::OkStatus();
}

absl::StatusOr<RedisReplies> RedisConnection::Exchange(const RedisPipeline& pipeline, absl::FunctionRef<bool()> more) {
  closed_by_peer_ = false;
  size_t sent = 0;
  for (bool others = true; others;) {
    others = more();
    if (absl::Status status = Send(pipeline.bytes().substr(sent)); !status.ok()) return status;
    sent = pipeline.bytes().size();
  }
  RedisReplies replies;
  for (size_t i = 0; i < pipeline.size(); ++i) {
    void* reply = nullptr;
    if (redisGetReply(context_, &reply) != REDIS_OK) {
      closed_by_peer_ = context_->err == REDIS_ERR_EOF || (context_->err == REDIS_ERR_IO && errno == ECONNRESET);
      return Fail("receive", std::string(context_->errstr));
    }
    replies.Take(static_cast<redisReply*>(reply));
  }
  return replies;
}

// Not by hiredis, whose write(2) raises SIGPIPE when the server is gone.
absl::Status RedisConnection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t sent = send(context_->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      closed_by_peer_ = errno == EPIPE || errno == ECONNRESET;
      return Fail("send", errno == EAGAIN ? "timed out" : std::strerror(errno));
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

std::string_view RedisErrorCode(std::string_view text) {
  // Before version 7 a script wraps the error: "ERR Error running script (…): @user_script:5: … -READONLY You can't …".
  if (text.find("@user_script") != std::string_view::npos) {
    if (size_t dash = text.find(": -"); dash != std::string_view::npos) text.remove_prefix(dash + 3);
  }
  return text.substr(0, text.find(' '));
}

absl::Status RedisErrorStatus(std::string_view text) {
  static constexpr std::string_view kPassing[] = {"BUSY",   "OOM",     "NOAUTH",     "WRONGPASS",
                                                  "NOPERM", "MISCONF", "NOREPLICAS", "TRYAGAIN"};
  static constexpr std::string_view kCluster[] = {"MOVED", "ASK", "CROSSSLOT"};
  const std::string_view code = RedisErrorCode(text);
  std::string message = fmt::format("redis: {}", text);
  if (IsOneOf(code, kPassing) || IsOneOf(code, kWrongServer)) return Unavailable(message);
  if (IsOneOf(code, kCluster)) return Unavailable("this Redis is a cluster; Waybill needs a single one: " + message);
  return absl::InternalError(message);
}

}  // namespace waybill::storage
