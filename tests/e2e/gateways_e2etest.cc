// A shop with two gateways that one sandbox plays: cards, which are charged at once, and upi, whose payers pay on a
// page. Payers who come, do not come, or come late; webhooks that are lost, repeated and out of order; settlement files
// of a day that is over, with differences in them; and sums that are right at any moment, whoever is killed meanwhile.
#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "edge/http/client.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"
#include "tests/e2e/load.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"
#include "waybill/reconciliation/v1/reconciliation.grpc.pb.h"

namespace waybill::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

namespace reconciliation_pb = waybill::reconciliation::v1;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr char kSecret[] = "a secret of the gateway";

class Shop : public ::testing::Test {
 protected:
  // `scheme`: how upi signs.
  explicit Shop(const std::string& scheme = "stripe")
      : stack_([&] {
          std::ofstream(File("secret")) << kSecret << "\n";
          std::ofstream(File("hooks.toml")) << fmt::format(
              "[[gateway]]\nname = \"upi\"\nscheme = \"{}\"\nsecret_files = [\"{}\"]\n", scheme, File("secret"));
          std::ofstream(File("gateways.toml")) << fmt::format(
              "[[gateway]]\nname = \"card\"\naddress = \"grpc://127.0.0.1:{}\"\ncost_ppm = 29000\n"
              "[[gateway]]\nname = \"upi\"\naddress = \"grpc://127.0.0.1:{}\"\ncost_ppm = 20000\ncurrencies = "
              "[\"INR\"]\n"
              "[[rule]]\ncurrencies = [\"INR\"]\ngateways = [\"upi\"]\n",
              card_port_, upi_port_);
          StackOptions options;
          options.builtin_gateway = true;
          options.order_args = {"--gateways-file",
                                File("gateways.toml"),
                                "--gateway-webhooks-file",
                                File("hooks.toml"),
                                "--lease",
                                "1500ms",
                                "--attempt-timeout",
                                "2s",
                                "--backoff",
                                "20ms"};
          options.sandbox_args = {
              "--gateway", fmt::format("card=127.0.0.1:{},fee-ppm=29000", card_port_), "--gateway",
              fmt::format("upi=127.0.0.1:{},kind=redirect,expires=900,fee-ppm=20000,webhook-url=http://127.0.0.1:{}/"
                          "webhooks/upi,webhook-secret-file={},webhook-scheme={}",
                          upi_port_, side_port_, File("secret"), scheme)};
          return options;
        }()) {
    stack_.PutDrivers(100);
    replica_ = &stack_.AddReplica("a");
    replica_->UseSidePort(side_port_);
    replica_->Start();
  }

  std::string File(const std::string& name) const { return directory_.path().string() + "/" + name; }

  order::v1::Order Create(const std::string& key, const std::string& currency, int64_t amount_minor = 1250) {
    order::v1::CreateOrderRequest request = OrderRequestFor(key, amount_minor);
    request.mutable_amount()->set_currency(currency);
    request.mutable_pickup()->set_latitude(52.52);
    request.mutable_pickup()->set_longitude(13.40);
    order::v1::Order order;
    auto context = Deadline(absl::Seconds(30));
    const grpc::Status status = replica_->Orders()->CreateOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }
  order::v1::Order Get(const std::string& order_id) {
    order::v1::GetOrderRequest request;
    request.set_order_id(order_id);
    auto context = Deadline(absl::Seconds(10));
    order::v1::Order order;
    const grpc::Status status = replica_->Orders()->GetOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }
  bool Becomes(const std::string& order_id, order::v1::OrderStatus status) {
    return Eventually(kPatience, [&] { return Get(order_id).status() == status; });
  }
  void Behave(const std::string& gateway, const sandbox::v1::Behaviour& behaviour) {
    sandbox::v1::SetBehaviourRequest request;
    request.set_gateway(gateway);
    *request.mutable_behaviour() = behaviour;
    sandbox::v1::Behaviours set;
    auto context = Deadline(absl::Seconds(10));
    const grpc::Status status = Sandbox()->SetBehaviour(context.get(), request, &set);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  sandbox::v1::Books BooksOf(const std::string& gateway) {
    sandbox::v1::GetBooksRequest request;
    request.set_gateway(gateway);
    sandbox::v1::Books books;
    auto context = Deadline(absl::Seconds(30));
    const grpc::Status status = Sandbox()->GetBooks(context.get(), request, &books);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return books;
  }
  std::unique_ptr<sandbox::v1::SandboxAdmin::Stub> Sandbox() {
    return sandbox::v1::SandboxAdmin::NewStub(ConnectTo(stack_.sandbox_port()));
  }
  // Presses a button of the checkout page; what the page says then.
  static std::string Press(const std::string& url, const std::string& decision) {
    const std::string at = url.substr(std::string("http://").size());
    const size_t colon = at.find(':'), slash = at.find('/');
    const auto answer = http::CallAndWait({at.substr(0, colon),
                                           std::stoi(at.substr(colon + 1)),
                                           at.substr(slash),
                                           {{"content-type", "application/x-www-form-urlencoded"}},
                                           "decision=" + decision},
                                          nullptr, 10'000, absl::Seconds(20));
    return answer.ok() ? answer->body : std::string(answer.status().message());
  }
  // At most one net capture an order, over both gateways, and exactly one of those that hold.
  std::vector<std::string> WrongInTheBooks() {
    std::map<std::string, int> nets;
    for (const char* gateway : {"card", "upi"}) {
      const sandbox::v1::Books books = BooksOf(gateway);
      for (const auto& entry : books.entries()) {
        nets[entry.idempotency_key().substr(0, 36)] += entry.charges() - entry.refunds();
      }
    }
    std::vector<std::string> wrong;
    for (const auto& row : stack_.sql().Rows("SELECT order_id, state FROM order_sagas")) {
      const bool holds = row[1] == "succeeded" || row[1] == "closed";
      if (nets[row[0]] != (holds ? 1 : 0)) {
        wrong.push_back(fmt::format("order {} ({}) is charged {} times", row[0], row[1], nets[row[0]]));
      }
      nets.erase(row[0]);
    }
    for (const auto& [order, net] : nets) wrong.push_back(fmt::format("order {} is charged {} times", order, net));
    return wrong;
  }
  cli::Ran Run(std::vector<std::string> args) {
    return cli::RunBinary(WAYBILL_BINARY, std::move(args),
                          {{"WAYBILL_SERVER", fmt::format("127.0.0.1:{}", replica_->port())},
                           {"WAYBILL_SANDBOX", fmt::format("127.0.0.1:{}", stack_.sandbox_port())},
                           {"USER", "ada"}});
  }

  TempDirectory directory_;
  const int card_port_ = FreePort(), upi_port_ = FreePort(), side_port_ = FreePort();
  Stack stack_;
  OrderReplica* replica_ = nullptr;
};

// --- Payers

TEST_F(Shop, IsPaidOnThePageAndTheWebhookEndsTheWait) {
  const order::v1::Order waiting = Create("k", "INR");
  ASSERT_EQ(waiting.status(), order::v1::AWAITING_PAYMENT);
  EXPECT_TRUE(waiting.checkout().has_expire_time());
  EXPECT_THAT(Press(waiting.checkout().url(), "pay"), HasSubstr(">paid<"));
  EXPECT_TRUE(Becomes(waiting.order_id(), order::v1::CONFIRMED));
  EXPECT_THAT(Press(waiting.checkout().url(), "decline"), HasSubstr(">paid<"));
  const order::v1::Order declined = Create("other", "INR");
  EXPECT_THAT(Press(declined.checkout().url(), "decline"), HasSubstr(">declined<"));
  EXPECT_TRUE(Becomes(declined.order_id(), order::v1::FAILED));
  EXPECT_EQ(Create("card", "EUR").status(), order::v1::CONFIRMED);
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

// No webhook says so: the shop does, to which the payer came back.
TEST_F(Shop, HasTheGatewayAskedWhenThePayerIsBack) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_webhook_lost_rate(1);
  Behave("upi", behaviour);
  const order::v1::Order waiting = Create("k", "INR");
  order::v1::CheckPaymentRequest check;
  check.set_order_id(waiting.order_id());
  order::v1::Order order;
  ASSERT_TRUE(replica_->Orders()->CheckPayment(Deadline(absl::Seconds(20)).get(), check, &order).ok());
  // It is asked, and the payer is still on the page.
  const auto waits = [&] {
    const order::v1::Order now = Get(waiting.order_id());
    return std::count_if(now.transitions().begin(), now.transitions().end(),
                         [](const order::v1::OrderTransition& line) { return line.outcome() == "waiting"; });
  };
  ASSERT_TRUE(Eventually(kPatience, [&] { return waits() == 2; }));
  EXPECT_THAT(Press(waiting.checkout().url(), "pay"), HasSubstr(">paid<"));
  EXPECT_EQ(Get(waiting.order_id()).status(), order::v1::AWAITING_PAYMENT) << "nobody has said so";
  ASSERT_TRUE(replica_->Orders()->CheckPayment(Deadline(absl::Seconds(20)).get(), check, &order).ok());
  EXPECT_TRUE(Becomes(waiting.order_id(), order::v1::CONFIRMED));
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

TEST_F(Shop, DoesNotWaitForPayersWhoDoNotCome) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_expires_ms(300);
  behaviour.set_webhook_lost_rate(1);  // nobody says so, either
  Behave("upi", behaviour);
  const order::v1::Order waiting = Create("k", "INR");
  ASSERT_EQ(waiting.status(), order::v1::AWAITING_PAYMENT);
  EXPECT_TRUE(Becomes(waiting.order_id(), order::v1::FAILED));
  EXPECT_THAT(Press(waiting.checkout().url(), "pay"), HasSubstr(">expired<"));
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

// Whoever ends a payment first: the payer, the expiry, or whoever cancels the order. Each has exactly one end.
TEST_F(Shop, EndsEachPaymentOnceWhateverComesFirst) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_expires_ms(1'500);
  behaviour.set_webhook_lost_rate(0.3);
  behaviour.set_webhook_twice_rate(0.3);
  behaviour.set_webhook_out_of_order_rate(0.3);
  behaviour.set_webhook_late_rate(0.3);
  behaviour.set_late_ms(700);
  Behave("upi", behaviour);
  constexpr int kOrders = 24;
  std::vector<std::thread> payers;
  std::atomic<int> paid{0};
  for (int i = 0; i < kOrders; ++i) {
    payers.emplace_back([&, i] {
      const order::v1::Order waiting = Create(fmt::format("k{}", i), "INR");
      if (waiting.checkout().url().empty()) return;
      // Some at once, some about when it expires, some never.
      if (i % 3 == 1) {
        const absl::Time expires = absl::FromUnixSeconds(waiting.checkout().expire_time().seconds()) +
                                   absl::Nanoseconds(waiting.checkout().expire_time().nanos());
        EXPECT_TRUE(Eventually(kPatience, [&] { return absl::Now() >= expires - absl::Milliseconds(50 - 4 * i); }));
      }
      if (i % 3 != 2 && Press(waiting.checkout().url(), "pay").find(">paid<") != std::string::npos) ++paid;
      if (i % 4 == 0) {
        order::v1::CancelOrderRequest cancel;
        cancel.set_order_id(waiting.order_id());
        order::v1::Order order;
        auto context = Deadline(absl::Seconds(20));
        (void)replica_->Orders()->CancelOrder(context.get(), cancel, &order);
      }
    });
  }
  for (std::thread& payer : payers) payer.join();
  EXPECT_GE(paid, kOrders / 3);
  EXPECT_TRUE(stack_.WaitUntilAllSettled());
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

// --- The end of a day

// Where it is noon now, so that no test begins on one day and ends on the next: "Etc/GMT-3" is three hours ahead.
std::string NoonZone() {
  const int ahead = 12 - absl::ToCivilHour(absl::Now(), absl::UTCTimeZone()).hour();
  return ahead == 0 ? "UTC" : fmt::format("Etc/GMT{:+d}", -ahead);
}

std::string DayIn(const std::string& zone) {
  absl::TimeZone there;
  EXPECT_TRUE(absl::LoadTimeZone(zone, &there)) << zone;
  return absl::FormatTime("%Y-%m-%d", absl::Now(), there);
}

TEST_F(Shop, FindsEachDifferenceOfASettlementAndNothingElse) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_pending_for_ms(1);  // payers who pay at once
  Behave("upi", behaviour);
  std::vector<std::string> by_card, by_upi;
  for (int i = 0; i < 9; ++i) by_card.push_back(Create(fmt::format("card-{}", i), "EUR", 1000 + i).order_id());
  for (int i = 0; i < 3; ++i) by_upi.push_back(Create(fmt::format("upi-{}", i), "INR", 2000 + i).order_id());
  for (const std::string& id : by_upi) ASSERT_TRUE(Becomes(id, order::v1::CONFIRMED));
  order::v1::RefundOrderRequest part;
  part.set_order_id(by_card[7]);
  part.set_refund_id("a-part");
  part.set_amount_minor(300);
  order::v1::Refund refund;
  ASSERT_TRUE(replica_->Orders()->RefundOrder(Deadline(absl::Seconds(20)).get(), part, &refund).ok());
  part.set_order_id(by_upi[0]);
  ASSERT_TRUE(replica_->Orders()->RefundOrder(Deadline(absl::Seconds(20)).get(), part, &refund).ok());
  for (const std::string& id : {by_card[8], by_upi[1]}) {
    order::v1::CancelOrderRequest cancel;
    cancel.set_order_id(id);
    order::v1::Order order;
    ASSERT_TRUE(replica_->Orders()->CancelOrder(Deadline(absl::Seconds(20)).get(), cancel, &order).ok());
  }
  ASSERT_TRUE(stack_.WaitUntilAllSettled());

  const std::string zone = NoonZone(), day = DayIn(zone);
  const auto settle = [&](const std::string& gateway, const std::string& file, std::vector<std::string> more,
                          std::vector<std::string> how_to_read) {
    more.insert(more.begin(), {"sandbox", "settlement", "--gateway", gateway, "--day", day, "--zone", zone});
    const cli::Ran made = Run(more);
    EXPECT_EQ(made.code, 0) << made.output;
    // What was planted is told beside the file.
    std::string csv;
    for (size_t at = 0, end; (end = made.output.find('\n', at)) != std::string::npos; at = end + 1) {
      if (made.output.compare(at, 8, "planted:") != 0) csv += made.output.substr(at, end + 1 - at);
    }
    std::ofstream(File(file)) << csv;
    how_to_read.insert(how_to_read.begin(), {"reconcile", "run", File(file), "--gateway", gateway, "--day", day,
                                             "--zone", zone, "--fee-percent", gateway == "card" ? "2.9" : "2"});
    const cli::Ran ran = Run(how_to_read);
    EXPECT_EQ(ran.code, 0) << ran.output << csv;
    return ran.output;
  };
  const auto cases = [&] {
    std::vector<std::string> open;
    for (const nlohmann::json& one : Run({"--json", "reconcile", "cases"}).json) {
      const std::string reference = one["order_id"].get<std::string>() + one["gateway_reference"].get<std::string>();
      open.push_back(fmt::format("{} {}", one["difference"].get<std::string>(), reference));
    }
    return open;
  };
  // Upi's file is dirty, and right.
  settle("upi", "upi.csv", {"--decimal-comma", "--negative-refunds", "--payout-sums", "--payout-fee", "500"},
         {"--decimal-comma", "--skip", "payout"});
  EXPECT_THAT(cases(), IsEmpty());
  // Card's is not.
  settle("card", "card.csv",
         {"--plant", "missing_here", "--plant", "missing_there", "--plant", "twice", "--plant", "amount", "--plant",
          "currency", "--plant", "fee"},
         {});
  EXPECT_THAT(cases(),
              UnorderedElementsAre("MISSING_HERE ch_stray_1", "MISSING_THERE " + by_card[1], "TWICE " + by_card[2],
                                   "AMOUNT " + by_card[3], "CURRENCY " + by_card[4], "FEE " + by_card[5]));
  // The right one, in its place.
  settle("card", "card.csv", {}, {});
  EXPECT_THAT(cases(), IsEmpty());
}

// --- Refunds

TEST_F(Shop, TellsAWatchOnAnotherReplicaOfARefund) {
  OrderReplica& other = stack_.AddReplica("b");
  other.Start();
  const std::string order_id = Create("k", "EUR").order_id();
  order::v1::WatchOrderRequest request;
  request.set_order_id(order_id);
  request.set_from_sequence(3);
  request.set_refunds(true);
  auto context = Deadline(kPatience);
  auto stream = other.Orders()->WatchOrder(context.get(), request);
  stream->WaitForInitialMetadata();
  order::v1::RefundOrderRequest part;
  part.set_order_id(order_id);
  part.set_refund_id("a-part");
  part.set_amount_minor(300);
  order::v1::Refund refund;
  ASSERT_TRUE(replica_->Orders()->RefundOrder(Deadline(absl::Seconds(20)).get(), part, &refund).ok());
  order::v1::OrderTransition news;
  do {
    ASSERT_TRUE(stream->Read(&news)) << stream->Finish().error_message();
    EXPECT_EQ(news.refund().refund_id(), "a-part");
    EXPECT_EQ(news.status(), order::v1::CONFIRMED);
  } while (news.refund().state() == order::v1::Refund::OPEN);
  EXPECT_EQ(news.refund().state(), order::v1::Refund::DONE);
  EXPECT_EQ(news.refund().amount().minor_units(), 300);
  // What comes next ends the order, and the stream.
  order::v1::CompleteOrderRequest complete;
  complete.set_order_id(order_id);
  order::v1::Order order;
  ASSERT_TRUE(replica_->Orders()->CompleteOrder(Deadline(absl::Seconds(20)).get(), complete, &order).ok());
  ASSERT_TRUE(stream->Read(&news));
  EXPECT_EQ(news.outcome(), "closed");
  EXPECT_FALSE(stream->Read(&news));
  EXPECT_TRUE(stream->Finish().ok());
}

// --- Sums

TEST_F(Shop, SumsAreRightAtAnyMomentAlsoWhileAReplicaIsKilled) {
  OrderReplica& other = stack_.AddReplica("b");
  other.Start();
  sandbox::v1::Behaviour behaviour;
  behaviour.set_lost_after_rate(0.03);
  behaviour.set_unavailable_rate(0.03);
  behaviour.set_decline_rate(0.05);
  behaviour.set_latency_ms_p50(3);
  behaviour.set_latency_ms_p99(30);
  Behave("card", behaviour);
  const auto summary = [&] {
    reconciliation_pb::PaymentsSummaryResponse response;
    auto context = Deadline(absl::Seconds(30));
    const grpc::Status status = reconciliation_pb::ReconciliationService::NewStub(replica_->Channel())
                                    ->PaymentsSummary(context.get(), {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    reconciliation_pb::PaymentTotals totals;
    for (const auto& each : response.totals()) {
      EXPECT_EQ(each.gateway(), "card");
      totals = each;
    }
    return totals;
  };
  struct Taken {
    int64_t count = 0, minor = 0, refunded_minor = 0;
  };
  const auto taken = [&] {
    Taken all;
    const sandbox::v1::Books books = BooksOf("card");
    for (const auto& entry : books.entries()) {
      all.count += entry.charges();
      all.minor += entry.charged_minor();
      all.refunded_minor += entry.refunded_minor();
    }
    return all;
  };
  std::optional<Load> here, there;
  here.emplace(*replica_, 4, "here");
  there.emplace(other, 4, "there");
  int looked = 0;
  for (int round = 0; round < 3; ++round) {
    const int64_t more = here->confirmed() + there->confirmed() + 40;
    while (here->confirmed() + there->confirmed() < more && looked < 2'000) {
      const int64_t answered = here->confirmed() + there->confirmed();
      const reconciliation_pb::PaymentTotals totals = summary();
      const Taken after = taken();
      ASSERT_GE(totals.count(), answered) << "what was answered is counted";
      ASSERT_LE(totals.count(), after.count) << "what is counted was taken";
      ASSERT_LE(totals.amount_minor(), after.minor);
      ASSERT_EQ(totals.amount_minor(), totals.count() * 1250);
      ++looked;
    }
    other.Kill();
    for (int i = 0; i < 5; ++i) {
      const int64_t answered = here->confirmed() + there->confirmed();
      const reconciliation_pb::PaymentTotals totals = summary();
      ASSERT_GE(totals.count(), answered);
      ASSERT_LE(totals.count(), taken().count);
    }
    other.Start();
  }
  here->Stop();
  there->Stop();
  EXPECT_THAT(here->Complaints(stack_.sql()), IsEmpty());
  EXPECT_THAT(there->Complaints(stack_.sql()), IsEmpty());
  ASSERT_TRUE(stack_.WaitUntilAllSettled());
  const reconciliation_pb::PaymentTotals totals = summary();
  const Taken all = taken();
  EXPECT_GE(all.count, 120);
  EXPECT_EQ(totals.count(), all.count);
  EXPECT_EQ(totals.amount_minor(), all.minor);
  EXPECT_EQ(totals.refund_minor(), all.refunded_minor);
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

}  // namespace
}  // namespace waybill::testing
