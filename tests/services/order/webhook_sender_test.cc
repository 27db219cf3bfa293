#include "services/order/webhook_sender.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "boost/asio.hpp"
#include "edge/http/server.h"
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
  bool disables = false;       // the last endpoint of which it hears
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
    std::vector<storage::DisabledEndpoint> disabled;
    if (disables) disabled.push_back({results.back().endpoint_id, "shop", "answered 410 Gone"});
    return disabled;
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

// --- Connections.

// An endpoint's receiver: what it was told, and over how many connections.
class Receiver {
 public:
  explicit Receiver(const Logger& log, const std::string& listen = "127.0.0.1:0") {
    http::ServerOptions options;
    options.listen = listen;
    auto server = http::Server::Start(options, metrics_, log);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Serve("/", {"hook", {"POST"}}, [this](http::ExchangePtr exchange) {
      {
        std::lock_guard lock(mutex_);
        peers_.insert(exchange->request().peer);
        ++told_;
      }
      exchange->Answer({code, "text/plain", "", {}});
    });
  }
  std::string Url(const std::string& path = "/") const { return fmt::format("http://127.0.0.1:{}{}", port(), path); }
  int port() const { return server_->port(); }
  size_t connections() const {
    std::lock_guard lock(mutex_);
    return peers_.size();
  }
  int told() const {
    std::lock_guard lock(mutex_);
    return told_;
  }

  std::atomic<unsigned> code = 200;

 private:
  Metrics metrics_;
  mutable std::mutex mutex_;
  std::set<std::string> peers_;
  int told_ = 0;
  std::unique_ptr<http::Server> server_;
};

class KeptConnectionsTest : public WebhookSenderTest {
 protected:
  KeptConnectionsTest() { KeepsAskingFor(Options()); }
  void KeepsAskingFor(const WebhookOptions& options) {
    awake_.Learn(time_.Steady(), true);
    sender_ = std::make_unique<WebhookSender>(store_, awake_, time_, random_, counters_, log_, options);
  }
  // One after the other, each of a turn of its own.
  void Deliver(int deliveries, const std::string& url, uint8_t endpoint = 1) {
    for (int i = 0; i < deliveries; ++i) {
      AddDue(0, url);
      store_.due.back().endpoint_id.bytes[0] = endpoint;
      TakeTurns(*sender_, store_.finished.size() + 1);
      EXPECT_EQ(store_.finished.back().code, 200) << store_.finished.back().answer;
    }
  }

  waybill::testing::ManualTime time_;
  storage::WebhookInterest awake_{time_};
  std::unique_ptr<WebhookSender> sender_;
  std::optional<Receiver> receiver_{std::in_place, log_};
};

TEST_F(KeptConnectionsTest, AnEndpointsDeliveriesGoOverOne) {
  Deliver(20, receiver_->Url());
  EXPECT_EQ(receiver_->told(), 20);
  EXPECT_EQ(receiver_->connections(), 1u);
  EXPECT_EQ(counters_.connections.Value(), 1);
}

TEST_F(KeptConnectionsTest, NobodyUsesAnothersNorThatOfTheUrlBefore) {
  Deliver(3, receiver_->Url(), 1);
  Deliver(3, receiver_->Url(), 2);
  EXPECT_EQ(receiver_->connections(), 2u);
  Deliver(1, receiver_->Url("/moved"), 1);
  EXPECT_EQ(receiver_->connections(), 3u);
  sender_->TakeTurn();
  EXPECT_EQ(counters_.connections_kept.Value(), 2) << "the one to the old URL is closed";
}

// What a name says is looked at again, however busy its endpoint is.
TEST_F(KeptConnectionsTest, TheAddressIsLookedAtAgainAfterAMinuteAndOnesThatAreIdleAreClosed) {
  for (int i = 0; i < 12; ++i) {
    Deliver(1, receiver_->Url());
    time_.Advance(absl::Seconds(5));
  }
  EXPECT_EQ(receiver_->connections(), 1u);
  Deliver(1, receiver_->Url());
  EXPECT_EQ(receiver_->connections(), 2u) << "a minute";
  sender_->TakeTurn();
  EXPECT_EQ(counters_.connections_kept.Value(), 1);
  time_.Advance(absl::Seconds(10));
  awake_.Learn(time_.Steady(), false);  // there is nothing to deliver
  sender_->TakeTurn();
  EXPECT_EQ(counters_.connections_kept.Value(), 0) << "idle";
}

TEST_F(KeptConnectionsTest, OneThatTheOtherSideEndedCostsNoAttempt) {
  Deliver(2, receiver_->Url());
  const std::string url = receiver_->Url();
  const int port = receiver_->port();
  receiver_.emplace(log_, fmt::format("127.0.0.1:{}", port));
  Deliver(2, url);
  EXPECT_EQ(receiver_->told(), 2);
  EXPECT_EQ(counters_.unreachable.Value(), 0);
  EXPECT_EQ(counters_.delivered.Value(), 4);
}

// A receiver that keeps connections open, and hangs up when it is told something more over one.
class OnceAConnection {
 public:
  OnceAConnection() : thread_([this] { Run(); }) {}
  ~OnceAConnection() {
    stop_ = true;
    boost::asio::ip::tcp::socket last(io_);
    last.connect(acceptor_.local_endpoint());
    last.close();
    thread_.join();
  }
  std::string Url() const { return fmt::format("http://127.0.0.1:{}/", acceptor_.local_endpoint().port()); }

  std::atomic<int> hung_up = 0;

 private:
  void Run() {
    while (!stop_) {
      boost::asio::ip::tcp::socket socket(io_);
      acceptor_.accept(socket);
      std::string read;
      boost::system::error_code over;
      boost::asio::read_until(socket, boost::asio::dynamic_buffer(read), "\r\n\r\n{}", over);
      if (over) continue;
      boost::asio::write(socket, boost::asio::buffer(std::string("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
                         over);
      char more;
      if (boost::asio::read(socket, boost::asio::buffer(&more, 1), over) == 1) ++hung_up;
    }
  }

  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_{io_, {boost::asio::ip::address_v4::loopback(), 0}};
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST_F(KeptConnectionsTest, OneThatEndsInTheMiddleIsFollowedByAnotherAtOnce) {
  OnceAConnection receiver;
  Deliver(3, receiver.Url());
  EXPECT_EQ(receiver.hung_up, 2);
  EXPECT_EQ(counters_.unreachable.Value(), 0);
  EXPECT_EQ(counters_.connections.Value(), 3);
  sender_.reset();
}

TEST_F(KeptConnectionsTest, AreNoMoreThanAttemptsMayBe) {
  WebhookOptions options = Options();
  options.in_flight_max = 3;
  options.each_max = 2;
  KeepsAskingFor(options);
  for (uint8_t endpoint = 1; endpoint <= 10; ++endpoint) Deliver(2, receiver_->Url(), endpoint);
  sender_->TakeTurn();
  EXPECT_EQ(counters_.connections_kept.Value(), 3);
}

TEST_F(KeptConnectionsTest, OfAnEndpointThatIsDisabledAreClosed) {
  Deliver(2, receiver_->Url());
  receiver_->code = 410;
  AddDue(0, receiver_->Url());
  store_.due.back().endpoint_id.bytes[0] = 1;
  store_.disables = true;
  TakeTurns(*sender_, 3);
  sender_->TakeTurn();
  EXPECT_EQ(counters_.connections_kept.Value(), 0);
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
