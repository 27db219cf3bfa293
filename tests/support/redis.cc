#include "tests/support/redis.h"

#include <hiredis/hiredis.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "fmt/format.h"

namespace waybill::testing {
namespace {

constexpr absl::Duration kRedisStartTimeout = absl::Seconds(30);
constexpr int kDatabases = 1024;

using Context = std::unique_ptr<redisContext, decltype(&redisFree)>;

struct Address {
  std::string host;
  int port = 6379;
  std::string password;
  std::string database = "0";
};

absl::StatusOr<Address> ParseUrl(std::string_view url) {
  constexpr std::string_view kScheme = "redis://";
  if (url.substr(0, kScheme.size()) != kScheme) return absl::InvalidArgumentError(fmt::format("not redis://: {}", url));
  url.remove_prefix(kScheme.size());
  Address address;
  if (const size_t at = url.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = url.substr(0, at);
    address.password = user.substr(user.find(':') + 1);
    url.remove_prefix(at + 1);
  }
  if (const size_t slash = url.find('/'); slash != std::string_view::npos) {
    if (slash + 1 < url.size()) address.database = url.substr(slash + 1);
    url = url.substr(0, slash);
  }
  const size_t colon = url.find(':');
  address.host = url.substr(0, colon);
  if (colon != std::string_view::npos) {
    const std::string_view port = url.substr(colon + 1);
    std::from_chars(port.data(), port.data() + port.size(), address.port);
  }
  return address;
}

absl::StatusOr<std::string> Text(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_ERROR:
      return absl::FailedPreconditionError(std::string(reply.str, reply.len));
    case REDIS_REPLY_INTEGER:
      return std::to_string(reply.integer);
    case REDIS_REPLY_NIL:
      return "(nil)";
    case REDIS_REPLY_ARRAY: {
      std::string joined;
      for (size_t i = 0; i < reply.elements; ++i) {
        absl::StatusOr<std::string> element = Text(*reply.element[i]);
        if (!element.ok()) return element;
        joined += (i > 0 ? " " : "") + *element;
      }
      return joined;
    }
    default:
      return std::string(reply.str, reply.len);
  }
}

absl::StatusOr<std::string> Send(redisContext& context, const std::vector<std::string>& command) {
  std::vector<const char*> words;
  std::vector<size_t> sizes;
  for (const std::string& word : command) {
    words.push_back(word.data());
    sizes.push_back(word.size());
  }
  const std::unique_ptr<redisReply, decltype(&freeReplyObject)> reply(
      static_cast<redisReply*>(redisCommandArgv(&context, static_cast<int>(words.size()), words.data(), sizes.data())),
      freeReplyObject);
  if (reply == nullptr) return absl::UnavailableError(context.errstr);
  return Text(*reply);
}

std::string ClaimKey(int database) { return fmt::format("waybill-test-database-{}", database); }

std::string WithDatabase(const std::string& url, int database) {
  const size_t authority = url.find("://") + 3;
  return fmt::format("{}/{}", url.substr(0, url.find('/', authority)), database);
}

}  // namespace

absl::StatusOr<std::string> RedisCommand(const std::string& url, const std::vector<std::string>& command) {
  const absl::StatusOr<Address> address = ParseUrl(url);
  if (!address.ok()) return address.status();
  constexpr timeval kTimeout{10, 0};
  const Context context(redisConnectWithTimeout(address->host.c_str(), address->port, kTimeout), redisFree);
  if (context == nullptr || context->err != 0) {
    return absl::UnavailableError(context == nullptr ? "out of memory" : context->errstr);
  }
  redisSetTimeout(context.get(), kTimeout);
  if (!address->password.empty()) {
    if (absl::StatusOr<std::string> ok = Send(*context, {"AUTH", address->password}); !ok.ok()) return ok;
  }
  if (address->database != "0") {
    if (absl::StatusOr<std::string> ok = Send(*context, {"SELECT", address->database}); !ok.ok()) return ok;
  }
  return Send(*context, command);
}

absl::StatusOr<std::unique_ptr<RedisServer>> RedisServer::Start(std::vector<std::string> arguments) {
  auto server = std::unique_ptr<RedisServer>(new RedisServer);
  server->arguments_ = std::move(arguments);
  // Another test process may take the port between our look and the bind.
  absl::Status status;
  for (int attempt = 0; attempt < 10; ++attempt) {
    server->port_ = FreePort();
    status = server->Launch();
    if (status.ok()) return server;
    if (!absl::IsUnavailable(status)) break;
  }
  return status;
}

std::string RedisServer::Url(int database) const { return fmt::format("redis://127.0.0.1:{}/{}", port_, database); }

absl::Status RedisServer::Launch() {
  ProcessOptions options;
  options.working_directory = directory_.path();
  options.args = {"--port",       std::to_string(port_),
                  "--bind",       "127.0.0.1",
                  "--save",       "",
                  "--appendonly", "no",
                  "--databases",  std::to_string(kDatabases),
                  "--daemonize",  "no",
                  "--dir",        directory_.path()};
  options.args.insert(options.args.end(), arguments_.begin(), arguments_.end());
  absl::StatusOr<std::unique_ptr<Process>> process = Process::Start("redis-server", std::move(options));
  if (!process.ok()) return process.status();
  process_ = *std::move(process);
  if (process_->WaitForLine("Ready to accept connections", kRedisStartTimeout)) return absl::OkStatus();
  const std::string log = process_->Output();
  process_.reset();
  if (log.find("Address already in use") != std::string::npos) return absl::UnavailableError(log);
  return absl::InternalError("redis-server did not start: " + log);
}

void RedisServer::Kill() { process_.reset(); }

absl::Status RedisServer::StartAgain() { return Launch(); }

absl::Status RedisServer::Restart() {
  Kill();
  return StartAgain();
}

absl::Status RedisServer::FlushAll() { return RedisCommand(Url(), {"FLUSHALL"}).status(); }

std::string SharedRedisUrl() {
  if (const char* url = std::getenv("WAYBILL_TEST_REDIS_URL"); url != nullptr && *url != '\0') return url;
  static const absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start();
  if (!server.ok()) {
    std::fprintf(stderr, "no Redis for this test: %s\n", server.status().ToString().c_str());
    std::abort();
  }
  return (*server)->Url();
}

TestRedis::TestRedis() : TestRedis(SharedRedisUrl()) {}

TestRedis::TestRedis(const std::string& server_url) : server_url_(server_url) {
  const std::string home = WithDatabase(server_url, 0);
  for (int database = 1; database < kDatabases; ++database) {
    const std::string url = WithDatabase(server_url, database);
    const absl::StatusOr<std::string> size = RedisCommand(url, {"DBSIZE"});
    if (!size.ok()) {
      std::fprintf(stderr, "no empty Redis database for this test: %s\n", size.status().ToString().c_str());
      std::abort();
    }
    if (*size != "0") continue;
    // The claim expires by itself, should the test be killed.
    const std::string claim_seconds = "600";
    const absl::StatusOr<std::string> claim =
        RedisCommand(home, {"SET", ClaimKey(database), std::to_string(getpid()), "NX", "EX", claim_seconds});
    if (!claim.ok() || *claim != "OK") continue;
    // Somebody without a claim may have filled it since the first look.
    if (RedisCommand(url, {"DBSIZE"}).value_or("1") == "0") {
      database_ = database;
      url_ = url;
      return;
    }
    RedisCommand(home, {"DEL", ClaimKey(database)}).IgnoreError();
  }
  std::fprintf(stderr, "every Redis database of %s is in use\n", server_url.c_str());
  std::abort();
}

TestRedis::~TestRedis() {
  RedisCommand(url_, {"FLUSHDB"}).IgnoreError();
  RedisCommand(WithDatabase(server_url_, 0), {"DEL", ClaimKey(database_)}).IgnoreError();
}

}  // namespace waybill::testing
