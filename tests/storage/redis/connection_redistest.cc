#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/redis/connect.h"
#include "storage/redis/connection.h"
#include "tests/support/redis.h"

namespace waybill::storage {
namespace {

using waybill::testing::RedisCommand;
using waybill::testing::RedisServer;

TEST(RedisConnection, LeavesAServerThatWasDemoted) {
  auto server = RedisServer::Start().value();
  RedisConnection connection(RedisUrl::Parse(server->Url()).value(), {});
  ASSERT_FALSE((*connection.Run({"SET", "key", "1"}))[0].IsError());
  const int64_t first = connection.times_connected();
  ASSERT_TRUE(RedisCommand(server->Url(), {"REPLICAOF", "127.0.0.1", "1"}).ok());
  ASSERT_TRUE(connection.Run({"GET", "key"}).ok());
  EXPECT_EQ(connection.times_connected(), first) << "reading is no reason to go";
  for (std::initializer_list<std::string_view> write :
       {std::initializer_list<std::string_view>{"SET", "key", "2"},
        {"EVAL", "return redis.call('SET', KEYS[1], '2')", "1", "key"}}) {
    auto replies = connection.Run(write);
    ASSERT_TRUE(replies.ok()) << replies.status();
    EXPECT_EQ(RedisErrorCode((*replies)[0].Text()), "READONLY") << (*replies)[0].Text();
    EXPECT_FALSE(connection.connected());
  }
  ASSERT_TRUE(RedisCommand(server->Url(), {"REPLICAOF", "NO", "ONE"}).ok());
  EXPECT_EQ((*connection.Run({"SET", "key", "3"}))[0].Text(), "OK");
}

TEST(RedisConnection, StaysWhereWritesAreRefusedForAWhile) {
  auto server = RedisServer::Start().value();
  RedisConnection connection(RedisUrl::Parse(server->Url()).value(), {});
  ASSERT_TRUE(RedisCommand(server->Url(), {"CONFIG", "SET", "min-replicas-to-write", "1"}).ok());
  EXPECT_EQ(RedisErrorCode((*connection.Run({"SET", "key", "1"}))[0].Text()), "NOREPLICAS");
  EXPECT_TRUE(connection.connected());
}

// The numbers from 0 to 8 into a list, three at a time.
absl::StatusOr<RedisReplies> PushNumbers(RedisConnection& connection, std::function<void(int pushed)> before) {
  RedisPipeline pipeline;
  int pushed = 0;
  return connection.Run(pipeline, [&] {
    before(pushed);
    for (const int end = pushed + 3; pushed < end; ++pushed) pipeline.Add({"RPUSH", "list", std::to_string(pushed)});
    return pushed < 9;
  });
}

std::string ListOf(const RedisReplies& list) {
  std::string numbers;
  for (size_t i = 0; i < list[0].size(); ++i) numbers += list[0][i].Text();
  return numbers;
}

TEST(RedisConnection, TheServerIsAtTheFirstCommandsWhileOthersAreMade) {
  auto server = RedisServer::Start().value();
  const RedisUrl url = RedisUrl::Parse(server->Url()).value();
  RedisConnection connection(url, {}), observer(url, {});
  const auto replies = PushNumbers(connection, [&](int pushed) {
    if (pushed == 0) return;
    auto last = observer.Run({"BLMOVE", "list", "seen", "RIGHT", "LEFT", "10"});  // waits for it
    ASSERT_TRUE(last.ok() && !(*last)[0].IsError());
    ASSERT_FALSE((*last)[0].Text().empty()) << pushed << " were made, and none was sent";
  });
  ASSERT_TRUE(replies.ok()) << replies.status();
  EXPECT_EQ(replies->size(), 9);
}

TEST(RedisConnection, WhatWasMadeForAConnectionThatWasClosedIsSentOverTheNext) {
  auto server = RedisServer::Start().value();
  RedisConnection connection(RedisUrl::Parse(server->Url()).value(), {});
  ASSERT_TRUE(connection.Run({"PING"}).ok());
  const auto replies = PushNumbers(connection, [&](int pushed) {
    if (pushed == 0) {
      ASSERT_TRUE(RedisCommand(server->Url(), {"CLIENT", "KILL", "TYPE", "normal"}).ok());
    }
  });
  ASSERT_TRUE(replies.ok()) << replies.status();
  EXPECT_EQ(replies->size(), 9);
  EXPECT_EQ(ListOf(*connection.Run({"LRANGE", "list", "0", "-1"})), "012345678");
}

SocketAddress Loopback(int port) { return Resolve("127.0.0.1", port).value()[0]; }

// Takes no connection and refuses none: its backlog is full.
class SilentAddress {
 public:
  SilentAddress() {
    address_ = Loopback(0);
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address_.address), address_.size), 0);
    EXPECT_EQ(listen(listener_, 0), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address_.address), &address_.size), 0);
    for (int i = 0; i < 4; ++i) {
      waiting_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      (void)connect(waiting_.back(), reinterpret_cast<const sockaddr*>(&address_.address), address_.size);
    }
  }
  ~SilentAddress() {
    for (int fd : waiting_) close(fd);
    close(listener_);
  }
  const SocketAddress& address() const { return address_; }

 private:
  SocketAddress address_;
  int listener_ = -1;
  std::vector<int> waiting_;
};

TEST(ConnectToAny, ASilentAddressLeavesTimeForTheNext) {
  auto server = RedisServer::Start().value();
  const SilentAddress silent;
  const absl::Time before = absl::Now();
  auto fd = ConnectToAny({silent.address(), silent.address(), Loopback(server->port())}, absl::Milliseconds(600));
  ASSERT_TRUE(fd.ok()) << fd.status();
  close(*fd);
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(398)) << "a third of it each, in whole milliseconds";
}

TEST(ConnectToAny, TellsWhatEachAddressSaid) {
  const SilentAddress silent;
  auto fd = ConnectToAny({Loopback(1), silent.address()}, absl::Milliseconds(50));
  EXPECT_EQ(fd.status().message(),
            fmt::format("127.0.0.1:1: Connection refused; {}: Connection timed out", silent.address().ToString()));
}

TEST(Resolve, KnowsNumbersAndNames) {
  EXPECT_EQ(Resolve("::1", 6379).value()[0].ToString(), "[::1]:6379");
  EXPECT_EQ(Resolve("127.0.0.5", 1).value()[0].ToString(), "127.0.0.5:1");
  EXPECT_FALSE(Resolve("localhost", 6379).value().empty());
  EXPECT_EQ(Resolve("no such host", 1).status().code(), absl::StatusCode::kUnavailable);
}

TEST(RedisErrorStatus, TellsWhatPassesFromABug) {
  for (const char* text :
       {"READONLY You can't write against a read only replica.", "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down", "NOREPLICAS Not enough good replicas to write.",
        "NOPERM this user has no permissions to run the 'evalsha' command", "MOVED 3999 127.0.0.1:6381",
        "CROSSSLOT Keys in request don't hash to the same slot",
        // As Redis 6 words what fails in a script.
        "ERR Error running script (call to f_c3b7a5b): @user_script:19: @user_script: 19: -READONLY You can't write "
        "against a read only replica. ",
        "ERR Error running script (call to f_c3b7a5b): @user_script:3: @user_script: 3: -MISCONF Redis is "
        "configured"}) {
    EXPECT_EQ(GetErrorDetail(RedisErrorStatus(text)).reason, "STORE_UNAVAILABLE") << text;
  }
  for (const char* text : {"ERR unknown command 'GEOSEARCH'", "WRONGTYPE Operation against a key",
                           "ERR Error running script (call to f_c3b7a5b): @user_script:3: user_script:3: nil"}) {
    EXPECT_EQ(RedisErrorStatus(text).code(), absl::StatusCode::kInternal) << text;
  }
}

}  // namespace
}  // namespace waybill::storage
