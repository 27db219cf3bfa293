#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <string>
#include <vector>

#include "edge/amqp/publisher.h"
#include "edge/amqp/topology.h"
#include "runtime/status.h"
#include "tests/edge/amqp/world.h"
#include "tests/support/eventually.h"
#include "tests/support/rabbitmq.h"

namespace waybill::amqp {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;
using waybill::testing::NewQueueName;
using waybill::testing::RabbitmqServer;
using waybill::testing::SharedRabbitmq;

std::string ReasonOf(const absl::Status& status) { return status.ok() ? "OK" : GetErrorDetail(status).reason; }

class PublisherTest : public ::testing::Test {
 protected:
  PublisherTest() : connection_(Connection::Open(OptionsOf(SharedRabbitmq().Url())).value()) {
    options_.connection = OptionsOf(SharedRabbitmq().Url());
  }

  Publisher& publisher() {
    if (!publisher_) {
      publisher_.emplace(options_, world_.clock, world_.random, world_.publisher_metrics, world_.log);
      publisher_->Start(world_.loops);
    }
    return *publisher_;
  }

  World world_;
  PublisherOptions options_;
  const std::unique_ptr<Connection> connection_;
  std::optional<Publisher> publisher_;
};

TEST_F(PublisherTest, ConfirmsWhatIsInItsQueue) {
  const std::string queue = NewQueueName("confirmed");
  ASSERT_TRUE(connection_->DeclareQueue(queue).ok());
  Message message = Text("m-1");
  message.content_type = "application/json";
  message.correlation_id = "c-1";
  message.reply_to = "answers";
  message.timestamp = absl::FromUnixSeconds(1'800'000'000);
  message.headers = {{"text", std::string("words")},
                     {"number", int64_t{-7}},
                     {"yes", true},
                     {"half", 0.5},
                     {"then", absl::FromUnixSeconds(5)}};
  ASSERT_EQ(PublishAndWait(publisher(), queue, message), absl::OkStatus());

  const std::optional<Arrived> arrived = connection_->Get(queue).value();
  ASSERT_TRUE(arrived.has_value());
  EXPECT_EQ(arrived->message.body, "m-1");
  EXPECT_EQ(arrived->message.content_type, "application/json");
  EXPECT_EQ(arrived->message.correlation_id, "c-1");
  EXPECT_EQ(arrived->message.reply_to, "answers");
  EXPECT_EQ(arrived->message.message_id, "m-1");
  EXPECT_EQ(arrived->message.timestamp, absl::FromUnixSeconds(1'800'000'000));
  EXPECT_TRUE(arrived->message.persistent);
  for (const auto& [name, value] : message.headers) {
    const HeaderValue* found = FindHeader(arrived->message.headers, name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(*found, value) << name;
  }
}

TEST_F(PublisherTest, ConfirmsThousandsInWhateverOrderTheyCome) {
  const std::string one = NewQueueName("many"), other = NewQueueName("many");
  ASSERT_TRUE(connection_->DeclareQueue(one).ok());
  ASSERT_TRUE(connection_->DeclareQueue(other).ok());
  constexpr int kMessages = 4'000;
  std::atomic<int> confirmed = 0, told = 0;
  for (int i = 0; i < kMessages; ++i) {
    publisher().Publish(i % 3 == 0 ? one : other, Text(std::to_string(i)), [&](const absl::Status& status) {
      confirmed += status.ok() ? 1 : 0;
      ++told;
    });
  }
  EXPECT_TRUE(waybill::testing::Eventually(kPatience, [&] { return told == kMessages; }));
  EXPECT_EQ(confirmed, kMessages);
  EXPECT_EQ(connection_->CountReady(one).value() + connection_->CountReady(other).value(), kMessages);
}

TEST_F(PublisherTest, SaysWhichMessageNoQueueTakes) {
  const std::string queue = NewQueueName("there");
  ASSERT_TRUE(connection_->DeclareQueue(queue).ok());
  std::vector<absl::Status> results(20);
  std::atomic<int> told = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    publisher().Publish(i % 2 == 0 ? queue : queue + "-not", Text("m"), [&results, &told, i](absl::Status status) {
      results[i] = std::move(status);
      ++told;
    });
  }
  ASSERT_TRUE(waybill::testing::Eventually(kPatience, [&] { return told == 20; }));
  for (size_t i = 0; i < results.size(); ++i) {
    EXPECT_EQ(ReasonOf(results[i]), i % 2 == 0 ? "OK" : "MESSAGE_UNROUTABLE") << i;
  }
}

TEST_F(PublisherTest, SaysThatAFullQueueRefuses) {
  const std::string queue = NewQueueName("full");
  QueueArguments arguments;
  arguments.max_length = 1;
  arguments.refuse_when_full = true;
  ASSERT_TRUE(connection_->DeclareQueue(queue, arguments).ok());
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), queue, Text("a"))), "OK");
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), queue, Text("b"))), "MESSAGE_REFUSED");
  EXPECT_EQ(connection_->CountReady(queue).value(), 1);
}

TEST_F(PublisherTest, WaitsForABlockedBrokerNoLongerThanItWasTold) {
  const std::string queue = NewQueueName("blocked");
  ASSERT_TRUE(connection_->DeclareQueue(queue).ok());
  options_.confirm_timeout = absl::Seconds(2);
  options_.waiting_max = 200;
  ASSERT_EQ(ReasonOf(PublishAndWait(publisher(), queue, Text("before"))), "OK");
  ASSERT_TRUE(SharedRabbitmq().Control({"set_vm_memory_high_watermark", "0.000001"}).ok());
  ASSERT_TRUE(waybill::testing::Eventually(
      kPatience, [&] { return ReasonOf(PublishAndWait(publisher(), queue, Text("probe"))) == "MESSAGE_UNCONFIRMED"; }));
  // It is known by now, and nothing is sent any more, however much it is.
  std::vector<absl::Status> results(100);
  std::atomic<int> told = 0;
  const absl::Time begun = absl::Now();
  for (size_t i = 0; i < results.size(); ++i) {
    publisher().Publish(queue, Text(std::string(100'000, 'x')), [&results, &told, i](absl::Status status) {
      results[i] = std::move(status);
      ++told;
    });
  }
  ASSERT_TRUE(waybill::testing::Eventually(kPatience, [&] { return told == 100; }));
  EXPECT_LT(absl::Now() - begun, absl::Seconds(15));
  for (const absl::Status& result : results) {
    EXPECT_EQ(ReasonOf(result), "BROKER_UNAVAILABLE");
    EXPECT_THAT(std::string(result.message()), HasSubstr("low on memory"));
  }
  ASSERT_TRUE(SharedRabbitmq().Control({"set_vm_memory_high_watermark", "0.9"}).ok());
  EXPECT_TRUE(
      waybill::testing::Eventually(kPatience, [&] { return PublishAndWait(publisher(), queue, Text("after")).ok(); }));
}

// The alarm is not known yet when much is sent: the broker reads none of it, and librabbitmq would wait for ever.
TEST_F(PublisherTest, AWriteThatIsNotTakenEndsTheConnection) {
  const std::string queue = NewQueueName("stuck");
  options_.confirm_timeout = absl::Seconds(3);
  options_.connection.write_timeout = absl::Seconds(2);
  options_.connection.heartbeat = absl::Seconds(60);
  ASSERT_TRUE(connection_->DeclareQueue(queue).ok());
  ASSERT_TRUE(SharedRabbitmq().Control({"set_vm_memory_high_watermark", "0.000001"}).ok());
  const std::string big(30'000'000, 'x');
  const absl::Time begun = absl::Now();
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), queue, Text(big))), "MESSAGE_UNCONFIRMED");
  EXPECT_LT(absl::Now() - begun, absl::Seconds(20));
  ASSERT_TRUE(SharedRabbitmq().Control({"set_vm_memory_high_watermark", "0.9"}).ok());
  EXPECT_TRUE(
      waybill::testing::Eventually(kPatience, [&] { return PublishAndWait(publisher(), queue, Text("after")).ok(); }));
}

TEST_F(PublisherTest, TakesNoMoreThanItsLimit) {
  options_.waiting_max = 1;
  options_.connection.address.port = 1;  // nobody is there
  options_.confirm_timeout = absl::Milliseconds(500);
  std::promise<absl::Status> first;
  publisher().Publish("q", Text("a"), [&](absl::Status status) { first.set_value(std::move(status)); });
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), "q", Text("b"))), "QUEUE_FULL");
  const absl::Status unsent = first.get_future().get();
  EXPECT_EQ(ReasonOf(unsent), "BROKER_UNAVAILABLE");
  EXPECT_THAT(std::string(unsent.message()), HasSubstr("amqp://127.0.0.1:1/"));
}

TEST_F(PublisherTest, TakesNoMoreBytesThanItsLimit) {
  options_.waiting_bytes_max = 1'000;
  options_.connection.address.port = 1;
  options_.confirm_timeout = absl::Seconds(3);
  std::promise<absl::Status> first;
  const auto take = [&](absl::Status status) { first.set_value(std::move(status)); };
  publisher().Publish("q", Text(std::string(5'000, 'x')), take);  // one may be larger than that
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), "q", Text("b"))), "QUEUE_FULL");
  EXPECT_EQ(ReasonOf(first.get_future().get()), "BROKER_UNAVAILABLE");
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), "q", Text("c"))), "BROKER_UNAVAILABLE");
}

TEST_F(PublisherTest, RefusesWhatAmqpCannotCarryAndGoesOn) {
  const std::string queue = NewQueueName("long");
  ASSERT_TRUE(connection_->DeclareQueue(queue).ok());
  Message message = Text("m");
  message.correlation_id = std::string(300, 'x');
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), queue, message)), "BAD_REQUEST");
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), queue, Text("n"))), "OK");
}

TEST_F(PublisherTest, TellsThoseThatWaitWhenItStops) {
  options_.connection.address.port = 1;
  std::promise<absl::Status> waiting;
  publisher().Publish("q", Text("a"), [&](absl::Status status) { waiting.set_value(std::move(status)); });
  publisher().Stop(world_.clock.Steady());
  EXPECT_EQ(ReasonOf(waiting.get_future().get()), "BROKER_UNAVAILABLE");
  EXPECT_EQ(ReasonOf(PublishAndWait(publisher(), "q", Text("b"))), "BROKER_UNAVAILABLE");
}

// Unknown is not failure: what was sent may be in its queue.
TEST(PublisherOfASilentBroker, SaysOfWhatItSentThatNobodyKnowsAndStopsInTime) {
  const std::unique_ptr<RabbitmqServer> server = RabbitmqServer::Start().value();
  ASSERT_TRUE(Connection::Open(OptionsOf(server->Url())).value()->DeclareQueue("q").ok());
  World world;
  PublisherOptions options;
  options.connection = OptionsOf(server->Url());
  options.connection.heartbeat = absl::Seconds(60);
  options.in_flight_max = 1;
  Publisher publisher(options, world.clock, world.random, world.publisher_metrics, world.log);
  publisher.Start(world.loops);
  ASSERT_EQ(ReasonOf(PublishAndWait(publisher, "q", Text("before"))), "OK");
  ASSERT_TRUE(server->Signal(SIGSTOP));
  std::promise<absl::Status> sent, waiting;
  publisher.Publish("q", Text("sent"), [&](absl::Status status) { sent.set_value(std::move(status)); });
  publisher.Publish("q", Text("waiting"), [&](absl::Status status) { waiting.set_value(std::move(status)); });
  const SteadyTime deadline = world.clock.Steady() + absl::Seconds(1);
  publisher.Stop(deadline);
  EXPECT_LT(world.clock.Steady() - deadline, absl::Seconds(3));
  ASSERT_TRUE(server->Signal(SIGCONT));
  EXPECT_EQ(ReasonOf(sent.get_future().get()), "MESSAGE_UNCONFIRMED");
  EXPECT_EQ(ReasonOf(waiting.get_future().get()), "BROKER_UNAVAILABLE");
  EXPECT_THAT(world.metrics.ToText(), HasSubstr("waybill_amqp_confirms_total{outcome=\"unconfirmed\"} 1\n"));
}

TEST(AmqpConnection, SaysWhoRefusesWhatAndNoSecret) {
  ConnectionOptions options = OptionsOf(SharedRabbitmq().Url());
  options.address.password = "wrong-secret";
  const absl::Status login = Connection::Open(options).status();
  EXPECT_EQ(ReasonOf(login), "BROKER_REFUSED");
  EXPECT_THAT(std::string(login.message()), HasSubstr("ACCESS_REFUSED"));
  EXPECT_THAT(std::string(login.message()), Not(HasSubstr("wrong-secret")));

  const absl::Status host = Connection::Open(OptionsOf(SharedRabbitmq().Url("nowhere"))).status();
  EXPECT_EQ(ReasonOf(host), "BROKER_REFUSED");
  EXPECT_THAT(std::string(host.message()), HasSubstr("nowhere"));
}

TEST(AmqpConnection, BelievesABrokerOverTlsOnlyWithACertificateOfItsName) {
  ConnectionOptions options = OptionsOf(SharedRabbitmq().TlsUrl());
  options.ca = SharedRabbitmq().ca_file();
  const std::unique_ptr<Connection> connection = Connection::Open(options).value();
  const std::string queue = NewQueueName("tls");
  ASSERT_TRUE(connection->DeclareQueue(queue).ok());
  // Of several records, in both directions.
  ASSERT_TRUE(connection->Publish(queue, Text(std::string(300'000, 'x'))).ok());
  ASSERT_TRUE(waybill::testing::Eventually(kPatience, [&] { return connection->CountReady(queue).value_or(0) == 1; }));
  ASSERT_TRUE(connection->Consume(queue).ok());
  std::optional<Event> event;
  ASSERT_TRUE(waybill::testing::Eventually(kPatience, [&] {
    event = connection->Next().value();
    return event.has_value();
  }));
  EXPECT_EQ(std::get<Arrived>(*event).message.body.size(), 300'000u);

  ConnectionOptions unknown = options;
  unknown.ca.clear();  // this machine does not know who vouches for it
  EXPECT_EQ(ReasonOf(Connection::Open(unknown).status()), "BROKER_REFUSED");
  ConnectionOptions no_file = options;
  no_file.ca = "/no/such/file";
  EXPECT_EQ(ReasonOf(Connection::Open(no_file).status()), "BROKER_REFUSED");
  ConnectionOptions plain = options;
  plain.address = ParseUrl(SharedRabbitmq().Url()).value();
  plain.address.tls = true;  // TLS to a port that speaks none
  EXPECT_EQ(ReasonOf(Connection::Open(plain).status()), "BROKER_UNAVAILABLE");
  ConnectionOptions other_name = options;
  other_name.address = ParseUrl(SharedRabbitmq().TlsUrl("127.1")).value();  // the same address
  EXPECT_EQ(ReasonOf(Connection::Open(other_name).status()), "BROKER_REFUSED");
}

TEST(AmqpConnection, SaysThatAQueueIsDeclaredOtherwiseOrNotAtAll) {
  const std::string queue = NewQueueName("otherwise");
  QueueArguments arguments;
  arguments.max_length = 5;
  ASSERT_TRUE(Connection::Open(OptionsOf(SharedRabbitmq().Url())).value()->DeclareQueue(queue, arguments).ok());
  const absl::Status other = Connection::Open(OptionsOf(SharedRabbitmq().Url())).value()->DeclareQueue(queue);
  EXPECT_EQ(ReasonOf(other), "BROKER_REFUSED");
  EXPECT_THAT(std::string(other.message()), HasSubstr("x-max-length"));
  EXPECT_EQ(ReasonOf(Connection::Open(OptionsOf(SharedRabbitmq().Url())).value()->CountReady("none").status()),
            "BROKER_QUEUE_NOT_FOUND");
}

}  // namespace
}  // namespace waybill::amqp
