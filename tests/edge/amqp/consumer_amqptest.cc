#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>

#include "edge/amqp/consumer.h"
#include "edge/amqp/dead_letters.h"
#include "fmt/format.h"
#include "tests/edge/amqp/world.h"
#include "tests/support/eventually.h"
#include "tests/support/rabbitmq.h"

namespace waybill::amqp {
namespace {

using ::testing::HasSubstr;
using waybill::testing::Eventually;
using waybill::testing::NewQueueName;
using waybill::testing::RabbitmqServer;
using waybill::testing::SharedRabbitmq;

// A publisher and a consumer of one queue.
class Pair {
 public:
  Pair(World& world, const std::string& url, std::string queue, Handler handler,
       std::vector<absl::Duration> delays = {}, uint16_t prefetch = 64, absl::Duration pause = absl::Milliseconds(20),
       size_t body_bytes_max = 1 << 20)
      : world_(world), metrics_(world.metrics, queue) {
    PublisherOptions publishing;
    publishing.connection = OptionsOf(url);
    publisher_.emplace(publishing, world.clock, world.random, world.publisher_metrics, world.log);
    ConsumerOptions consuming;
    consuming.connection = OptionsOf(url);
    consuming.queue = {std::move(queue), std::move(delays)};
    consuming.prefetch = prefetch;
    consuming.body_bytes_max = body_bytes_max;
    consuming.pause_initial = pause;
    consuming.pause_max = 5 * pause;
    consumer_.emplace(consuming, std::move(handler), *publisher_, world.clock, world.random, metrics_, world.log);
    publisher_->Start(world.loops);
    consumer_->Start(world.loops);
  }
  ~Pair() { Stop(); }

  void Stop() {
    consumer_->Stop(world_.Soon());
    publisher_->Stop(world_.Soon());
  }
  void StopConsumer(SteadyTime deadline) { consumer_->Stop(deadline); }
  Publisher& publisher() { return *publisher_; }

 private:
  World& world_;
  ConsumerMetrics metrics_;
  std::optional<Publisher> publisher_;
  std::optional<Consumer> consumer_;
};

int64_t Ready(const std::string& url, const std::string& queue) {
  return Connection::Open(OptionsOf(url)).value()->CountReady(queue).value_or(-1);
}

// As RabbitMQ counts them, in its own time.
int Consumers(const std::string& queue) {
  const std::string all = SharedRabbitmq().Control({"-q", "list_queues", "name", "consumers"}).value();
  const size_t at = all.find(queue + "\t");
  return at == std::string::npos ? -1 : std::atoi(all.c_str() + at + queue.size() + 1);
}

absl::Status PublishWhenDeclared(Publisher& publisher, const std::string& queue, const Message& message) {
  absl::Status status;
  Eventually(kPatience, [&] { return (status = PublishAndWait(publisher, queue, message)).ok(); });
  return status;
}

class ConsumerTest : public ::testing::Test {
 protected:
  const std::string url_ = SharedRabbitmq().Url();
  World world_;
  Deliveries deliveries_;
};

TEST_F(ConsumerTest, AcksWhatIsDoneAndNothingElse) {
  const std::string queue = NewQueueName("acks");
  {
    Pair pair(world_, url_, queue, deliveries_.handler());
    for (const char* body : {"a", "b", "c"}) ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text(body)).ok());
    deliveries_.Take();
    std::optional<Deliveries::Taken> b = deliveries_.Take();
    deliveries_.Take();
    ASSERT_TRUE(b.has_value());
    EXPECT_EQ(b->delivery->message.body, "b");
    b->answer({Outcome::kDone});
    pair.StopConsumer(world_.clock.Steady() + absl::Milliseconds(300));  // nobody answers for the others
  }
  ASSERT_TRUE(Eventually(kPatience, [&] { return Ready(url_, queue) == 2; }));
  Pair again(world_, url_, queue, deliveries_.handler());
  for (const char* body : {"a", "c"}) {
    std::optional<Deliveries::Taken> taken = deliveries_.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->message.body, body);
    EXPECT_TRUE(taken->delivery->redelivered);
    EXPECT_EQ(taken->delivery->attempts, 0);
    taken->answer({Outcome::kDone});
  }
  again.Stop();
  EXPECT_EQ(Ready(url_, queue), 0);
}

TEST_F(ConsumerTest, TakesNoMoreThanItsPrefetch) {
  const std::string queue = NewQueueName("prefetch");
  Pair pair(world_, url_, queue, deliveries_.handler(), {}, 2);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text(std::to_string(i))).ok());
  std::optional<Deliveries::Taken> first = deliveries_.Take();
  ASSERT_TRUE(deliveries_.Take().has_value());
  EXPECT_EQ(Ready(url_, queue), 3);
  first->answer({Outcome::kDone});
  EXPECT_TRUE(deliveries_.Take().has_value());
  EXPECT_EQ(Ready(url_, queue), 2);
  pair.StopConsumer(world_.clock.Steady());
}

TEST_F(ConsumerTest, TriesAgainAtOnceThenLaterAndThenItIsDead) {
  const std::string queue = NewQueueName("tiers");
  Pair pair(world_, url_, queue, deliveries_.handler(), {absl::ZeroDuration(), absl::Milliseconds(150)});
  Message message = Text("poison");
  message.headers = {{"theirs", std::string("kept")}};
  message.correlation_id = "c-7";
  ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, message).ok());
  absl::Time first_seen;
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::optional<Deliveries::Taken> taken = deliveries_.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->attempts, attempt);
    if (attempt == 0) {
      first_seen = taken->delivery->first_seen;
    } else {
      EXPECT_EQ(TimeText(taken->delivery->first_seen), TimeText(first_seen));
    }
    taken->answer({Outcome::kRetry, "NOT_TODAY", "attempt " + std::to_string(attempt)});
  }
  ASSERT_TRUE(Eventually(kPatience, [&] { return Ready(url_, DeadQueue(queue)) == 1; }));
  pair.Stop();
  EXPECT_EQ(Ready(url_, queue), 0);
  const std::unique_ptr<DeadLetterQueue> dead = DeadLetterQueue::Open(OptionsOf(url_), queue, world_.clock).value();
  const std::optional<DeadLetter> letter = dead->Next().value();
  ASSERT_TRUE(letter.has_value());
  EXPECT_EQ(letter->id, "poison");
  EXPECT_EQ(letter->queue, queue);
  EXPECT_EQ(letter->reason, "NOT_TODAY");
  EXPECT_EQ(letter->detail, "attempt 2");
  EXPECT_EQ(letter->attempts, 3);
  EXPECT_EQ(TimeText(letter->first_seen), TimeText(first_seen));
  EXPECT_EQ(letter->message.body, "poison");
  EXPECT_EQ(letter->message.correlation_id, "c-7");
  EXPECT_EQ(HeaderText(letter->message.headers, "theirs"), "kept");
}

TEST_F(ConsumerTest, IsDeadAtOnceWhereNoAttemptHelps) {
  const std::string queue = NewQueueName("dead");
  Pair pair(world_, url_, queue, deliveries_.handler(), {absl::Seconds(30)});
  ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text("{")).ok());
  deliveries_.Take()->answer({Outcome::kDead, "MALFORMED_REQUEST", std::string(3'000, 'x')});
  ASSERT_TRUE(Eventually(kPatience, [&] { return Ready(url_, DeadQueue(queue)) == 1; }));
  pair.Stop();
  const std::unique_ptr<DeadLetterQueue> dead = DeadLetterQueue::Open(OptionsOf(url_), queue, world_.clock).value();
  const std::optional<DeadLetter> letter = dead->Next().value();
  EXPECT_EQ(letter->reason, "MALFORMED_REQUEST");
  EXPECT_EQ(letter->detail.size(), 1'000u);
  EXPECT_EQ(letter->attempts, 1);
}

TEST_F(ConsumerTest, PausesWithoutCountingAnAttempt) {
  const std::string queue = NewQueueName("pause");
  Pair pair(world_, url_, queue, deliveries_.handler(), {absl::ZeroDuration()});
  ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text("m")).ok());
  for (int i = 0; i < 4; ++i) {
    std::optional<Deliveries::Taken> taken = deliveries_.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->attempts, 0);
    EXPECT_FALSE(taken->delivery->redelivered);
    taken->answer({i < 3 ? Outcome::kPause : Outcome::kDone, "STORE_UNAVAILABLE"});
  }
  pair.Stop();
  EXPECT_EQ(Ready(url_, queue), 0);
  EXPECT_EQ(Ready(url_, DeadQueue(queue)), 0);
}

// An ack of a later message that is done says nothing of an earlier one that pauses: it is in the queue again.
TEST_F(ConsumerTest, WhatPausesWhenItStopsIsGivenBackThoughALaterOneIsDone) {
  const std::string queue = NewQueueName("stop-pausing");
  Pair pair(world_, url_, queue, deliveries_.handler(), {}, 2, absl::Hours(1));
  for (const char* body : {"a", "b", "c"}) ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text(body)).ok());
  std::optional<Deliveries::Taken> a = deliveries_.Take();
  std::optional<Deliveries::Taken> b = deliveries_.Take();
  ASSERT_TRUE(a && b);
  ASSERT_EQ(b->delivery->message.body, "b");
  a->answer({Outcome::kPause, "STORE_UNAVAILABLE"});
  ASSERT_TRUE(Eventually(kPatience, [&] {
    return world_.metrics.ToText().find(fmt::format(R"(waybill_amqp_deliveries_total{{outcome="pause",queue="{}"}} 1)",
                                                    queue)) != std::string::npos;
  }));
  std::thread stop([&] { pair.StopConsumer(world_.clock.Steady() + 2 * kPatience); });
  EXPECT_TRUE(Eventually(kPatience, [&] { return Consumers(queue) == 0; }));
  b->answer({Outcome::kDone});
  const SteadyTime told = world_.clock.Steady();
  stop.join();
  EXPECT_LT(world_.clock.Steady() - told, absl::Seconds(10)) << "it waited for what only pauses";
  ASSERT_TRUE(Eventually(kPatience, [&] { return Ready(url_, queue) == 2; })) << "a is lost, or b is not acked";
  Deliveries again;
  Pair next(world_, url_, queue, again.handler());
  for (const char* body : {"a", "c"}) {
    std::optional<Deliveries::Taken> taken = again.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->message.body, body);
    taken->answer({Outcome::kDone});
  }
}

// However large a message is, its beginning is all that is kept.
TEST_F(ConsumerTest, KeepsTheBeginningOfABodyThatIsTooLarge) {
  const std::string queue = NewQueueName("large");
  Pair pair(world_, url_, queue, deliveries_.handler(), {absl::ZeroDuration()}, 64, absl::Milliseconds(20), 1'000);
  for (const size_t bytes : {size_t{5'000'000}, size_t{1'001}, size_t{1'000}}) {
    ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text(std::string(bytes, 'x'))).ok());
  }
  for (const uint64_t bytes : {5'000'000u, 1'001u, 1'000u}) {
    std::optional<Deliveries::Taken> taken = deliveries_.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->body_bytes, bytes);
    EXPECT_EQ(taken->delivery->too_large, bytes > 1'000);
    EXPECT_EQ(taken->delivery->message.body.size(), bytes > 1'000 ? 0u : 1'000u);
    taken->answer({bytes == 5'000'000 ? Outcome::kRetry : bytes == 1'001 ? Outcome::kDead : Outcome::kDone, "LARGE"});
  }
  std::optional<Deliveries::Taken> again = deliveries_.Take();  // cut, and known to be
  ASSERT_TRUE(again.has_value());
  EXPECT_TRUE(again->delivery->too_large);
  EXPECT_EQ(again->delivery->body_bytes, 5'000'000u);
  again->answer({Outcome::kDead, "LARGE"});
  ASSERT_TRUE(Eventually(kPatience, [&] { return Ready(url_, DeadQueue(queue)) == 2; }));
  pair.Stop();
  const std::unique_ptr<DeadLetterQueue> dead = DeadLetterQueue::Open(OptionsOf(url_), queue, world_.clock).value();
  for (const int64_t bytes : {1'001, 5'000'000}) {
    const std::optional<DeadLetter> letter = dead->Next().value();
    ASSERT_TRUE(letter.has_value());
    EXPECT_EQ(letter->message.body, std::string(1'000, 'x'));
    EXPECT_EQ(HeaderInteger(letter->message.headers, kBodyBytesHeader), bytes);
  }
}

TEST_F(ConsumerTest, DropsHeadersThatAreTooMany) {
  const std::string queue = NewQueueName("headers");
  Pair pair(world_, url_, queue, deliveries_.handler(), {absl::ZeroDuration()});
  for (const size_t headers : {kHeadersCountMax, kHeadersCountMax + 1}) {
    Message message = Text("m");
    while (message.headers.size() < headers - 1) {  // and the publisher's
      message.headers.emplace_back(std::to_string(message.headers.size()), true);
    }
    ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, message).ok());
    std::optional<Deliveries::Taken> taken = deliveries_.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->message.headers.size(), headers > kHeadersCountMax ? 0 : headers);
    taken->answer({Outcome::kRetry, "AGAIN"});
    taken = deliveries_.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->attempts, 1);
    taken->answer({Outcome::kDone});
  }
}

TEST_F(ConsumerTest, DeclaresItsQueueAgainWhenSomebodyDeletesIt) {
  const std::string queue = NewQueueName("deleted");
  Pair pair(world_, url_, queue, deliveries_.handler());
  ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text("a")).ok());
  ASSERT_TRUE(deliveries_.Take().has_value());
  ASSERT_TRUE(SharedRabbitmq().Control({"delete_queue", queue}).ok());
  ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text("b")).ok());
  std::optional<Deliveries::Taken> taken = deliveries_.Take();
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->delivery->message.body, "b");
  taken->answer({Outcome::kDone});
}

TEST_F(ConsumerTest, DeadLettersGoBackAndAreGivenUpOneByOne) {
  const std::string queue = NewQueueName("redrive");
  {
    Pair pair(world_, url_, queue, deliveries_.handler());
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text(std::to_string(i))).ok());
    for (int i = 0; i < 4; ++i) deliveries_.Take()->answer({Outcome::kDead, "WHY", "said"});
    ASSERT_TRUE(Eventually(kPatience, [&] { return Ready(url_, DeadQueue(queue)) == 4; }));
  }
  const std::unique_ptr<DeadLetterQueue> dead = DeadLetterQueue::Open(OptionsOf(url_), queue, world_.clock).value();
  EXPECT_EQ(dead->count(), 4);
  for (int i = 0; i < 4; ++i) {
    const std::optional<DeadLetter> letter = dead->Next().value();
    ASSERT_TRUE(letter.has_value());
    if (i < 3) {
      ASSERT_EQ(i < 2 ? dead->Redrive(*letter) : dead->Discard(*letter), absl::OkStatus());
    }
  }
  EXPECT_EQ(dead->Next().value(), std::nullopt);
  dead->Close();
  EXPECT_EQ(Ready(url_, DeadQueue(queue)), 1);  // the last was looked at, and left
  EXPECT_EQ(Ready(url_, queue), 2);
  Pair again(world_, url_, queue, deliveries_.handler());
  for (int i = 0; i < 2; ++i) {
    std::optional<Deliveries::Taken> taken = deliveries_.Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->delivery->attempts, 0);
    EXPECT_EQ(HeaderInteger(taken->delivery->message.headers, kRedrivesHeader), 1);
    EXPECT_EQ(HeaderText(taken->delivery->message.headers, kReasonHeader), "");
    taken->answer({Outcome::kDone});
  }
}

// Books by id, as the ledger does: the second time changes nothing.
class Books {
 public:
  Handler handler() {
    return [this](const std::shared_ptr<const Delivery>& delivery, Answer answer) {
      {
        const std::lock_guard lock(mutex_);
        booked_.insert(delivery->message.message_id);
        ++handled_;
      }
      answer({Outcome::kDone});
    };
  }
  std::set<std::string> booked() const {
    const std::lock_guard lock(mutex_);
    return booked_;
  }
  size_t handled() const {
    const std::lock_guard lock(mutex_);
    return handled_;
  }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> booked_;
  size_t handled_ = 0;
};

class BrokenBroker : public ::testing::TestWithParam<bool> {};

// It ends in the middle of a thousand messages, as told by the parameter, and comes back.
TEST_P(BrokenBroker, LosesNothingAndBooksNothingTwice) {
  const bool cleanly = GetParam();
  const std::unique_ptr<RabbitmqServer> server = RabbitmqServer::Start().value();
  World world;
  Books books;
  const std::string queue = "load";
  Pair pair(world, server->Url(), queue, books.handler());
  ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), queue, Text("first")).ok());
  constexpr int kMessages = 6'000;
  std::mutex mutex;
  std::set<std::string> confirmed = {"first"};
  std::atomic<int> told = 0;
  for (int i = 0; i < kMessages; ++i) {
    const std::string id = "m-" + std::to_string(i);
    pair.publisher().Publish(queue, Text(id), [&, id](const absl::Status& status) {
      const std::lock_guard lock(mutex);
      if (status.ok()) confirmed.insert(id);
      ++told;
    });
  }
  ASSERT_TRUE(Eventually(kPatience, [&] { return told > 500; }));
  if (cleanly) {
    server->StopCleanly();
  } else {
    server->Kill();
  }
  EXPECT_LT(told, kMessages) << "it was all over before the broker was";
  ASSERT_EQ(server->StartAgain(), absl::OkStatus());
  ASSERT_TRUE(Eventually(absl::Seconds(120), [&] { return told == kMessages; }));
  // Beside those that are ready, a prefetch of them may be on the way.
  const auto all_booked = [&] {
    const std::set<std::string> booked = books.booked();
    return std::includes(booked.begin(), booked.end(), confirmed.begin(), confirmed.end());
  };
  EXPECT_TRUE(Eventually(kPatience, all_booked));
  ASSERT_TRUE(Eventually(kPatience, [&] { return Ready(server->Url(), queue) == 0; }));
  pair.Stop();
  const std::set<std::string> booked = books.booked();
  for (const std::string& id : confirmed) EXPECT_EQ(booked.count(id), 1u) << id;
  EXPECT_GT(confirmed.size(), 500u);
  EXPECT_GE(books.handled(), booked.size());
  EXPECT_EQ(Ready(server->Url(), queue), 0);
}

INSTANTIATE_TEST_SUITE_P(HoweverItEnds, BrokenBroker, ::testing::Bool(),
                         [](const auto& told) { return told.param ? "Cleanly" : "Killed"; });

TEST(ConsumerOfASlowHandler, GetsItsMessageAgainWhenTheBrokerWillNotWait) {
  const std::unique_ptr<RabbitmqServer> server = RabbitmqServer::Start({"consumer_timeout = 1000"}).value();
  World world;
  Deliveries deliveries;
  Pair pair(world, server->Url(), "slow", deliveries.handler());
  ASSERT_TRUE(PublishWhenDeclared(pair.publisher(), "slow", Text("m")).ok());
  std::optional<Deliveries::Taken> first = deliveries.Take();
  ASSERT_TRUE(first.has_value());
  std::optional<Deliveries::Taken> second = deliveries.Take();
  ASSERT_TRUE(second.has_value());
  EXPECT_TRUE(second->delivery->redelivered);
  first->answer({Outcome::kDead, "LATE", ""});  // of a connection that is gone: nobody hears it
  second->answer({Outcome::kDone});
  pair.Stop();
  EXPECT_EQ(Ready(server->Url(), "slow"), 0);
  EXPECT_EQ(Ready(server->Url(), "slow.dead"), 0);

  // It says nothing any more: the heartbeat ends the connection.
  Pair other(world, server->Url(), "silent", deliveries.handler());
  ASSERT_TRUE(PublishWhenDeclared(other.publisher(), "silent", Text("m")).ok());
  ASSERT_TRUE(deliveries.Take().has_value());
  ASSERT_TRUE(server->Signal(SIGSTOP));
  EXPECT_TRUE(Eventually(kPatience, [&] {
    return world.metrics.ToText().find(R"(waybill_amqp_connections_total{event="lost",use="silent"} 1)") !=
           std::string::npos;
  }));
  ASSERT_TRUE(server->Signal(SIGCONT));
  std::optional<Deliveries::Taken> back = deliveries.Take();
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(back->delivery->redelivered);
  back->answer({Outcome::kDone});
}

}  // namespace
}  // namespace waybill::amqp
