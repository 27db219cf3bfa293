#include "services/ledger/broker_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace waybill::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(BrokerSettings, AreOffWithoutAUrl) { EXPECT_EQ(BrokerOptionsOf({}).value(), std::nullopt); }

TEST(BrokerSettings, SayWhereAndHow) {
  BrokerSettings settings;
  settings.url = "amqps://shop:secret@broker/pay";
  settings.ca = "/etc/ca.pem";
  settings.client = "shop";
  settings.prefetch = 9;
  settings.retry_delays = "0s,250ms,1m";
  const BrokerOptions options = BrokerOptionsOf(settings).value().value();
  EXPECT_TRUE(options.connection.address.tls);
  EXPECT_EQ(options.connection.address.password, "secret");
  EXPECT_EQ(options.connection.ca, "/etc/ca.pem");
  EXPECT_EQ(options.client, "shop");
  EXPECT_EQ(options.prefetch, 9);
  EXPECT_THAT(options.delays, ElementsAre(absl::ZeroDuration(), absl::Milliseconds(250), absl::Minutes(1)));
  settings.retry_delays = "";
  EXPECT_TRUE(BrokerOptionsOf(settings).value()->delays.empty());
}

TEST(BrokerSettings, NameWhatIsWrongAndNoSecret) {
  const auto complaint = [](const BrokerSettings& settings) {
    const absl::Status status = BrokerOptionsOf(settings).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    return std::string(status.message());
  };
  EXPECT_THAT(complaint({.url = "http://shop:secret@broker"}), HasSubstr("--amqp-url"));
  EXPECT_THAT(complaint({.url = "http://shop:secret@broker"}), Not(HasSubstr("secret")));
  EXPECT_THAT(complaint({.ca = "ca.pem"}), HasSubstr("--amqp-ca"));
  EXPECT_THAT(complaint({.url = "amqp://broker", .ca = "ca.pem"}), HasSubstr("amqps"));
  EXPECT_THAT(complaint({.client = ""}), HasSubstr("--amqp-client"));
  EXPECT_THAT(complaint({.client = "(waybill)"}), HasSubstr("--amqp-client: names that begin with"));
  for (const char* delays : {"soon", "-1s", "25h", "1us", "1s,,2s", "1s;2s", "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"}) {
    EXPECT_THAT(complaint({.retry_delays = delays}), HasSubstr("--amqp-retry-delays")) << delays;
  }
}

}  // namespace
}  // namespace waybill::ledger
