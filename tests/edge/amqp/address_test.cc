#include "edge/amqp/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "edge/amqp/message.h"
#include "edge/amqp/topology.h"

namespace waybill::amqp {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(AmqpAddress, ReadsAllOfAUrl) {
  const Address address = ParseUrl("amqps://shop:p%40ss%2Fword@broker.example:5999/pay%2Froll").value();
  EXPECT_TRUE(address.tls);
  EXPECT_EQ(address.host, "broker.example");
  EXPECT_EQ(address.port, 5999);
  EXPECT_EQ(address.user, "shop");
  EXPECT_EQ(address.password, "p@ss/word");
  EXPECT_EQ(address.virtual_host, "pay/roll");
}

TEST(AmqpAddress, FillsInWhatIsMissing) {
  const Address plain = ParseUrl("amqp://").value();
  EXPECT_FALSE(plain.tls);
  EXPECT_EQ(plain.port, 5672);
  EXPECT_EQ(plain.user, "guest");
  EXPECT_EQ(plain.virtual_host, "/");
  EXPECT_EQ(ParseUrl("amqps://broker")->port, 5671);
  EXPECT_EQ(ParseUrl("amqp://broker/")->virtual_host, "/");
  EXPECT_EQ(ParseUrl("amqp://[::1]:5672")->host, "::1");
}

TEST(AmqpAddress, SaysNoSecret) {
  EXPECT_EQ(ParseUrl("amqp://shop:secret@broker:5673/x")->Printable(), "amqp://broker:5673/x");
  EXPECT_EQ(ParseUrl("amqps://shop:secret@[::1]/%2F")->Printable(), "amqps://[::1]:5671/");
  for (const char* wrong : {"http://shop:secret@broker", "amqp://shop:secret@broker:port", "shop:secret", "",
                            "amqp://shop:secret@broker/a/b", "amqp://shop:secret@broker/%zz"}) {
    const absl::Status status = ParseUrl(wrong).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << wrong;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret"))) << wrong;
  }
}

TEST(AmqpTopology, NamesAQueueForEachDelay) {
  EXPECT_EQ(RetryQueue("refunds", absl::Seconds(10)), "refunds.retry.10s");
  EXPECT_EQ(RetryQueue("refunds", absl::Milliseconds(1500)), "refunds.retry.1500ms");
  EXPECT_EQ(DeadQueue("refunds"), "refunds.dead");
  EXPECT_EQ(WorkQueueOf("refunds.dead"), "refunds");
  EXPECT_EQ(WorkQueueOf("refunds"), "");
  EXPECT_EQ(WorkQueueOf(".dead"), "");
}

TEST(AmqpMessage, SetsAHeaderInThePlaceOfAnother) {
  Headers headers;
  SetHeader(headers, "a", std::string("1"));
  SetHeader(headers, "b", int64_t{2});
  SetHeader(headers, "a", std::string("3"));
  EXPECT_EQ(headers.size(), 2u);
  EXPECT_EQ(HeaderText(headers, "a"), "3");
  EXPECT_EQ(HeaderText(headers, "b"), "");
  EXPECT_EQ(HeaderInteger(headers, "b"), 2);
  EXPECT_EQ(HeaderInteger(headers, "a"), std::nullopt);
}

TEST(AmqpMessage, IsCheckedForWhatAmqpCannotCarry) {
  Message message;
  message.correlation_id = std::string(255, 'x');
  EXPECT_TRUE(CheckMessage("queue", message).ok());
  message.correlation_id += 'x';
  EXPECT_THAT(std::string(CheckMessage("queue", message).message()), HasSubstr("correlation_id"));
  message.correlation_id.clear();
  message.headers = {{"long", std::string(kHeadersMax, 'x')}};
  EXPECT_THAT(std::string(CheckMessage("queue", message).message()), HasSubstr("headers"));
}

}  // namespace
}  // namespace waybill::amqp
