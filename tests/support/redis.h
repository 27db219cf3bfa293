// Redis for tests: a private server, an empty database number on a shared server, and commands in one line.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {

// A redis-server of the test's own on a free loopback port, nothing persisted. For tests that restart, flush or break
// it; all others share a server (TestRedis).
class RedisServer {
 public:
  // `arguments` go behind the defaults, e.g. {"--requirepass", "secret"}. Ready when this returns.
  static absl::StatusOr<std::unique_ptr<RedisServer>> Start(std::vector<std::string> arguments = {});

  int port() const { return port_; }
  pid_t pid() const { return process_ ? process_->pid() : -1; }
  std::string Url(int database = 0) const;

  void Kill();
  // The same port again, empty; ready when this returns.
  absl::Status StartAgain();
  absl::Status Restart();
  absl::Status FlushAll();
  bool Signal(int signal) { return process_ && process_->Signal(signal); }

 private:
  RedisServer() = default;

  absl::Status Launch();

  std::vector<std::string> arguments_;
  TempDirectory directory_;
  int port_ = 0;
  std::unique_ptr<Process> process_;
};

// The server all tests share: $WAYBILL_TEST_REDIS_URL (./dev test sets it), else one started for this process.
std::string SharedRedisUrl();

// A database number that was empty and is this test's alone until the end, when it is flushed. Databases that hold
// anything are left alone, so that a server of somebody's own loses nothing.
class TestRedis {
 public:
  TestRedis();
  explicit TestRedis(const std::string& server_url);
  ~TestRedis();
  TestRedis(const TestRedis&) = delete;
  TestRedis& operator=(const TestRedis&) = delete;

  const std::string& url() const { return url_; }

 private:
  std::string server_url_;
  int database_ = 0;
  std::string url_;
};

// Runs one command and returns its answer as text: integers in decimal, nil as "(nil)", arrays as their elements joined
// by spaces. `url`: redis://[:password@]host:port[/database].
absl::StatusOr<std::string> RedisCommand(const std::string& url, const std::vector<std::string>& command);

}  // namespace waybill::testing
