#include "services/realtime/session.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "tests/services/realtime/followed_orders.h"

namespace waybill::realtime {
namespace {

using nlohmann::json;
using saga::State;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Keeps what it is to send.
class KeptSocket final : public http::WebSocket {
 public:
  bool SendIfRoom(Message text) override {
    if (room == 0) return false;
    --room;
    sent.push_back(*text);
    return true;
  }
  bool SendLatest(std::string_view, Message) override { return false; }
  void Close(uint16_t code, std::string_view reason) override { closed = fmt::format("{} {}", code, reason); }
  std::vector<std::string> Take() { return std::exchange(sent, {}); }

  std::vector<std::string> sent;
  std::string closed;
  size_t room = 1'000'000;
};

class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    orders_.Add(OrderId(1), "shop", "ann");
    orders_.Add(OrderId(2), "shop", "bob");
    claims_.tenant = "shop";
    claims_.user = "ann";
    claims_.topics = {"order:*"};
    claims_.expires = time_.Now() + absl::Minutes(10);
  }
  void Open() {
    session_ = std::make_unique<Session>(channels_, time_, time_, options_, claims_);
    session_->OnOpen(socket_);
  }
  // What is said to that.
  std::vector<std::string> Say(const std::string& text) {
    socket_->Take();
    session_->OnMessage(text, true);
    channels_.Turn();
    return socket_->Take();
  }
  static std::string Subscribe(int order, const std::string& more = "") {
    return fmt::format(R"({{"type":"subscribe","channel":"order:{}"{}}})",
                       OrderId(static_cast<uint8_t>(order)).ToString(), more);
  }

  testing::ManualTime time_;
  Metrics metrics_;
  FollowedOrders orders_;
  OrderChannels channels_{orders_, time_, metrics_, {}};
  SessionOptions options_;
  tokens::Claims claims_;
  std::shared_ptr<KeptSocket> socket_ = std::make_shared<KeptSocket>();
  std::unique_ptr<Session> session_;
};

TEST_F(SessionTest, GreetsAndFollows) {
  Open();
  EXPECT_THAT(socket_->Take(),
              ElementsAre(fmt::format(R"({{"type":"welcome","expires":{}}})", absl::ToUnixSeconds(claims_.expires))));
  EXPECT_THAT(Say(Subscribe(1)),
              ElementsAre(AllOf(HasSubstr(R"("type":"subscribed")"), HasSubstr(R"("recovered":true)")),
                          HasSubstr(R"("offset":0,"event":{"outcome":"accepted","status":"PENDING")")));
  orders_.Write(OrderId(1), State::kSucceeded);
  time_.Advance(absl::Seconds(1));
  channels_.Turn();
  EXPECT_THAT(socket_->Take(), ElementsAre(HasSubstr(R"("status":"CONFIRMED")")));
  EXPECT_THAT(Say(R"({"type":"ping"})"), ElementsAre(R"({"type":"pong"})"));
  EXPECT_THAT(Say(R"({"type":"unsubscribe","channel":"order:00000000-0000-0000-0000-000000000001"})"),
              ElementsAre(HasSubstr("unsubscribed")));
  EXPECT_THAT(Say(Subscribe(1, R"(,"epoch":"1","offset":0)")),
              ElementsAre(HasSubstr("subscribed"), HasSubstr("CONFIRMED")));
}

TEST_F(SessionTest, TheTokensTopicsAndUserSayWhatIsSeen) {
  claims_.topics = {"order:00000000-0000-0000-0000-000000000002"};
  Open();
  EXPECT_THAT(Say(Subscribe(1)), ElementsAre(HasSubstr("TOPIC_NOT_ALLOWED")));
  EXPECT_THAT(Say(Subscribe(2)), ElementsAre(HasSubstr("ORDER_NOT_FOUND"))) << "bob's";
  EXPECT_THAT(Say(R"({"type":"subscribe","channel":"driver:1"})"), ElementsAre(HasSubstr("BAD_REQUEST")));
  EXPECT_THAT(Say(R"({"type":"subscribe"})"), ElementsAre(HasSubstr("BAD_REQUEST")));
  EXPECT_EQ(socket_->closed, "");
}

TEST_F(SessionTest, EndsWithItsToken) {
  Open();
  time_.Advance(absl::Minutes(10) - absl::Seconds(1));
  EXPECT_EQ(socket_->closed, "");
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(socket_->closed, "4401 TOKEN_EXPIRED");
}

TEST_F(SessionTest, WhatItFollowedIsLeftWithIt) {
  Open();
  Say(Subscribe(1));
  session_->OnClose(1001, "");
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_realtime_subscriptions 0\n"));
  orders_.Write(OrderId(1), State::kSucceeded);
  time_.Advance(absl::Minutes(20));
  channels_.Turn();
  EXPECT_THAT(socket_->Take(), IsEmpty());
  EXPECT_EQ(socket_->closed, "");
}

TEST_F(SessionTest, FollowsSoManyAndEachOnce) {
  options_.subscriptions_max = 1;
  claims_.user = "";
  Open();
  Say(Subscribe(1));
  EXPECT_THAT(Say(Subscribe(1)), ElementsAre(HasSubstr("followed already")));
  EXPECT_THAT(Say(Subscribe(2)), ElementsAre(AllOf(HasSubstr("QUEUE_FULL"), HasSubstr(R"("retry":true)"))));
  orders_.Write(OrderId(1), State::kClosed);
  time_.Advance(absl::Seconds(1));
  channels_.Turn();
  EXPECT_THAT(socket_->Take(), ElementsAre(HasSubstr("COMPLETED"), HasSubstr("ended")));
  EXPECT_THAT(Say(Subscribe(2)), ElementsAre(HasSubstr("subscribed"), HasSubstr("PENDING"))) << "there is room again";
}

TEST_F(SessionTest, ALongStoryIsToldAsThereIsRoomAndHoldsUpNoOther) {
  for (int i = 0; i < 2'000; ++i) orders_.Write(OrderId(1), State::kRunning, "charge_payment");
  orders_.Add(OrderId(3), "shop", "ann");
  Open();
  socket_->room = 10;
  EXPECT_EQ(Say(Subscribe(1)).size(), 10u);
  EXPECT_THAT(Say(Subscribe(3)), IsEmpty());
  EXPECT_THAT(Say(R"({"type":"ping"})"), IsEmpty());
  orders_.Write(OrderId(1), State::kClosed);  // meanwhile
  time_.Advance(absl::Seconds(1));
  channels_.Turn();
  socket_->room = 3;
  session_->OnRoom();
  EXPECT_THAT(socket_->Take(), ElementsAre(HasSubstr("subscribed"), HasSubstr("pong"), HasSubstr(R"("offset":9)")));
  socket_->room = 1;
  session_->OnRoom();
  EXPECT_THAT(socket_->Take(), ElementsAre(HasSubstr(R"("offset":0)"))) << "the short one's turn";
  int64_t next = 10;
  for (int i = 0; i < 1'000 && next <= 2'001; ++i) {
    socket_->room = 64;
    session_->OnRoom();
    for (const std::string& text : socket_->Take()) {
      const json message = json::parse(text);
      if (message["type"] == "event") {
        ASSERT_EQ(message["offset"].get<int64_t>(), next++);
      } else {
        EXPECT_EQ(next, 2'002);
        EXPECT_EQ(message["type"], "ended");
      }
    }
  }
  EXPECT_EQ(next, 2'002);
  EXPECT_EQ(socket_->closed, "");
}

TEST_F(SessionTest, WhoTakesNoAnswersIsSentAway) {
  options_.answers_max = 3;
  Open();
  socket_->room = 0;
  for (int i = 0; i < 3; ++i) session_->OnMessage(R"({"type":"ping"})", true);
  EXPECT_EQ(socket_->closed, "");
  session_->OnMessage(R"({"type":"ping"})", true);
  EXPECT_THAT(socket_->closed, HasSubstr("1013 "));
}

TEST_F(SessionTest, WhatIsNoMessageClosesForGood) {
  for (const char* text : {"", "{", "[]", "3", R"({"type":"teleport"})", R"({"type":3})", "{}",
                           R"({"type":"subscribe","channel":"order:x","offset":"3"})",
                           R"({"type":"subscribe","channel":"order:x","offset":1.5})"}) {
    Open();
    session_->OnMessage(text, true);
    EXPECT_THAT(std::exchange(socket_->closed, ""), HasSubstr("4400 ")) << text;
  }
  Open();
  session_->OnMessage(R"({"type":"ping"})", false);
  EXPECT_THAT(socket_->closed, HasSubstr("4400 "));
}

TEST_F(SessionTest, WhoTalksTooMuchIsSentAway) {
  options_.messages_burst = 3;
  options_.messages_per_second = 1;
  Open();
  for (int i = 0; i < 3; ++i) session_->OnMessage(R"({"type":"ping"})", true);
  EXPECT_EQ(socket_->closed, "");
  time_.Advance(absl::Seconds(1));
  session_->OnMessage(R"({"type":"ping"})", true);
  EXPECT_EQ(socket_->closed, "");
  session_->OnMessage(R"({"type":"ping"})", true);
  EXPECT_EQ(socket_->closed, "4429 RATE_LIMITED");
}

}  // namespace
}  // namespace waybill::realtime
