// One connection to Redis: pipelines, bounded waits, and reconnecting by itself.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/trace.h"

struct redisContext;
struct redisReply;

namespace waybill::storage {

// redis://[[user]:password@]host[:port][/database]; user and password may be percent-encoded, an IPv6 host stands in
// []. TLS (rediss://) is refused: hiredis 0.14 has none.
struct RedisUrl {
  std::string host = "127.0.0.1";
  int port = 6379;
  std::string user;
  std::string password;  // empty: no AUTH
  int database = 0;

  static absl::StatusOr<RedisUrl> Parse(std::string_view url);  // INVALID_ARGUMENT
};

// An answer, or a part of one; valid as long as the RedisReplies it came from.
class RedisReply {
 public:
  explicit RedisReply(const redisReply* reply) : reply_(reply) {}

  bool IsError() const;
  bool IsNull() const;
  int64_t Integer() const;        // 0 if it is none
  std::string_view Text() const;  // of a string, a status or an error; "" otherwise
  size_t size() const;            // elements of an array; 0 otherwise
  RedisReply operator[](size_t index) const;

 private:
  const redisReply* reply_;
};

// The answers to a pipeline's commands, in their order.
class RedisReplies {
 public:
  size_t size() const { return replies_.size(); }
  RedisReply operator[](size_t index) const { return RedisReply(replies_[index].get()); }
  void Take(redisReply* reply) { replies_.emplace_back(reply); }

 private:
  struct Free {
    void operator()(redisReply* reply) const;
  };

  std::vector<std::unique_ptr<redisReply, Free>> replies_;
};

// Commands to be sent at once.
class RedisPipeline {
 public:
  void Add(std::initializer_list<std::string_view> command) { Add(command.begin(), command.size()); }
  void Add(const std::vector<std::string_view>& command) { Add(command.data(), command.size()); }
  void Clear();
  size_t size() const { return size_; }
  std::string_view bytes() const { return bytes_; }

 private:
  void Add(const std::string_view* arguments, size_t count);

  std::string bytes_;
  size_t size_ = 0;
};

struct RedisOptions {
  absl::Duration connect_timeout = absl::Milliseconds(500);
  absl::Duration timeout = absl::Milliseconds(500);  // without a byte from the server, or without it taking one
  // After a failure no new attempt is made for this long, doubling up to the maximum; calls fail at once meanwhile.
  absl::Duration backoff_initial = absl::Milliseconds(20);
  absl::Duration backoff_max = absl::Milliseconds(500);
  Tracer* tracer = nullptr;  // outlives connections; null: pipelines are not traced
};

// Used by one thread at a time. Connects when it is first needed, and anew after a failure.
class RedisConnection {
 public:
  RedisConnection(RedisUrl url, RedisOptions options) : url_(std::move(url)), options_(options) {}
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // One answer for each command; error answers among them are the caller's to look at. An answer that says that this is
  // the wrong server now (a replica, say, that was the master) closes the connection besides, and the next call asks
  // the name anew. STORE_UNAVAILABLE when Redis cannot be reached or does not answer; the commands may then have run.
  // They may also run twice (if the server had closed an idle connection), so they have to be harmless when repeated.
  // The server is at the first commands while others are still made, by `more`, which adds some to the pipeline at each
  // call and says whether there are others.
  absl::StatusOr<RedisReplies> Run(const RedisPipeline& pipeline, absl::FunctionRef<bool()> more = NoMore);
  absl::StatusOr<RedisReplies> Run(std::initializer_list<std::string_view> command);

  bool connected() const { return context_ != nullptr; }
  // How often it was made; who remembers it sees that the server may have been another one meanwhile.
  int64_t times_connected() const { return times_connected_; }

 private:
  absl::StatusOr<RedisReplies> RunOnce(const RedisPipeline& pipeline, absl::FunctionRef<bool()> more);
  absl::Status Connect();
  static bool NoMore() { return false; }
  absl::StatusOr<RedisReplies> Exchange(const RedisPipeline& pipeline, absl::FunctionRef<bool()> more);
  absl::Status Send(std::string_view bytes);
  absl::Status Fail(std::string_view what, std::string_view why);
  void Disconnect();

  void LeaveWrongServer(const RedisReplies& replies);

  const RedisUrl url_;
  const RedisOptions options_;
  redisContext* context_ = nullptr;
  int64_t times_connected_ = 0;
  bool closed_by_peer_ = false;  // what ended the last exchange
  absl::Duration backoff_ = absl::ZeroDuration();
  std::chrono::steady_clock::time_point not_before_{};
};

// What kind of error an answer is: its first word, such as READONLY, or the one of the command that failed in a script.
std::string_view RedisErrorCode(std::string_view text);

// What an error answer means: STORE_UNAVAILABLE when the server is loading, full, read-only, or refuses the user;
// INTERNAL, a bug, otherwise.
absl::Status RedisErrorStatus(std::string_view text);

}  // namespace waybill::storage
