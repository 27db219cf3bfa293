#include "edge/access/gate.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "edge/access/key_admin.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_key_store.h"

namespace waybill::access {
namespace {

using domain::Scope;

class GateTest : public ::testing::Test {
 protected:
  GateTest() {
    ring_.SetAdmin(kAdmin);
    KeyAdmin::Wanted wanted;
    wanted.name = wanted.client = "shop";
    wanted.scopes = {"orders:read"};
    made_ = *admin_.Create(wanted, {"admin"});
    wanted.client = "billing";
    wanted.certificate = "billing.internal";
    EXPECT_TRUE(admin_.Create(wanted, {"admin"}).ok());
    EXPECT_TRUE(ring_.Refresh().ok());
  }

  struct Shown {
    std::optional<std::string> key;
    std::string client;
    std::vector<std::string> names;
  };
  absl::StatusOr<CallerPtr> Admit(const Gate& gate, const Rule& rule, const Shown& shown) {
    const std::string header = "Bearer " + shown.key.value_or("");
    Evidence evidence;
    if (shown.key) evidence.authorization = header;
    evidence.client = shown.client;
    evidence.certificate_names = [&] { return shown.names; };
    return gate.Admit(rule, evidence);
  }
  std::string Why(const Gate& gate, const Rule& rule, const Shown& shown) {
    return GetErrorDetail(Admit(gate, rule, shown).status()).reason;
  }

  const std::string kAdmin = "wb_admin_" + std::string(40, 'a');
  testing::ManualTime time_;
  storage::testing::FakeKeyStore store_;
  const KeyHash hash_{std::string(32, 'k')};
  KeyRing ring_{store_, hash_, time_};
  KeyAdmin admin_{store_, hash_, SystemEntropy, time_, [] {}};
  KeyAdmin::Made made_;
  const Gate open_{Identity::kOpen, &ring_};
  const Gate required_{Identity::kRequired, &ring_};
};

TEST_F(GateTest, OpenTakesEverybodyAtTheirWord) {
  const absl::StatusOr<CallerPtr> caller = Admit(open_, Scope::kOrdersWrite, {std::nullopt, "shop", {}});
  ASSERT_TRUE(caller.ok());
  EXPECT_EQ((*caller)->client, "shop");
  EXPECT_TRUE((*caller)->SeesAllOrders());
  EXPECT_TRUE((*caller)->drivers.Match("anybody"));
  EXPECT_TRUE(open_.Check(**caller).ok());
  EXPECT_EQ((*Admit(open_, Scope::kOps, {}))->client, "");
  EXPECT_EQ(Why(open_, Scope::kOps, {"nonsense", "", {}}), "");
}

// What is made by it then has to be its client's when keys are required: else a repeated order is a second one.
TEST_F(GateTest, OpenTakesAKeysClientForWhoSaysNoName) {
  EXPECT_EQ((*Admit(open_, Scope::kOrdersWrite, {made_.secret, "", {}}))->client, "shop");
  EXPECT_EQ((*Admit(open_, Scope::kOrdersWrite, {std::nullopt, "", {"billing.internal"}}))->client, "billing");
  EXPECT_EQ((*Admit(open_, Scope::kOrdersWrite, {made_.secret, "other", {}}))->client, "other") << "at its word";
  EXPECT_EQ((*Admit(open_, Scope::kOrdersWrite, {std::nullopt, "", {"other.internal"}}))->client, "");
  EXPECT_EQ((*Admit(open_, Scope::kOrdersWrite, {"nonsense", "", {}}))->client, "") << "somebody else's header";
  EXPECT_TRUE((*Admit(open_, Scope::kOrdersWrite, {made_.secret, "", {}}))->scopes.Has(Scope::kOps)) << "all the same";
}

// A retry that was nobody's would be a second order.
TEST_F(GateTest, OpenTakesNobodyForAnotherBecauseHisKeyIsOverOrNotKnown) {
  EXPECT_EQ(Why(open_, Scope::kOrdersWrite, {made_.secret + "x", "", {}}), "KEY_UNKNOWN");
  ASSERT_TRUE(admin_.Revoke(made_.key.id, {"admin"}).ok());
  ASSERT_TRUE(ring_.Refresh().ok());
  EXPECT_EQ(Why(open_, Scope::kOrdersWrite, {made_.secret, "", {}}), "KEY_REVOKED");
  EXPECT_EQ(Why(open_, Scope::kOrdersWrite, {made_.secret, "shop", {}}), "") << "who says a name needs no key";
  KeyRing never_read(store_, hash_, time_);
  const Gate fresh(Identity::kOpen, &never_read);
  EXPECT_EQ(Why(fresh, Scope::kOrdersWrite, {made_.secret, "", {}}), "STORE_UNAVAILABLE");
  EXPECT_EQ(Why(fresh, Scope::kOrdersWrite, {std::nullopt, "", {"billing.internal"}}), "STORE_UNAVAILABLE");
  EXPECT_EQ(Why(fresh, Scope::kOrdersWrite, {}), "");
}

// A key that somebody made while the service was open would still be one when it no longer is.
TEST_F(GateTest, OpenIsNotForThoseWhoAdministerKeys) {
  EXPECT_EQ(Why(open_, Scope::kAdmin, {std::nullopt, "admin", {}}), "NO_IDENTITY");
  EXPECT_EQ(Why(open_, Scope::kAdmin, {made_.secret, "", {}}), "SCOPE_MISSING");
  EXPECT_EQ(Why(open_, Scope::kAdmin, {kAdmin, "", {}}), "");
  EXPECT_EQ(Why(Gate(), Scope::kAdmin, {kAdmin, "", {}}), "NO_IDENTITY") << "there are no keys";
  EXPECT_EQ(Why(Gate(), Scope::kOrdersWrite, {}), "");
}

TEST_F(GateTest, RequiredWantsAKeyThatHasTheScope) {
  EXPECT_EQ(Why(required_, Scope::kOrdersRead, {}), "NO_IDENTITY");
  EXPECT_EQ(Why(required_, Scope::kOrdersRead, {made_.secret, "", {}}), "");
  EXPECT_EQ((*Admit(required_, Scope::kOrdersRead, {made_.secret, "", {}}))->client, "shop");
  const absl::Status missing = Admit(required_, Scope::kOrdersWrite, {made_.secret, "", {}}).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kPermissionDenied);
  const ErrorDetail detail = GetErrorDetail(missing);
  EXPECT_EQ(detail.reason, "SCOPE_MISSING");
  EXPECT_THAT(detail.metadata, ::testing::ElementsAre(::testing::Pair("scope", "orders:write")));
}

TEST_F(GateTest, WhatAnybodyMayCallNeedsNothing) {
  EXPECT_EQ(Why(required_, kAnybody, {}), "");
  EXPECT_EQ(Why(required_, kAnybody, {"nonsense", "", {}}), "");
}

// Whoever has sent waybill-client before would else find idempotency keys forgotten, and orders made twice.
TEST_F(GateTest, RequiredRefusesAnotherClientsName) {
  EXPECT_EQ(Why(required_, Scope::kOrdersRead, {made_.secret, "shop", {}}), "");
  EXPECT_EQ(Why(required_, Scope::kOrdersRead, {made_.secret, "other", {}}), "CLIENT_MISMATCH");
}

TEST_F(GateTest, ACertificateIsAKeyWhereThereIsNoHeader) {
  EXPECT_EQ((*Admit(required_, Scope::kOrdersRead, {std::nullopt, "", {"billing.internal"}}))->client, "billing");
  EXPECT_EQ(Why(required_, Scope::kOrdersRead, {std::nullopt, "", {"other.internal"}}), "KEY_UNKNOWN");
  EXPECT_EQ((*Admit(required_, Scope::kOrdersRead, {made_.secret, "", {"billing.internal"}}))->client, "shop");
  EXPECT_EQ(Why(required_, Scope::kOrdersRead, {"nonsense", "", {"billing.internal"}}), "NO_IDENTITY")
      << "a wrong key is not mended by a right certificate";
}

TEST_F(GateTest, ManyAreLetInWhileKeysChange) {
  std::atomic<bool> over{false};
  std::atomic<int> admitted{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      while (!over) admitted += Why(required_, Scope::kOrdersRead, {made_.secret, "", {}}).empty() ? 1 : 0;
    });
  }
  for (int i = 0; i < 50 || admitted < 1'000; ++i) {
    KeyAdmin::Wanted wanted;
    wanted.name = wanted.client = "other";
    wanted.scopes = {"ops"};
    ASSERT_TRUE(admin_.Create(wanted, {"admin"}).ok());
    ASSERT_TRUE(ring_.Refresh().ok());
    ASSERT_TRUE(ring_.WriteUses().ok());
  }
  ASSERT_TRUE(admin_.Revoke(made_.key.id, {"admin"}).ok());
  ASSERT_TRUE(ring_.Refresh().ok());
  over = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(Why(required_, Scope::kOrdersRead, {made_.secret, "", {}}), "KEY_REVOKED");
}

// By hand, in a release build: --gtest_also_run_disabled_tests --gtest_filter=*Cost*
TEST_F(GateTest, DISABLED_CostOfACall) {
  constexpr int kCalls = 300'000;
  const SystemClock clock;
  KeyRing ring(store_, hash_, clock);
  ASSERT_TRUE(ring.Refresh().ok());
  const std::string header = "Bearer " + made_.secret;
  for (const Gate& gate : {Gate(), Gate(Identity::kRequired, &ring)}) {
    int admitted = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) {
      Evidence evidence;
      evidence.authorization = header;
      evidence.client = "shop";
      evidence.certificate_names = [] { return std::vector<std::string>(); };
      admitted += gate.Admit(Scope::kOrdersRead, evidence).ok() ? 1 : 0;
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(admitted, kCalls);
    std::printf("%.2f us a call\n", took.count() / kCalls);
  }
}

}  // namespace
}  // namespace waybill::access
