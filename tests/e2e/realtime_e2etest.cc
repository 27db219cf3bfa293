// Apps that follow their orders through waybill-realtime with a stock client: what was missed while a process was dead
// comes when they come back, each event once and in its order.
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "edge/tokens/token.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/crash_story.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kRealtimePatience = absl::Seconds(60);

class Realtime : public ::testing::Test {
 protected:
  Realtime()
      : stack_([] {
          StackOptions options;
          options.order_args = StoryArgs();
          return options;
        }()) {}

  void SetUp() override {
    if (!std::filesystem::exists(WAYBILL_CLIENT_TESTS "/node_modules/ws")) {
      GTEST_SKIP() << "needs the packages of tests/clients/package-lock.json; ./dev test fetches them";
    }
    std::ofstream(keys_file_) << kKeys;
    stack_.AddReplica("a").Start();
    stack_.PutDrivers(3);
    // Orders wait for their payer, so that something happens when the test says so.
    sandbox::v1::Behaviour behaviour;
    behaviour.set_pending_rate(1);
    behaviour.set_pending_for_ms(absl::ToInt64Milliseconds(absl::Hours(1)));
    stack_.SetBehaviour(behaviour);
    std::filesystem::create_directory(directory_.path() / "r");
    replica_.emplace(WAYBILL_REALTIME_BINARY,
                     std::vector<std::string>{"--database-url", stack_.database_url(), "--token-keys-file", keys_file_,
                                              "--drain", "500ms"},
                     directory_.path() / "r");
    replica_->Start();
  }

  std::string Token(const std::string& user, absl::Duration life = absl::Minutes(10)) {
    tokens::Claims claims;
    claims.tenant = "e2e";
    claims.user = user;
    claims.topics = {"order:*"};
    claims.expires = absl::Now() + life;
    return *tokens::Keys::Parse(kKeys, "")->Issue(claims, "", absl::Now());
  }
  std::string Url() const { return fmt::format("ws://127.0.0.1:{}/ws/connect", replica_->port()); }
  order::v1::Order Create(const std::string& key) {
    auto context = Deadline(absl::Seconds(10));
    order::v1::Order order;
    const grpc::Status status = stack_.replica().Orders()->CreateOrder(context.get(), OrderRequestFor(key), &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(order.status(), order::v1::AWAITING_PAYMENT);
    return order;
  }
  void ApproveAndAwait(const std::string& order_id) {
    EXPECT_TRUE(stack_.DecidePayment(order_id, true).ok());
    ops::v1::RetrySagaRequest retry;
    retry.set_saga_id(order_id);
    ops::v1::Saga saga;
    auto context = Deadline(absl::Seconds(10));
    EXPECT_TRUE(stack_.replica().Admin()->RetrySaga(context.get(), retry, &saga).ok());
    EXPECT_TRUE(Eventually(kRealtimePatience, [&] {
      return stack_.sql().Value("SELECT state FROM order_sagas WHERE order_id = '" + order_id + "'") == "succeeded";
    }));
  }
  void Complete(const std::string& order_id) {
    order::v1::CompleteOrderRequest request;
    request.set_order_id(order_id);
    order::v1::Order order;
    auto context = Deadline(absl::Seconds(10));
    const grpc::Status status = stack_.replica().Orders()->CompleteOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  std::unique_ptr<Process> Follow(const std::string& order_id, const std::string& token) {
    auto client = Process::Start("/usr/bin/env",
                                 {.args = {"node", WAYBILL_CLIENT_TESTS "/realtime.mjs", Url(), token, order_id}});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  // The offsets that it was told, in their order.
  static std::vector<int> Offsets(const Process& client) {
    std::vector<int> offsets;
    for (const std::string& line : std::vector<std::string>(absl::StrSplit(client.Output(), '\n'))) {
      if (line.starts_with("event ")) offsets.push_back(std::atoi(line.c_str() + 6));
    }
    return offsets;
  }
  std::vector<int> All(const std::string& order_id) {
    const int last = std::stoi(stack_.sql().Value("SELECT seq FROM order_sagas WHERE order_id = '" + order_id + "'"));
    std::vector<int> all;
    for (int offset = 0; offset <= last; ++offset) all.push_back(offset);
    return all;
  }

  static constexpr char kKeys[] =
      "[[key]]\nid = \"e2e\"\nalgorithm = \"HS256\"\nsecret = \"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\"\n";
  Stack stack_;
  TempDirectory directory_;
  const std::string keys_file_ = (directory_.path() / "keys.toml").string();
  std::optional<ServiceProcess> replica_;
};

TEST_F(Realtime, AnAppMissesNothingOfItsOrderOverAKill) {
  const order::v1::Order order = Create("k-1");
  const std::unique_ptr<Process> app = Follow(order.order_id(), Token(order.user_id()));
  ASSERT_TRUE(app->WaitForLine("AWAITING_PAYMENT", kRealtimePatience)) << app->Output();
  replica_->Kill();
  ASSERT_TRUE(app->WaitForLine("closed 1006", kRealtimePatience)) << app->Output();
  ApproveAndAwait(order.order_id());  // while nobody is told
  EXPECT_THAT(app->Output(), ::testing::Not(HasSubstr("CONFIRMED")));
  replica_->Start();
  ASSERT_TRUE(app->WaitForLine("CONFIRMED", kRealtimePatience)) << app->Output();
  EXPECT_THAT(app->Output(), ::testing::Not(HasSubstr("recovered=false")));

  EXPECT_EQ(replica_->Stop(), 0) << replica_->process().Output();  // and over a stop that takes its time
  ASSERT_TRUE(app->WaitForLine("closed 1012", kRealtimePatience)) << app->Output();
  replica_->Start();
  Complete(order.order_id());
  ASSERT_TRUE(app->WaitForLine("ended", kRealtimePatience)) << app->Output();
  EXPECT_EQ(app->Wait(kRealtimePatience), 0);
  EXPECT_EQ(Offsets(*app), All(order.order_id())) << app->Output();
}

TEST_F(Realtime, WhatHappensIsToldWhileItHappens) {
  const order::v1::Order order = Create("k-1");
  const std::unique_ptr<Process> app = Follow(order.order_id(), Token(order.user_id())),
                                 staff = Follow(order.order_id(), Token(""));
  ASSERT_TRUE(app->WaitForLine("AWAITING_PAYMENT", kRealtimePatience)) << app->Output();
  ApproveAndAwait(order.order_id());
  ASSERT_TRUE(app->WaitForLine("CONFIRMED", kRealtimePatience)) << app->Output();
  Complete(order.order_id());
  for (const auto& each : {app.get(), staff.get()}) {
    ASSERT_TRUE(each->WaitForLine("ended", kRealtimePatience)) << each->Output();
    EXPECT_EQ(Offsets(*each), All(order.order_id())) << each->Output();
  }
  EXPECT_THAT(replica_->Http("/metrics"), HasSubstr("waybill_realtime_channels 0\n"));
}

TEST_F(Realtime, OnlyWhoMayIsToldAndOnlyAsLongAsTheTokenSays) {
  const order::v1::Order order = Create("k-1");
  const std::unique_ptr<Process> stranger = Follow(order.order_id(), Token("somebody-else"));
  ASSERT_TRUE(stranger->WaitForLine("error ORDER_NOT_FOUND", kRealtimePatience)) << stranger->Output();
  EXPECT_EQ(stranger->Wait(kRealtimePatience), 0);
  const std::unique_ptr<Process> brief = Follow(order.order_id(), Token(order.user_id(), absl::Seconds(4)));
  ASSERT_TRUE(brief->WaitForLine("AWAITING_PAYMENT", kRealtimePatience)) << brief->Output();
  ASSERT_TRUE(brief->WaitForLine("closed 4401", kRealtimePatience)) << brief->Output();
}

}  // namespace
}  // namespace waybill::testing
