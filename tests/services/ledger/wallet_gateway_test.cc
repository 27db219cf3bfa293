// Wallets as a payment gateway: the gateways' contract, over real gRPC as waybill-order calls it, against the ledger.
#include "services/ledger/wallet_gateway.h"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/metrics.h"
#include "runtime/testing/manual_time.h"
#include "runtime/worker_pool.h"
#include "services/order/remote_gateway.h"
#include "storage/testing/memory_ledger_store.h"
#include "tests/services/ledger/mock_ledger_store.h"
#include "tests/services/order/participant_contract.h"

namespace waybill::order {
namespace {

using ledger::NewTransfer;
using ledger::Phase;
using ::testing::HasSubstr;
using ::testing::NiceMock;

constexpr char kWallet[] = "wallet:user-1";
constexpr char kOrders[] = "orders:EUR";

// Lets a test say when a transfer is made, and when that is told.
class HeldStore final : public NiceMock<ledger::MockLedgerStore> {
 public:
  std::function<void(const std::string&, std::vector<NewTransfer>, Posted)> post;
  void Post(const std::string& client, std::vector<NewTransfer> transfers, Posted posted) override {
    post(client, std::move(transfers), std::move(posted));
  }
};

class WalletWorld {
 public:
  WalletWorld() {
    ON_CALL(store_, CreateAccounts).WillByDefault([this](const auto& client, const auto& accounts) {
      return memory_.CreateAccounts(client, accounts);
    });
    ON_CALL(store_, GetTransfer).WillByDefault([this](const auto& client, const auto& id) {
      return memory_.GetTransfer(client, id);
    });
    ON_CALL(store_, GetTransfers).WillByDefault([this](const auto& client, const auto& ids) {
      return memory_.GetTransfers(client, ids);
    });
    ON_CALL(store_, GetAccounts).WillByDefault([this](const auto& client, const auto& accounts) {
      return memory_.GetAccounts(client, accounts);
    });
    ON_CALL(store_, GetRefusal).WillByDefault([this](const auto& client, const auto& id) {
      return memory_.GetRefusal(client, id);
    });
    store_.post = [this](const auto& client, auto transfers, auto posted) {
      Post(client, std::move(transfers), std::move(posted));
    };
    ledger::NewAccount wallet{kWallet, "user-1", "EUR", "wallet", 1, {}, "", {}};
    wallet.flags.debits_must_not_exceed_credits = true;
    EXPECT_TRUE(memory_.CreateAccounts("shop", {wallet, {"bank", "", "EUR", "bank", 1, {}, "", {}}}).ok());
    Move("funds", "bank", kWallet);

    ledger::AddWalletGateway(server_, wallets_, workers_);
    EXPECT_TRUE(server_.Start().ok());
    client_ = std::make_unique<rpc::Client>(
        client_thread_,
        std::vector<std::shared_ptr<grpc::Channel>>{rpc::MakeChannel("127.0.0.1:" + std::to_string(server_.port()))});
    gateway_ = std::make_unique<RemoteGateway>(*client_);
  }
  ~WalletWorld() {
    client_.reset();
    Meet(Fate::kOrdinary);
    Land();
    for (const auto& answer : lost_) answer();
    server_.Drain(SteadyTime::InfinitePast());
    workers_.Stop();
  }

  PaymentGateway& gateway() { return *gateway_; }
  storage::testing::MemoryLedgerStore& ledger() { return memory_; }
  waybill::testing::ManualTime& time() { return time_; }

  void DeclineNext() { Move("away", kWallet, "bank"); }
  void LoseNextAnswer() { Meet(Fate::kLost); }
  void SlowNext() { Meet(Fate::kSlow); }
  // Once it has come, if it was to be slow.
  void Land() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(met_.wait_for(lock, std::chrono::seconds(20), [&] { return fate_ == Fate::kOrdinary; }));
    const auto landing = std::exchange(slow_, nullptr);
    lock.unlock();
    if (landing) landing();
  }
  int64_t NetMinor() {
    const auto account = memory_.GetAccount("shop", kOrders);
    return account.ok() ? account->balance.credits_posted - account->balance.debits_posted : 0;
  }

 private:
  enum class Fate { kOrdinary, kLost, kSlow };

  void Move(const std::string& id, const std::string& from, const std::string& to) {
    NewTransfer transfer;
    transfer.id = id;
    transfer.debit_account = from;
    transfer.credit_account = to;
    transfer.currency = "EUR";
    transfer.code = 1;
    transfer.amount_minor = 1'000;
    EXPECT_EQ(memory_.PostAndWait("shop", {transfer})->front().result, ledger::TransferResult::kCreated);
  }

  void Meet(Fate fate) {
    const std::lock_guard lock(mutex_);
    fate_ = fate;
  }

  // What lets money go meets no fate: it was not meant.
  void Post(const std::string& client, std::vector<NewTransfer> transfers, storage::LedgerStore::Posted posted) {
    Fate fate = Fate::kOrdinary;
    {
      const std::lock_guard lock(mutex_);
      if (transfers.front().phase != Phase::kVoid) fate = std::exchange(fate_, fate);
      if (fate == Fate::kSlow) slow_ = [this, client, transfers, posted] { memory_.Post(client, transfers, posted); };
    }
    met_.notify_all();
    if (fate == Fate::kSlow) return;
    if (fate == Fate::kLost) {
      posted = [this, posted](auto outcomes) {
        const std::lock_guard lock(mutex_);
        lost_.push_back([posted, outcomes] { posted(outcomes); });
      };
    }
    memory_.Post(client, std::move(transfers), std::move(posted));
  }

  waybill::testing::ManualTime time_;
  storage::testing::MemoryLedgerStore memory_{time_};
  HeldStore store_;
  std::mutex mutex_;  // over what follows, up to the next empty line
  std::condition_variable met_;
  Fate fate_ = Fate::kOrdinary;
  std::function<void()> slow_;
  std::vector<std::function<void()>> lost_;

  ledger::Counterparts counterparts_{store_};
  ledger::WalletGateway wallets_{store_, counterparts_, {"shop"}};
  WorkerPool workers_{4, 100};
  Metrics metrics_;
  rpc::Server server_{rpc::ServerOptions{}, metrics_};
  rpc::ClientThread client_thread_;
  std::unique_ptr<rpc::Client> client_;
  std::unique_ptr<RemoteGateway> gateway_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Wallet, GatewayContract, WalletWorld);
// The ledger has no more to say than yes or no, and whoever comes while another one's transfer is on its way is
// answered by whichever is first.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PendingGatewayContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SlowGatewayContract);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(DispatchContract);

class WalletGatewayTest : public ::testing::Test {
 protected:
  std::string DeclineReason(const std::string& key, const domain::Order& order) {
    auto answer = ChargeNow(world_.gateway(), CallFor(key), order);
    if (!answer.ok() || answer->declined() == nullptr) return "not declined";
    EXPECT_TRUE(answer->declined()->retryable) << "another gateway may have the money";
    return answer->declined()->reason;
  }

  WalletWorld world_;
};

TEST_F(WalletGatewayTest, SaysWhyAWalletDoesNotPay) {
  EXPECT_EQ(DeclineReason("a", OrderOf(1'001)), "INSUFFICIENT_FUNDS");
  domain::Order stranger = OrderOf(100);
  stranger.user_id = "user-2";
  EXPECT_EQ(DeclineReason("b", stranger), "NO_WALLET");
  stranger.user_id = "nobody's id";
  EXPECT_EQ(DeclineReason("c", stranger), "NO_WALLET");
  domain::Order dollars = OrderOf(100);
  dollars.currency = "USD";
  EXPECT_EQ(DeclineReason("d", dollars), "OTHER_CURRENCY");
  ASSERT_TRUE(world_.ledger().SetClosed("shop", kWallet, true).ok());
  EXPECT_EQ(DeclineReason("e", OrderOf(100)), "WALLET_CLOSED");
}

TEST_F(WalletGatewayTest, HoldsAreTransfersOfTheLedgerAndEndByThemselves) {
  auto held = AuthorizeNow(world_.gateway(), CallFor("a"), OrderOf(900));
  ASSERT_TRUE(held.ok() && held->approved()) << held.status();
  EXPECT_EQ(held->approved()->expires, world_.time().Now() + absl::Hours(7 * 24));
  EXPECT_EQ(DeclineReason("b", OrderOf(200)), "INSUFFICIENT_FUNDS") << "held is not there";
  const auto transfer = world_.ledger().GetTransfer("shop", held->approved()->reference);
  EXPECT_EQ(transfer->phase, Phase::kPending);
  EXPECT_EQ(transfer->user_data, CallFor("a").order_id);
  world_.time().Advance(absl::Hours(7 * 24));
  auto late = CaptureNow(world_.gateway(), CallFor("a"), OrderOf(900));
  ASSERT_TRUE(late.ok() && late->refused()) << late.status();
  EXPECT_EQ(late->refused()->reason, "EXPIRED");
  EXPECT_EQ(RefundNow(world_.gateway(), CallFor("a"), OrderOf(900)).status().code(), absl::StatusCode::kAborted)
      << "by the clock of another process it may still be captured";
  ASSERT_EQ(*world_.ledger().ExpireDue(10), 1);
  EXPECT_EQ(RefundNow(world_.gateway(), CallFor("a"), OrderOf(900))->refunded_minor, 0);
  EXPECT_EQ(world_.NetMinor(), 0);
  auto again = AuthorizeNow(world_.gateway(), CallFor("a"), OrderOf(900));
  ASSERT_TRUE(again.ok() && again->declined()) << again.status();
  EXPECT_EQ(again->declined()->reason, "KEY_CLOSED") << "it must not look held";
}

TEST_F(WalletGatewayTest, WhatIsHeldIsTakenWhenTheWalletIsOpenAgain) {
  ASSERT_TRUE(AuthorizeNow(world_.gateway(), CallFor("a"), OrderOf(900))->approved());
  ASSERT_TRUE(world_.ledger().SetClosed("shop", kWallet, true).ok());
  EXPECT_FALSE(CaptureNow(world_.gateway(), CallFor("a"), OrderOf(900)).ok());
  ASSERT_TRUE(world_.ledger().SetClosed("shop", kWallet, false).ok());
  EXPECT_TRUE(CaptureNow(world_.gateway(), CallFor("a"), OrderOf(900))->captured());
  EXPECT_EQ(world_.NetMinor(), 900);
}

TEST_F(WalletGatewayTest, AKeyOfAnotherClientMovesNothing) {
  ledger::Counterparts counterparts(world_.ledger());
  const ledger::WalletGateway wallets(world_.ledger(), counterparts, {"shop"});
  access::Caller caller;
  EXPECT_TRUE(wallets.CheckCaller(caller).ok()) << "where the service runs open";
  caller.key_id = "k";
  caller.client = "acme";
  EXPECT_EQ(GetErrorDetail(wallets.CheckCaller(caller)).reason, "CLIENT_MISMATCH");
  caller.client = "shop";
  EXPECT_TRUE(wallets.CheckCaller(caller).ok());
}

TEST_F(WalletGatewayTest, HowLongIsHeldMayBeSetAnewAndNothingElse) {
  ASSERT_TRUE(AuthorizeNow(world_.gateway(), CallFor("a"), OrderOf(100))->approved());
  ledger::Counterparts counterparts(world_.ledger());
  ledger::WalletOptions options{"shop"};
  options.hold = absl::Hours(1);
  ledger::WalletGateway shorter(world_.ledger(), counterparts, options);
  waybill::payment::v1::ChargeRequest request;
  request.set_idempotency_key("a");
  request.set_order_id(CallFor("a").order_id);
  request.set_user_id("user-1");
  request.set_currency("EUR");
  request.set_amount_minor(100);
  EXPECT_TRUE(shorter.Authorize(request)->has_approved());
  request.set_amount_minor(500);
  EXPECT_EQ(shorter.Authorize(request).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(WalletGatewayTest, AKeyIsForOneCharge) {
  ASSERT_TRUE(ChargeNow(world_.gateway(), CallFor("a"), OrderOf(100))->approved());
  EXPECT_EQ(ChargeNow(world_.gateway(), CallFor("a"), OrderOf(101)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(AuthorizeNow(world_.gateway(), CallFor("a"), OrderOf(100)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(world_.NetMinor(), 100);
}

TEST_F(WalletGatewayTest, ManyPartsGoBackAndNoMoreThanThereWas) {
  ASSERT_TRUE(ChargeNow(world_.gateway(), CallFor("a"), OrderOf(100))->approved());
  for (int n = 0; n < 40; ++n) {
    ASSERT_TRUE(RefundPartNow(world_.gateway(), CallFor("a"), "r-" + std::to_string(n), 2)->refunded()) << n;
  }
  EXPECT_EQ(world_.NetMinor(), 20);
  // A wallet that is closed takes nothing back, for a while.
  ASSERT_TRUE(world_.ledger().SetClosed("shop", kWallet, true).ok());
  EXPECT_FALSE(RefundNow(world_.gateway(), CallFor("a"), OrderOf(100)).ok());
  EXPECT_FALSE(RefundPartNow(world_.gateway(), CallFor("a"), "r-x", 1).ok());
  ASSERT_TRUE(world_.ledger().SetClosed("shop", kWallet, false).ok());
  auto whole = RefundNow(world_.gateway(), CallFor("a"), OrderOf(100));
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->refunded_minor, 100);
  EXPECT_THAT(whole->reference, ::testing::EndsWith(":refund:41"))
      << "what cannot be is not tried, and takes no number";
  EXPECT_EQ(world_.NetMinor(), 0);
  EXPECT_EQ(RefundPartNow(world_.gateway(), CallFor("a"), "r-x", 1)->refused()->reason, "TOO_LATE");
}

TEST(WalletOptionsTest, PatternsSayWhoAndWhat) {
  const auto complaint = [](const ledger::WalletOptions& options) {
    return std::string(ledger::CheckWallets(options).message());
  };
  EXPECT_EQ(complaint({}), "");
  EXPECT_EQ(complaint({"shop"}), "");
  EXPECT_THAT(complaint({"(waybill)"}), HasSubstr("--wallet-client"));
  EXPECT_THAT(complaint({"shop", "wallet"}), HasSubstr("--wallet-account: there is no {user}"));
  EXPECT_THAT(complaint({"shop", "wallet of {user}"}), HasSubstr("--wallet-account: with u"));
  EXPECT_THAT(complaint({"shop", "w:{user}", "orders"}), HasSubstr("--wallet-orders"));
  EXPECT_THAT(complaint({"shop", "w:{user}", "o:{currency}", absl::ZeroDuration()}), HasSubstr("--wallet-hold"));
}

}  // namespace
}  // namespace waybill::order
