// Replays over a real socket, whose queue is shorter than what is to be told.
#include <map>
#include <memory>
#include <string>

#include "edge/http/server.h"
#include "gtest/gtest.h"
#include "runtime/scheduler.h"
#include "services/realtime/session.h"
#include "tests/edge/http/websocket_client.h"
#include "tests/services/realtime/followed_orders.h"

namespace waybill::realtime {
namespace {

using nlohmann::json;
using saga::State;

class ReplayTest : public ::testing::Test {
 protected:
  ReplayTest() {
    claims_.tenant = "shop";
    claims_.topics = {"order:*"};
    claims_.expires = clock_.Now() + absl::Hours(1);
    options_.subscriptions_max = 200;
    channels_.Start(ThreadLoops());
    server_ = http::Server::Start({}, metrics_, log_).value();
    server_->Serve("/ws", {"ws"}, [this](const http::ExchangePtr& exchange) {
      exchange->Upgrade({}, kSubprotocol, std::make_shared<Session>(channels_, scheduler_, clock_, options_, claims_));
    });
    client_ = std::make_unique<http::WebSocketClient>(server_->port());
    client_->Upgrade("/ws");
  }
  ~ReplayTest() override {
    server_.reset();
    scheduler_.Stop();
    channels_.Stop();
  }

  void AddOrder(int number, int transitions) {
    orders_.Add(OrderId(static_cast<uint8_t>(number)), "shop", "ann");
    Write(number, transitions);
  }
  void Write(int number, int transitions, State last = State::kRunning) {
    for (int i = 1; i <= transitions; ++i) {
      orders_.Write(OrderId(static_cast<uint8_t>(number)), i == transitions ? last : State::kRunning, "charge_payment");
    }
  }
  void Subscribe(int number) { client_->SendText(json{{"type", "subscribe"}, {"channel", NameOf(number)}}.dump()); }
  static std::string NameOf(int number) { return "order:" + OrderId(static_cast<uint8_t>(number)).ToString(); }
  // Reads until so many events have come in all, each the next of its order.
  void ReadEvents(size_t count) {
    while (count > 0) {
      const std::string text = client_->ReadText();
      const json message = json::parse(text, nullptr, false);
      ASSERT_TRUE(message.is_object()) << text;
      ASSERT_NE(message["type"], "error") << text;
      if (message["type"] != "event") continue;
      ASSERT_EQ(message["offset"].get<int64_t>(), next_[message["channel"].get<std::string>()]++);
      --count;
    }
  }

  SystemClock clock_;
  Metrics metrics_;
  Logger log_{LogFormat::kText, LogLevel::kOff, clock_};
  ThreadScheduler scheduler_{clock_};
  FollowedOrders orders_;
  OrderChannels channels_{orders_, clock_, metrics_, {}};
  SessionOptions options_;
  tokens::Claims claims_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::WebSocketClient> client_;
  std::map<std::string, int64_t> next_;
};

TEST_F(ReplayTest, AnOrderOfThousandsOfTransitionsIsFollowedFromItsBeginning) {
  AddOrder(1, 2'000);
  Subscribe(1);
  ReadEvents(500);
  Write(1, 500);  // while it is told of the others
  ReadEvents(2'001);
  Write(1, 3, State::kClosed);
  ReadEvents(3);
  EXPECT_EQ(next_[NameOf(1)], 2'504);
  EXPECT_EQ(json::parse(client_->ReadText())["type"], "ended");
}

TEST_F(ReplayTest, TwoHundredOrdersAtOnceAreToldOverOneSocket) {
  for (int i = 1; i <= 200; ++i) AddOrder(i, 24);
  for (int i = 1; i <= 200; ++i) Subscribe(i);
  for (int i = 1; i <= 200; ++i) Write(i, 1, State::kClosed);
  ReadEvents(size_t{200} * 26);
  for (int i = 1; i <= 200; ++i) EXPECT_EQ(next_[NameOf(i)], 26) << i;
  EXPECT_EQ(metrics_.ToText().find("waybill_websocket_too_slow_total 1"), std::string::npos);
}

}  // namespace
}  // namespace waybill::realtime
