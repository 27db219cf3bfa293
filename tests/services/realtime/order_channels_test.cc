#include "services/realtime/order_channels.h"

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "tests/services/realtime/followed_orders.h"
#include "tests/support/eventually.h"

namespace waybill::realtime {
namespace {

using nlohmann::json;
using saga::State;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What it is told, in short: "subscribed 2", "0 PENDING", "ended".
class Told final : public ChannelSink {
 public:
  void Subscribed(const std::string& epoch, int64_t offset, bool recovered) override {
    lines.push_back(fmt::format("subscribed {}/{}{}", epoch, offset, recovered ? "" : " anew"));
  }
  bool Event(const Message& event) override {
    if (room == 0) return false;
    --room;
    const json message = json::parse(*event);
    lines.push_back(fmt::format("{} {}", message["offset"].get<int>(), message["event"]["status"].get<std::string>()));
    last = *event;
    return true;
  }
  void Ended(const absl::Status& status) override {
    lines.push_back(status.ok() ? "ended" : GetErrorDetail(status).reason);
  }
  std::vector<std::string> Take() { return std::exchange(lines, {}); }

  std::vector<std::string> lines;
  std::string last;
  size_t room = 1'000'000;
};

class OrderChannelsTest : public ::testing::Test {
 protected:
  OrderChannelsTest() {
    orders_.Add(kOrder, "shop", "ann");
    orders_.Write(kOrder, State::kRunning, "charge_payment");
  }
  std::shared_ptr<Told> Follow(std::optional<Position> from = std::nullopt, const std::string& tenant = "shop",
                               const std::string& user = "ann", const Uuid& id = OrderId(1)) {
    auto told = std::make_shared<Told>();
    channels_.Subscribe(id, {tenant, user}, std::move(from), told);
    return told;
  }
  void Pass() {
    time_.Advance(absl::Milliseconds(50));
    channels_.Turn();
  }

  const Uuid kOrder = OrderId(1);
  testing::ManualTime time_;
  Metrics metrics_;
  FollowedOrders orders_;
  OrderChannels channels_{orders_, time_, metrics_, {}};
};

TEST_F(OrderChannelsTest, TellsAllAndThenWhatHappens) {
  const auto told = Follow();
  EXPECT_THAT(told->Take(), IsEmpty());
  channels_.Turn();
  EXPECT_THAT(told->Take(), ElementsAre("subscribed 1/1", "0 PENDING", "1 PENDING"));
  EXPECT_EQ(json::parse(told->last),
            json::parse(R"({"type":"event","channel":"order:00000000-0000-0000-0000-000000000001","epoch":"1",
                            "offset":1,"event":{"outcome":"succeeded","step":"charge_payment","attempt":1,
                            "status":"PENDING","time":"2026-09-21T14:13:21.000000Z"}})"));
  Pass();
  EXPECT_THAT(told->Take(), IsEmpty());
  orders_.Write(kOrder, State::kSucceeded, "assign_driver");
  Pass();
  EXPECT_THAT(told->Take(), ElementsAre("2 CONFIRMED"));
}

TEST_F(OrderChannelsTest, WhoComesBackGetsExactlyWhatWasMissed) {
  orders_.Write(kOrder, State::kRunning);
  orders_.Write(kOrder, State::kSucceeded);
  const auto first = Follow(Position{"1", 1});
  channels_.Turn();
  EXPECT_THAT(first->Take(), ElementsAre("subscribed 1/3", "2 PENDING", "3 CONFIRMED"));
  const auto second = Follow(Position{"1", 3});  // of what is in memory: at once
  EXPECT_THAT(second->Take(), ElementsAre("subscribed 1/3"));
  EXPECT_EQ(orders_.reads, 1);
}

TEST_F(OrderChannelsTest, WhoSawMoreElsewhereIsNotToldThatItWasMissed) {
  const auto slow = Follow();
  channels_.Turn();
  orders_.Write(kOrder, State::kSucceeded);  // not polled here yet
  const auto told = Follow(Position{"1", 2});
  EXPECT_THAT(told->Take(), IsEmpty());
  channels_.Turn();
  EXPECT_THAT(told->Take(), ElementsAre("subscribed 1/2"));
}

TEST_F(OrderChannelsTest, NorByAReadThatHadBegunBefore) {
  std::shared_ptr<Told> told;
  const auto slow = Follow();
  orders_.on_log = [&] {
    orders_.on_log = nullptr;
    told = Follow(Position{"1", 2});  // told of it elsewhere, just after this read took its snapshot
  };
  channels_.Turn();
  EXPECT_THAT(told->Take(), IsEmpty());
  orders_.Write(kOrder, State::kSucceeded);
  channels_.Turn();
  EXPECT_THAT(told->Take(), ElementsAre("subscribed 1/2"));
  EXPECT_THAT(slow->Take(), ElementsAre("subscribed 1/1", "0 PENDING", "1 PENDING", "2 CONFIRMED"));
}

TEST_F(OrderChannelsTest, APositionThatMeansNothingIsSaid) {
  const auto beyond = Follow(Position{"1", 7}), older = Follow(Position{"0", 1});
  channels_.Turn();
  channels_.Turn();
  EXPECT_THAT(beyond->Take(), ElementsAre("subscribed 1/1 anew", "0 PENDING", "1 PENDING"));
  EXPECT_THAT(older->Take(), ElementsAre("subscribed 1/1 anew", "0 PENDING", "1 PENDING"));
  const auto negative = Follow(Position{"1", -5});
  EXPECT_THAT(negative->Take(), ElementsAre("subscribed 1/1", "0 PENDING", "1 PENDING"));
}

TEST_F(OrderChannelsTest, SomebodyElsesOrderIsNone) {
  const auto other = Follow(std::nullopt, "rival", ""), user = Follow(std::nullopt, "shop", "bob");
  const auto nowhere = Follow(std::nullopt, "shop", "", OrderId(9)), staff = Follow(std::nullopt, "shop", "");
  channels_.Turn();
  EXPECT_THAT(other->Take(), ElementsAre("ORDER_NOT_FOUND"));
  EXPECT_THAT(user->Take(), ElementsAre("ORDER_NOT_FOUND"));
  EXPECT_THAT(nowhere->Take(), ElementsAre("ORDER_NOT_FOUND"));
  EXPECT_THAT(staff->Take(), ElementsAre("subscribed 1/1", "0 PENDING", "1 PENDING"));
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_realtime_subscriptions 1\n"));
}

TEST_F(OrderChannelsTest, AnOrderThatIsOverEndsItsChannel) {
  const auto told = Follow();
  channels_.Turn();
  told->Take();
  orders_.Write(kOrder, State::kClosed);
  Pass();
  EXPECT_THAT(told->Take(), ElementsAre("2 COMPLETED", "ended"));
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_realtime_channels 0\n"));
  const auto late = Follow(Position{"1", 0});
  channels_.Turn();
  EXPECT_THAT(late->Take(), ElementsAre("subscribed 1/2", "1 PENDING", "2 COMPLETED", "ended"));
}

TEST_F(OrderChannelsTest, WhileTheStoreIsAwayNobodyIsToldAnything) {
  orders_.SetDown(absl::UnavailableError("away"));
  const auto told = Follow();
  channels_.Turn();
  Pass();
  EXPECT_THAT(told->Take(), IsEmpty());
  orders_.SetDown(absl::OkStatus());
  channels_.Turn();
  EXPECT_THAT(told->Take(), ElementsAre("subscribed 1/1", "0 PENDING", "1 PENDING"));
  orders_.SetDown(absl::UnavailableError("away"));
  orders_.Write(kOrder, State::kSucceeded);
  Pass();
  EXPECT_THAT(told->Take(), IsEmpty());
  orders_.SetDown(absl::OkStatus());
  time_.Advance(absl::Seconds(1));
  channels_.Turn();
  EXPECT_THAT(told->Take(), ElementsAre("2 CONFIRMED"));
}

TEST_F(OrderChannelsTest, WhoLeavesIsToldNothingMore) {
  const auto told = Follow(), other = Follow();
  channels_.Turn();
  told->Take();
  channels_.Unsubscribe(kOrder, *told);
  orders_.Write(kOrder, State::kSucceeded);
  Pass();
  EXPECT_THAT(told->Take(), IsEmpty());
  channels_.Unsubscribe(kOrder, *other);
  orders_.asked.clear();
  Pass();
  EXPECT_THAT(orders_.asked, IsEmpty()) << "nobody follows it";
}

TEST_F(OrderChannelsTest, OneReadForAnyNumberAndOneQuestionForAThousandOrders) {
  std::vector<std::shared_ptr<Told>> all;
  for (int i = 0; i < 50; ++i) all.push_back(Follow());
  orders_.Add(OrderId(2), "shop", "ann");
  all.push_back(Follow(std::nullopt, "shop", "ann", OrderId(2)));
  channels_.Turn();
  EXPECT_EQ(orders_.reads, 2);
  orders_.asked.clear();
  Pass();
  EXPECT_THAT(orders_.asked, ElementsAre(2));
}

TEST_F(OrderChannelsTest, WhoHasNoRoomIsToldTheRestInOrderLater) {
  const auto slow = std::make_shared<Told>();
  slow->room = 1;
  channels_.Subscribe(kOrder, {"shop", "ann"}, std::nullopt, slow);
  const auto quick = Follow();
  channels_.Turn();
  EXPECT_THAT(slow->Take(), ElementsAre("subscribed 1/1", "0 PENDING"));
  EXPECT_THAT(quick->Take(), ElementsAre("subscribed 1/1", "0 PENDING", "1 PENDING"));
  orders_.Write(kOrder, State::kSucceeded);  // meanwhile
  Pass();
  EXPECT_THAT(slow->Take(), IsEmpty());
  EXPECT_THAT(quick->Take(), ElementsAre("2 CONFIRMED"));
  slow->room = 1;
  EXPECT_TRUE(channels_.Resume(kOrder, *slow)) << "it will hear of room again";
  EXPECT_THAT(slow->Take(), ElementsAre("1 PENDING"));
  orders_.Write(kOrder, State::kClosed);
  Pass();
  EXPECT_THAT(quick->Take(), ElementsAre("3 COMPLETED", "ended"));
  EXPECT_THAT(slow->Take(), IsEmpty());
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_realtime_subscriptions 1\n")) << "slow still follows";
  slow->room = 5;
  EXPECT_FALSE(channels_.Resume(kOrder, *slow));
  EXPECT_THAT(slow->Take(), ElementsAre("2 CONFIRMED", "3 COMPLETED", "ended"));
  channels_.Resume(kOrder, *slow);
  EXPECT_THAT(slow->Take(), IsEmpty());
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_realtime_channels 0\n"));
}

TEST_F(OrderChannelsTest, AStopSendsAllAway) {
  const auto told = Follow();
  channels_.Stop();
  EXPECT_THAT(told->Take(), ElementsAre("SHUTTING_DOWN"));
  EXPECT_THAT(Follow()->Take(), ElementsAre("SHUTTING_DOWN"));
}

TEST_F(OrderChannelsTest, ItsOwnLoopTellsSoon) {
  SystemClock clock;
  OrderChannels channels(orders_, clock, metrics_, {});
  channels.Start(ThreadLoops());
  struct Signal final : ChannelSink {
    void Subscribed(const std::string&, int64_t, bool) override {}
    bool Event(const Message&) override { return ++events > 0; }
    void Ended(const absl::Status&) override {}
    std::atomic<int> events{0};
  };
  const auto signal = std::make_shared<Signal>();
  channels.Subscribe(kOrder, {"shop", "ann"}, std::nullopt, signal);
  EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return signal->events == 2; }));
  orders_.Write(kOrder, State::kSucceeded);
  EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return signal->events == 3; }));
  channels.Stop();
}

}  // namespace
}  // namespace waybill::realtime
