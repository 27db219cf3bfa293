#include "services/order/webhook_sender.h"

#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "tests/support/temp_directory.h"

namespace waybill::order {
namespace {

using storage::ClaimedDelivery;
using storage::DeliveryResult;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using State = storage::WebhookDelivery::State;

// Hands out what it is given, and remembers what it is told. Nothing else is asked of it.
class ScriptedStore final : public storage::WebhookStore {
 public:
  std::vector<ClaimedDelivery> due;
  bool takes_results = true;
  std::vector<int> asked_for;  // limits of claims
  std::vector<DeliveryResult> finished;

  absl::StatusOr<std::vector<ClaimedDelivery>> Claim(const std::vector<Busy>& /*busy*/, int /*each*/, int limit,
                                                     absl::Duration /*lease*/) override {
    asked_for.push_back(limit);
    std::vector<ClaimedDelivery> claimed;
    while (!due.empty() && static_cast<int>(claimed.size()) < limit) {
      claimed.push_back(std::move(due.back()));
      due.pop_back();
    }
    return claimed;
  }
  absl::StatusOr<std::vector<storage::DisabledEndpoint>> Finish(const std::vector<DeliveryResult>& results,
                                                                absl::Duration /*failing_max*/) override {
    if (!takes_results) return Away();
    finished.insert(finished.end(), results.begin(), results.end());
    return std::vector<storage::DisabledEndpoint>();
  }

  absl::StatusOr<bool> AnyEndpoint() override { return Away(); }
  absl::Status AddEndpoint(const storage::WebhookEndpoint&, const std::string&, const domain::Deed&) override {
    return Away();
  }
  absl::StatusOr<std::vector<storage::WebhookEndpoint>> ListEndpoints(const storage::Owner&, const Uuid&,
                                                                      int) override {
    return Away();
  }
  absl::StatusOr<storage::WebhookEndpoint> GetEndpoint(const storage::Owner&, const Uuid&) override { return Away(); }
  absl::StatusOr<storage::WebhookEndpoint> ChangeEndpoint(const storage::Owner&, const Uuid&, const Change&,
                                                          const domain::Deed&) override {
    return Away();
  }
  absl::Status DeleteEndpoint(const storage::Owner&, const Uuid&, const domain::Deed&) override { return Away(); }
  absl::StatusOr<storage::WebhookEndpoint> RotateSecret(const storage::Owner&, const Uuid&, const std::string&,
                                                        absl::Duration, const domain::Deed&) override {
    return Away();
  }
  absl::StatusOr<std::vector<storage::WebhookDelivery>> ListDeliveries(const storage::DeliveryQuery&) override {
    return Away();
  }
  absl::StatusOr<storage::WebhookDelivery> GetDelivery(const storage::Owner&, const Uuid&,
                                                       const std::string&) override {
    return Away();
  }
  absl::StatusOr<storage::WebhookDelivery> AddTest(const storage::Owner&, const Uuid&, const std::string&,
                                                   const std::string&, const std::string&) override {
    return Away();
  }
  absl::StatusOr<storage::WebhookDelivery> Replay(const storage::Owner&, const Uuid&, const std::string&) override {
    return Away();
  }
  absl::StatusOr<int64_t> ReplayDead(const storage::Owner&, const Uuid&, absl::Duration) override { return Away(); }
  absl::StatusOr<storage::WebhookDelivery> Discard(const storage::Owner&, const Uuid&, const std::string&,
                                                   const std::string&) override {
    return Away();
  }
  absl::StatusOr<int64_t> Bury() override { return Away(); }
  absl::StatusOr<int64_t> Forget(absl::Duration) override { return Away(); }
  absl::StatusOr<storage::WebhookStats> Count() override { return Away(); }

 private:
  static absl::Status Away() { return absl::UnavailableError("away"); }
};

class WebhookSenderTest : public ::testing::Test {
 protected:
  WebhookSenderTest() { interest_.Learn(clock_.Steady(), true); }
  // Nobody listens at the URL, unless another is given.
  void AddDue(int attempts = 0, std::string url = "") {
    ClaimedDelivery delivery;
    delivery.event_id = fmt::format("evt_{}", store_.due.size());
    delivery.type = "order.confirmed";
    delivery.body = "{}";
    delivery.attempts = attempts;
    delivery.epoch = 1;
    delivery.url = url.empty() ? fmt::format("http://127.0.0.1:{}/", port_) : std::move(url);
    delivery.secrets = {"whsec_AAAA"};
    store_.due.push_back(std::move(delivery));
  }
  // Turns until so much is written.
  void TakeTurns(WebhookSender& sender, size_t results) {
    for (int turn = 0; turn < 10'000 && store_.finished.size() < results; ++turn) {
      ASSERT_TRUE(sender.TakeTurn().has_value());
    }
    EXPECT_EQ(store_.finished.size(), results);
  }
  WebhookOptions Options() const {
    WebhookOptions options;
    options.guard = *webhooks::AddressGuard::Parse("127.0.0.0/8");
    options.poll = absl::ZeroDuration();
    return options;
  }
  std::unique_ptr<WebhookSender> Sender(const WebhookOptions& options) {
    return std::make_unique<WebhookSender>(store_, interest_, clock_, random_, counters_, log_, options);
  }

  SystemClock clock_;
  SeededRandom random_{1};
  Metrics metrics_;
  WebhookMetrics counters_{metrics_};
  Logger log_{LogFormat::kJson, LogLevel::kError, clock_};
  ScriptedStore store_;
  storage::WebhookInterest interest_{clock_};
  const int port_ = waybill::testing::FreePort();
};

TEST_F(WebhookSenderTest, SendsAgainWhatNobodyTookAndGivesItUpAtTheTenthAttempt) {
  AddDue(0);
  AddDue(8);
  AddDue(9);
  const auto sender = Sender(Options());
  TakeTurns(*sender, 3);
  for (const DeliveryResult& result : store_.finished) {
    EXPECT_EQ(result.code, std::nullopt);
    EXPECT_THAT(result.answer, HasSubstr("refused"));
    if (result.event_id == "evt_2") {
      EXPECT_EQ(result.state, State::kDead);
      EXPECT_THAT(result.reason, HasSubstr("10 attempts"));
    } else {
      EXPECT_EQ(result.state, State::kWaiting);
      EXPECT_GE(result.pause, result.event_id == "evt_0" ? absl::Seconds(5) : absl::Hours(24));
    }
  }
  EXPECT_EQ(counters_.unreachable.Value(), 3);
  EXPECT_EQ(counters_.died.Value(), 1);
}

TEST_F(WebhookSenderTest, CallsNobodyWithinUnlessHisNetworkIsNamed) {
  WebhookOptions options = Options();
  options.guard = webhooks::AddressGuard();
  for (const char* url : {"https://127.0.0.1/", "https://10.0.0.1/", "https://169.254.169.254/latest", "https://[::1]/",
                          "https://[fd00::1]/", "https://localhost/", "http://1.1.1.1/", "no url"}) {
    AddDue(0, url);
  }
  const auto sender = Sender(options);
  TakeTurns(*sender, 8);
  EXPECT_EQ(counters_.forbidden.Value(), 8);
  for (const DeliveryResult& result : store_.finished) EXPECT_EQ(result.state, State::kWaiting);
}

// What was found out is kept until the store takes it; meanwhile nothing more is begun.
TEST_F(WebhookSenderTest, KeepsWhatItFoundOutWhileTheStoreIsAway) {
  AddDue();
  AddDue();
  WebhookOptions options = Options();
  options.in_flight_max = 1;
  store_.takes_results = false;
  const auto sender = Sender(options);
  for (int turn = 0; turn < 10'000 && counters_.unreachable.Value() < 1; ++turn) {
    ASSERT_TRUE(sender->TakeTurn().has_value());
  }
  for (int turn = 0; turn < 5; ++turn) ASSERT_TRUE(sender->TakeTurn().has_value());
  EXPECT_THAT(store_.asked_for, SizeIs(1));
  EXPECT_THAT(store_.finished, IsEmpty());
  store_.takes_results = true;
  TakeTurns(*sender, 2);
  EXPECT_EQ(store_.finished[0].event_id, "evt_1");
}

TEST_F(WebhookSenderTest, AsksForNoMoreThanItHasRoomFor) {
  WebhookOptions options = Options();
  options.in_flight_max = 3;
  for (int i = 0; i < 20; ++i) AddDue();
  const auto sender = Sender(options);
  TakeTurns(*sender, 20);
  for (const int limit : store_.asked_for) EXPECT_LE(limit, 3);
}

TEST_F(WebhookSenderTest, BeginsNothingWhileItDrainsAndDoesNotSpin) {
  AddDue();
  const auto sender = Sender(Options());
  sender->SetDraining();
  const SteadyTime before = clock_.Steady();
  const std::optional<SteadyTime> next = sender->TakeTurn();
  ASSERT_TRUE(next.has_value());
  EXPECT_GT(*next, before);
  EXPECT_THAT(store_.asked_for, IsEmpty());
}

TEST_F(WebhookSenderTest, AsksNothingWhileNobodyWantsEvents) {
  storage::WebhookInterest nobody(clock_);
  nobody.Learn(clock_.Steady(), false);
  WebhookSender sender(store_, nobody, clock_, random_, counters_, log_, Options());
  for (int turn = 0; turn < 5; ++turn) ASSERT_TRUE(sender.TakeTurn().has_value());
  EXPECT_THAT(store_.asked_for, IsEmpty());
}

TEST(WebhookInterest, BelievesThatNobodyWantsEventsForAWhileOnly) {
  waybill::testing::ManualTime time;
  storage::WebhookInterest interest(time);
  EXPECT_TRUE(interest.MayBe());  // nobody has asked yet
  const SteadyTime asked = time.Steady();
  interest.Learn(asked, false);
  EXPECT_FALSE(interest.MayBe());
  time.Advance(storage::WebhookInterest::kTrust);
  EXPECT_TRUE(interest.MayBe());
  interest.Learn(time.Steady(), true);
  interest.Learn(asked, false);  // an answer that was on its way for long
  EXPECT_TRUE(interest.MayBe());
}

}  // namespace
}  // namespace waybill::order
