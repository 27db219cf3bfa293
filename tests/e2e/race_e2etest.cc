// The race contract over the built binaries: two fronts, an order service, and two processors with books of their own.
// Whatever is killed, each payment that was answered is paid exactly once, and the sums are those of the processors.
#include <atomic>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "edge/http/client.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "payments/processor/contract.h"
#include "runtime/failpoint.h"
#include "runtime/ids.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

using ::testing::IsEmpty;
using RaceJson = nlohmann::json;

constexpr absl::Duration kRacePatience = absl::Seconds(60);

absl::StatusOr<http::ClientAnswer> CallPort(int port, const std::string& method, const std::string& target,
                                            const std::string& body = "", absl::Duration timeout = absl::Seconds(10)) {
  return http::CallAndWait({"127.0.0.1", port, target, {{"x-rinha-token", "123"}}, body, method}, nullptr, 100'000,
                           timeout);
}

StackOptions RaceOptions(const std::string& gateways_file) {
  StackOptions options;
  options.builtin_gateway = true;
  options.order_args = {"--gateways-file",   gateways_file, "--lease",   "1500ms",
                        "--attempt-timeout", "3s",          "--backoff", "20ms"};
  return options;
}

// One waybill-race on a port of its own, which it keeps.
class RaceFront {
 public:
  RaceFront(int order_port, std::vector<std::string> more) : args_(std::move(more)) {
    args_.insert(args_.end(), {"--listen", fmt::format("127.0.0.1:{}", port_.port()), "--side-listen",
                               fmt::format("127.0.0.1:{}", side_port_.port()), "--orders",
                               fmt::format("grpc://127.0.0.1:{}", order_port)});
  }
  void Start() {
    auto started = Process::Start(WAYBILL_RACE_BINARY, {.args = args_});
    ASSERT_TRUE(started.ok()) << started.status();
    process_ = *std::move(started);
    ASSERT_TRUE(Eventually(kRacePatience, [&] {
      return HttpGet(side_port_.port(), "/readyz").find(" 200 ") != std::string::npos;
    })) << process_->Output();
  }
  void Kill() {
    process_->Signal(SIGKILL);
    process_->Wait(absl::Seconds(10));
  }
  std::optional<int> Stop() {
    process_->Signal(SIGTERM);
    return process_->Wait(absl::Seconds(30));
  }
  int port() const { return port_.port(); }
  int side_port() const { return side_port_.port(); }

 private:
  ReservedPort port_, side_port_;
  std::vector<std::string> args_;
  std::unique_ptr<Process> process_;
};

class RaceStack {
 public:
  RaceStack() : stack_(RaceOptions(directory_.path().string() + "/gateways.toml")) {
    const std::string ports = directory_.path().string() + "/ports";
    auto started = Process::Start(
        WAYBILL_SANDBOX_BINARY,
        {.args = {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--log", Log(), "--port-file", ports,
                  "--processor", "default=127.0.0.1:0", "--processor", "fallback=127.0.0.1:0", "--processor-fee-ppm",
                  "default=70000", "--processor-fee-ppm", "fallback=100000", "--processor-currency", "BRL"}});
    EXPECT_TRUE(started.ok()) << started.status();
    sandbox_ = *std::move(started);
    EXPECT_TRUE(Eventually(kRacePatience, [&] { return ReadPortFile(ports).contains("processor_fallback"); }))
        << sandbox_->Output();
    std::ofstream file(directory_.path().string() + "/gateways.toml");
    for (const char* name : {"default", "fallback"}) {
      ports_[name] = ReadPortFile(ports)[fmt::format("processor_{}", name)];
      file << fmt::format(
          "[[gateway]]\nname = \"{0}\"\naddress = \"http://127.0.0.1:{1}\"\ncost_ppm = {2}\ncurrencies = [\"BRL\"]\n",
          name, ports_[name], std::string(name) == "default" ? 70'000 : 100'000);
    }
    file.close();
    stack_.AddReplica("order-1");
  }
  // After the order service has started.
  RaceFront& AddFront(std::vector<std::string> more = {}) {
    fronts_.push_back(std::make_unique<RaceFront>(stack_.replica().port(), std::move(more)));
    fronts_.back()->Start();
    return *fronts_.back();
  }
  RaceFront& front(size_t index) { return *fronts_[index]; }
  OrderReplica& order() { return stack_.replica(); }
  Stack& stack() { return stack_; }

  void Configure(const std::string& processor, const std::string& what, const std::string& body) {
    const auto set = CallPort(ports_.at(processor), "PUT", "/admin/configurations/" + what, body);
    EXPECT_TRUE(set.ok() && set->status == 200) << set.status();
  }
  RaceJson Sums(const std::string& query) {
    const auto answer = CallPort(fronts_.back()->port(), "GET", "/payments-summary" + query);
    EXPECT_TRUE(answer.ok() && answer->status == 200) << answer.status();
    return answer.ok() ? RaceJson::parse(answer->body, nullptr, false) : RaceJson();
  }
  // As the processors have it.
  RaceJson TheirSums(const std::string& query) {
    RaceJson sums;
    for (const auto& [name, port] : ports_) {
      const auto answer = CallPort(port, "GET", "/admin/payments-summary" + query);
      EXPECT_TRUE(answer.ok() && answer->status == 200) << answer.status();
      if (!answer.ok()) continue;
      const RaceJson json = RaceJson::parse(answer->body);
      sums[name] = {{"totalRequests", json["totalRequests"]}, {"totalAmount", json["totalAmount"]}};
    }
    return sums;
  }
  void SetForAll(const std::string& what, const std::string& body) {
    for (const auto& [name, port] : ports_) Configure(name, what, body);
  }

  // When nothing is unfinished: `answered` are the ids of payments that were answered 2xx, of `posted`.
  std::vector<std::string> WrongInTheBooks(const std::set<std::string>& answered, const std::set<std::string>& posted) {
    std::vector<std::string> wrong;
    std::map<std::string, int> booked;  // by the processors' id of a payment, over both
    for (const auto& [name, port] : ports_) {
      std::ifstream file(fmt::format("{}.{}", Log(), name));
      for (std::string line; std::getline(file, line);) ++booked[RaceJson::parse(line).at("key").get<std::string>()];
    }
    std::set<std::string> ours;
    for (const auto& row : stack_.sql().Rows("SELECT s.payload->>'payment_id', s.state, t.idempotency_key, t.state, "
                                             "t.gateway FROM sagas s JOIN payment_attempts t ON t.order_id = s.saga_id "
                                             "WHERE s.kind = 'take_payment'")) {
      const std::string id = payments::ProcessorPaymentId(row[2]).ToString();
      const auto found = booked.find(id);
      const int times = found == booked.end() ? 0 : found->second;
      if (times != (row[3] == "approved" ? 1 : 0)) {
        wrong.push_back(fmt::format("payment {} ({}) is {} at {}, and booked there {} times", row[0], row[1], row[3],
                                    row[4], times));
      }
      if (row[3] == "approved" && !ours.insert(row[0]).second) wrong.push_back(row[0] + " is paid at two processors");
      if (!posted.contains(row[0])) wrong.push_back(row[0] + " was never posted");
      if (found != booked.end()) booked.erase(found);
    }
    for (const auto& [id, times] : booked) wrong.push_back(id + " is no attempt of ours");
    for (const std::string& id : answered) {
      if (!ours.contains(id)) wrong.push_back(id + " was answered and is not paid");
    }
    if (std::string open =
            stack_.sql().Value("SELECT count(*) FROM payment_attempts WHERE state IN ('open', 'pending', 'closing')");
        open != "0") {
      wrong.push_back(open + " attempts are open");
    }
    // All of it, and times that cut through it.
    std::vector<std::string> queries = {"", "?from=2000-01-01T00:00:00.000Z&to=2100-01-01T00:00:00.000Z"};
    for (const auto& row : stack_.sql().Rows(
             "SELECT to_char(charged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM payments "
             "ORDER BY order_id LIMIT 3 OFFSET 5")) {
      queries.push_back("?from=" + row[0] + "&to=2100-01-01T00:00:00.000Z");
      queries.push_back("?from=2000-01-01T00:00:00.000Z&to=" + row[0]);
    }
    for (const std::string& query : queries) {
      const RaceJson here = Sums(query), there = TheirSums(query);
      if (here != there) wrong.push_back(fmt::format("{}: {} here, {} there", query, here.dump(), there.dump()));
    }
    return wrong;
  }

 private:
  std::string Log() const { return directory_.path().string() + "/books"; }

  TempDirectory directory_;
  Stack stack_;
  std::unique_ptr<Process> sandbox_;
  std::map<std::string, int> ports_;
  std::vector<std::unique_ptr<RaceFront>> fronts_;
};

std::string NumberedId(int client, int number) {
  return fmt::format("00000000-0000-4000-8000-{:04}{:08}", client, number);
}

// Clients that each persist with a payment until it is answered, at whichever front answers; until they are stopped.
class RaceClients {
 public:
  RaceClients(RaceStack& stack, int clients) {
    for (int client = 0; client < clients; ++client) {
      threads_.emplace_back([this, &stack, client] {
        for (int number = 0; !stop_; ++number) PostUntilAnswered(stack, NumberedId(client, number), client);
      });
    }
  }
  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  ~RaceClients() { Stop(); }
  size_t answered() {
    std::lock_guard lock(mutex_);
    return answered_.size();
  }
  // After Stop.
  const std::set<std::string>& ids_answered() const { return answered_; }
  const std::set<std::string>& ids_posted() const { return posted_; }
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  void PostUntilAnswered(RaceStack& stack, const std::string& id, int client) {
    {
      std::lock_guard lock(mutex_);
      posted_.insert(id);
    }
    const absl::Time give_up = absl::Now() + kRacePatience;
    for (int turn = client; absl::Now() < give_up; ++turn) {
      const auto answer = CallPort(stack.front(static_cast<size_t>(turn) % 2).port(), "POST", "/payments",
                                   fmt::format(R"({{"correlationId":"{}","amount":19.90}})", id));
      if (answer.ok() && answer->status / 100 == 2) {
        std::lock_guard lock(mutex_);
        answered_.insert(id);
        return;
      }
      if (answer.ok() && answer->status != 503) {
        std::lock_guard lock(mutex_);
        complaints_.push_back(fmt::format("{}: {} {}", id, answer->status, answer->body));
        return;
      }
    }
    std::lock_guard lock(mutex_);
    complaints_.push_back(id + " is never answered");
  }

  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::set<std::string> posted_, answered_;
  std::vector<std::string> complaints_;
};

TEST(Race, EachAnsweredPaymentIsPaidOnceThoughAFrontAndTheOrderServiceAreKilled) {
  RaceStack stack;
  stack.order().Start();
  stack.AddFront();
  stack.AddFront();
  {
    RaceClients clients(stack, 8);
    const auto more = [&clients](size_t count) {
      const size_t before = clients.answered();
      return Eventually(kRacePatience, [&, before] { return clients.answered() >= before + count; });
    };
    EXPECT_TRUE(more(100));
    stack.front(0).Kill();
    EXPECT_TRUE(more(100)) << "the other one serves";
    stack.front(0).Start();
    stack.Configure("default", "misbehaviour", R"({"lostAnswerRate":0.1,"failingRate":0.1})");
    EXPECT_TRUE(more(50));
    stack.order().Kill();
    stack.order().Start();
    EXPECT_TRUE(more(100)) << "both fronts find it again";
    stack.Configure("default", "failure", R"({"failure":true})");
    EXPECT_TRUE(more(50));
    stack.order().Kill();
    stack.order().Start();
    EXPECT_TRUE(more(50));
    stack.Configure("default", "failure", R"({"failure":false})");
    stack.Configure("default", "misbehaviour", "{}");
    clients.Stop();
    EXPECT_THAT(clients.complaints(), IsEmpty());
    EXPECT_TRUE(stack.stack().WaitUntilAllSettled(absl::Minutes(3))) << stack.stack().Unfinished();
    EXPECT_THAT(stack.WrongInTheBooks(clients.ids_answered(), clients.ids_posted()), IsEmpty());
    EXPECT_GT(clients.ids_answered().size(), 400u);
  }
  EXPECT_EQ(stack.front(0).Stop(), 0);
  EXPECT_EQ(stack.front(1).Stop(), 0);
  EXPECT_EQ(stack.order().Stop(), 0);
}

// At each place where a payment can be when its process dies.
TEST(Race, ADeathAnywherePaysNothingTwiceAndForgetsNothing) {
  ASSERT_TRUE(kFailpointsCompiledIn);
  for (const char* failpoint :
       {"begin.before_commit", "begin.after_commit", "take_payment.before_answer", "charge.before_send",
        "charge.after_receive", "advance.before_commit", "advance.after_commit"}) {
    RaceStack stack;
    stack.order().Start({{"WAYBILL_FAILPOINT", fmt::format("{}=kill@5", failpoint)}});
    stack.AddFront();
    stack.AddFront();
    stack.Configure("default", "misbehaviour", R"({"lostAnswerRate":0.2,"failingRate":0.1})");
    RaceClients clients(stack, 2);
    EXPECT_TRUE(Eventually(kRacePatience, [&] { return !stack.order().running(); })) << failpoint;
    stack.order().Start();
    const size_t before = clients.answered();
    EXPECT_TRUE(Eventually(kRacePatience, [&] { return clients.answered() > before + 10; })) << failpoint;
    clients.Stop();
    stack.Configure("default", "misbehaviour", "{}");
    EXPECT_THAT(clients.complaints(), IsEmpty()) << failpoint;
    EXPECT_TRUE(stack.stack().WaitUntilAllSettled(absl::Minutes(3))) << failpoint << " " << stack.stack().Unfinished();
    EXPECT_THAT(stack.WrongInTheBooks(clients.ids_answered(), clients.ids_posted()), IsEmpty()) << failpoint;
  }
}

TEST(Race, WhatIsWrongIsSaidByHttp) {
  RaceStack stack;
  stack.order().Start();
  RaceFront& front = stack.AddFront();
  RaceFront& purging = stack.AddFront({"--purge-allowed"});
  const std::string id = NumberedId(1, 1);
  const auto pay = [&](const std::string& amount) {
    const auto answer =
        CallPort(front.port(), "POST", "/payments", fmt::format(R"({{"correlationId":"{}","amount":{}}})", id, amount));
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : http::ClientAnswer();
  };
  EXPECT_EQ(pay("19.90").status, 202);
  EXPECT_EQ(pay("19.90").status, 202);
  const http::ClientAnswer other = pay("19.91");
  EXPECT_EQ(other.status, 422);
  EXPECT_EQ(RaceJson::parse(other.body)["reason"], "PAYMENT_ID_REUSED");
  EXPECT_EQ(pay("0").status, 400);
  EXPECT_TRUE(stack.stack().WaitUntilAllSettled());
  const RaceJson sums = {{"default", {{"totalRequests", 1}, {"totalAmount", 19.90}}},
                         {"fallback", {{"totalRequests", 0}, {"totalAmount", 0.0}}}};
  EXPECT_EQ(stack.Sums(""), sums);
  EXPECT_EQ(CallPort(front.port(), "POST", "/purge-payments")->status, 403u);
  EXPECT_EQ(CallPort(purging.port(), "POST", "/purge-payments")->status, 200u);
  EXPECT_EQ(stack.Sums(""), sums) << "books are not deleted";
  stack.order().Kill();
  EXPECT_TRUE(Eventually(kRacePatience,
                         [&] { return HttpGet(front.side_port(), "/readyz").find(" 503 ") != std::string::npos; }));
}

}  // namespace
}  // namespace waybill::testing
