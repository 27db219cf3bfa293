// Postgres, Redis or the gateway goes away under load and comes back: nothing is lost, /readyz says what is down, and
// work resumes by itself.
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/e2e/crash_story.h"
#include "tests/e2e/under_load.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

class OutagesTest : public UnderLoad {
 protected:
  // `postgres` and `redis` are servers of the test's own, or null.
  void Start(PostgresServer* postgres, RedisServer* redis, std::vector<std::string> args = StoryArgs()) {
    StackOptions options;
    options.order_args = std::move(args);
    options.postgres = postgres;
    options.redis = redis;
    StartUnderLoad(std::move(options));
  }
};

class PostgresOutageTest : public OutagesTest {
 protected:
  ~PostgresOutageTest() override {
    load_.reset();
    stack_.reset();
  }
  std::unique_ptr<PostgresServer> postgres_ = PostgresServer::Start().value();
};

TEST_F(PostgresOutageTest, PostgresCrashesAndComesBack) {
  Start(postgres_.get(), nullptr);
  postgres_->Stop(PostgresServer::StopMode::kImmediate);
  ExpectNotReadyFor("postgres");
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return load_->repeated() > 0; })) << "no call met the outage";
  ASSERT_TRUE(postgres_->StartAgain().ok());
  ExpectReady();
  ExpectWork();
  stack_->ConnectAgain();
  ExpectNothingLost();
}

TEST_F(PostgresOutageTest, PostgresRestartsAtOnceAgainAndAgain) {
  Start(postgres_.get(), nullptr);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(postgres_->Restart().ok());
    ExpectWork();
  }
  stack_->ConnectAgain();
  ExpectNothingLost();
}

// A primary that was demoted, or whose disk is full, at some managed services: sessions live on and may only read.
TEST_F(PostgresOutageTest, PostgresTakesNoWritesForAWhile) {
  Start(postgres_.get(), nullptr);
  Sql admin(postgres_->Url());
  const std::string database = stack_->sql().Value("SELECT current_database()");
  admin.Exec("ALTER DATABASE " + database + " SET default_transaction_read_only = on");
  admin.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'waybill-%'");
  ExpectNotReadyFor("read-only");
  admin.Exec("ALTER DATABASE " + database + " RESET default_transaction_read_only");
  ExpectReady();
  ExpectWork();
  admin.Exec("ALTER SYSTEM SET default_transaction_read_only = on");  // in the sessions that are open
  admin.Exec("SELECT pg_reload_conf()");
  ExpectNotReadyFor("read-only");
  admin.Exec("SET default_transaction_read_only = off");
  admin.Exec("ALTER SYSTEM RESET default_transaction_read_only");
  admin.Exec("SELECT pg_reload_conf()");
  ExpectReady();
  ExpectWork();
  ExpectNothingLost();
}

TEST_F(PostgresOutageTest, TheSynchronousStandbyIsGoneForLongerThanAnyTimeout) {
  Start(postgres_.get(), nullptr);
  Sql admin(postgres_->Url());
  admin.Exec("SET synchronous_commit = local");
  const std::string waiting =
      "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'waybill-%'";
  admin.Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  admin.Exec("SELECT pg_reload_conf()");
  ExpectNotReadyFor("commits wait for a synchronous standby");
  // Writers give up after 10 s, and again and again; callers repeat what they want.
  const auto gave_up = [&] { return Log().find("commits wait for a synchronous standby, and none answers"); };
  EXPECT_TRUE(Eventually(absl::Minutes(1), [&] { return gave_up() != std::string::npos; })) << Log();
  const size_t first = Log().size();
  EXPECT_TRUE(Eventually(absl::Minutes(1), [&] {
    return Log().find("commits wait for a synchronous standby, and none answers", first) != std::string::npos;
  }));
  // One a connection that writes, and one that is about to be given up: three writers, two for claims, one for sums.
  EXPECT_LE(std::stoi(admin.Value(waiting)), 12) << admin.Value(
      "SELECT string_agg(application_name || ': ' || left(query, 60), E'\\n') FROM pg_stat_activity "
      "WHERE wait_event = 'SyncRep'");
  admin.Exec("ALTER SYSTEM RESET synchronous_standby_names");
  admin.Exec("SELECT pg_reload_conf()");
  ExpectReady();
  ExpectWork();
  EXPECT_EQ(admin.Value(waiting), "0");
  ExpectNothingLost();
}

class RedisOutageTest : public OutagesTest {
 protected:
  ~RedisOutageTest() override {
    load_.reset();
    stack_.reset();
  }
  std::unique_ptr<RedisServer> redis_ = RedisServer::Start().value();
};

TEST_F(RedisOutageTest, RedisDiesAndComesBackEmpty) {
  Start(nullptr, redis_.get());
  redis_->Kill();
  ExpectDegradedBy("redis");
  // Who wants the nearest driver cannot have one now, and gets the money back.
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return load_->turned_back() >= kClients; })) << Log();
  ASSERT_TRUE(redis_->StartAgain().ok());
  ExpectReady();
  stack_->PutDrivers(kDrivers);
  ExpectWork();
  ExpectNothingLost();
}

TEST_F(RedisOutageTest, RedisIsFlushedAndFilledAgain) {
  Start(nullptr, redis_.get());
  ASSERT_TRUE(redis_->FlushAll().ok());
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return load_->turned_back() >= kClients; })) << Log();
  stack_->PutDrivers(kDrivers);
  ExpectWork();
  ExpectReady();
  ExpectNothingLost();
}

TEST_F(OutagesTest, TheGatewayDiesAndComesBack) {
  Start(nullptr, nullptr);
  stack_->KillSandbox();
  // Nobody knows whether the money was taken: every order under way waits for its refund.
  EXPECT_TRUE(Eventually(kLongEnough, [&] {
    return stack_->sql().Value(
               "SELECT count(*) >= 8 FROM order_sagas WHERE state = 'compensating' AND needs_attention") == "t";
  })) << stack_->sql().Value("SELECT string_agg(state::text, ' ') FROM order_sagas WHERE lease_until IS NOT NULL");
  ExpectReady();  // other replicas have the same gateway: nothing is won by taking this one out
  stack_->RestartSandbox();
  ExpectWork();
  EXPECT_GT(load_->turned_back(), 0);
  ExpectNothingLost();
}

TEST_F(OutagesTest, AGatewayThatRestartsTurnsNoOrderBack) {
  Start(nullptr, nullptr, {});
  stack_->KillSandbox();
  // Longer than all attempts last by themselves.
  EXPECT_TRUE(Eventually(
      kLongEnough,
      [&] {
        return stack_->sql().Value("SELECT count(*) >= 8 FROM order_sagas WHERE state = 'running' AND attempt > 6") ==
               "t";
      }))
      << stack_->sql().Value(
             "SELECT string_agg(state || ' ' || attempt, ', ') FROM order_sagas WHERE lease_until IS NOT NULL");
  stack_->RestartSandbox();
  ExpectWork();
  ExpectNothingLost();
  EXPECT_EQ(load_->turned_back(), 0);
}

}  // namespace
}  // namespace waybill::testing
