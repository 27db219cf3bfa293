// Orders that are paid from wallets of waybill-ledger, as a gateway among others: by holds that are taken or let go,
// while both services die.
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::testing {
namespace {

namespace ledger_pb = ledger::v1;
using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(60);
constexpr int64_t kOrder = 1'250;

StackOptions WalletOptions(const std::string& gateways_file) {
  StackOptions options;
  options.builtin_gateway = true;  // the stack's sandbox is named by the file
  options.order_args = {"--gateways-file", gateways_file, "--lease",     "1500ms", "--attempt-timeout", "500ms",
                        "--attempts-max",  "1000",        "--retry-for", "5m",     "--backoff",         "20ms"};
  return options;
}

class WalletStack {
 public:
  explicit WalletStack(const std::string& capture) : stack_(WalletOptions(File())) {
    std::ofstream(File()) << fmt::format(
        "[[gateway]]\nname = \"wallet\"\naddress = \"grpc://127.0.0.1:{}\"\ncost_ppm = 0\ncapture = \"{}\"\n"
        "[[gateway]]\nname = \"north\"\naddress = \"grpc://127.0.0.1:{}\"\ncost_ppm = 10000\n",
        port_.port(), capture, stack_.sandbox_port());
    StartLedger();  // makes the tables
    stack_.AddReplica("replica-1").Start();
  }
  Stack* operator->() { return &stack_; }
  OrderReplica& replica() { return stack_.replica(); }

  void StartLedger() {
    auto started = Process::Start(
        WAYBILL_LEDGER_BINARY,
        {.args = {"--listen", Address(), "--side-listen", "127.0.0.1:0", "--wallet-client", "shop", "--migrate"},
         .env = {{"DATABASE_URL", stack_.database_url()}, {"REDIS_URL", stack_.redis_url()}}});
    ASSERT_TRUE(started.ok()) << started.status();
    ledger_ = *std::move(started);
    ASSERT_TRUE(ledger_->WaitForLine("\"grpc_port\"", kPatience)) << ledger_->Output();
  }
  void KillLedger() {
    ASSERT_TRUE(ledger_->Signal(SIGKILL));
    ASSERT_TRUE(ledger_->Wait(kPatience));
  }

  // A wallet that cannot be overdrawn, with so much in it.
  void Fund(int64_t amount_minor) {
    const auto stub = ledger_pb::LedgerService::NewStub(ConnectTo(port_.port()));
    ledger_pb::CreateAccountsRequest accounts;
    for (const char* id : {"wallet:user-1", "bank"}) {
      ledger_pb::NewAccount& account = *accounts.add_accounts();
      account.set_account_id(id);
      account.set_currency("EUR");
      account.set_kind("wallet");
      account.set_code(1);
    }
    accounts.mutable_accounts(0)->mutable_flags()->set_debits_must_not_exceed_credits(true);
    ledger_pb::CreateAccountsResponse opened;
    auto opening = OfTheShop();
    ASSERT_TRUE(stub->CreateAccounts(opening.get(), accounts, &opened).ok());
    ledger_pb::CreateTransfersRequest funds;
    ledger_pb::NewTransfer& transfer = *funds.add_transfers();
    transfer.set_transfer_id("funds");
    transfer.set_debit_account_id("bank");
    transfer.set_credit_account_id("wallet:user-1");
    transfer.set_currency("EUR");
    transfer.set_code(1);
    transfer.set_amount_minor(amount_minor);
    ledger_pb::CreateTransfersResponse made;
    auto making = OfTheShop();
    ASSERT_TRUE(stub->CreateTransfers(making.get(), funds, &made).ok());
    ASSERT_EQ(made.outcomes(0).result(), ledger_pb::TransferOutcome::CREATED);
  }
  ledger_pb::Balance BalanceOf(const std::string& account) {
    const auto stub = ledger_pb::LedgerService::NewStub(ConnectTo(port_.port()));
    ledger_pb::GetAccountRequest request;
    request.set_account_id(account);
    ledger_pb::Account found;
    auto context = OfTheShop();
    EXPECT_TRUE(stub->GetAccount(context.get(), request, &found).ok());
    return found.balance();
  }
  std::string OrdersBy(const std::string& gateway, const std::string& state) {
    return stack_.sql().Value(
        fmt::format("SELECT count(*) FROM payment_attempts WHERE gateway = '{}' AND state = '{}'", gateway, state));
  }

  // Places until each is answered, whatever dies; `meanwhile` is called before each.
  std::vector<std::string> Place(int orders, const std::function<void(int)>& meanwhile) {
    std::vector<std::string> complaints;
    for (int i = 0; i < orders; ++i) {
      meanwhile(i);
      grpc::Status status;
      for (const absl::Time give_up = absl::Now() + kPatience; absl::Now() < give_up;) {
        order::v1::Order order;
        auto context = Deadline(absl::Seconds(2));
        context->set_wait_for_ready(false);
        status =
            replica().Orders()->CreateOrder(context.get(), OrderRequestFor(fmt::format("o-{}", i), kOrder), &order);
        if (status.ok() || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) break;
        if (Eventually(absl::Milliseconds(200), [&] { return !replica().running(); })) replica().Start();
      }
      if (!status.ok() && status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED) {
        complaints.push_back(status.error_message());
      }
    }
    return complaints;
  }

 private:
  std::string Address() const { return fmt::format("127.0.0.1:{}", port_.port()); }
  std::string File() const { return directory_.path().string() + "/gateways.toml"; }
  static std::unique_ptr<grpc::ClientContext> OfTheShop() { return Deadline(absl::Seconds(20), "shop"); }

  TempDirectory directory_;
  ReservedPort port_;
  Stack stack_;
  std::unique_ptr<Process> ledger_;
};

class Wallets : public ::testing::TestWithParam<const char*> {};

TEST_P(Wallets, PayWhatTheyHoldAndAnotherGatewayTheRestWhateverDies) {
  constexpr int kOrders = 24, kPaidByWallet = 9;
  WalletStack stack(GetParam());
  stack.Fund(kPaidByWallet * kOrder + 1);
  stack->PutDrivers(kOrders);
  const auto dying = [&](int i) {
    if (i == 3 || i == 7) {
      stack.KillLedger();
      stack.StartLedger();
    }
    if (i == 5) {
      stack.replica().Kill();
      stack.replica().Start({{"WAYBILL_FAILPOINT", "charge.after_receive=kill@2"}});
    }
  };
  EXPECT_THAT(stack.Place(kOrders, dying), IsEmpty());
  if (!stack.replica().running()) stack.replica().Start();
  ASSERT_TRUE(stack->WaitUntilAllSettled()) << stack->Unfinished();
  EXPECT_EQ(stack->sql().Value("SELECT string_agg(DISTINCT state::text, ',') FROM order_sagas"), "succeeded");

  // Each order is paid once, by one of the two, and both say the same as we do. While the ledger is away, the other
  // gateway is asked.
  const std::string by_wallet = stack.OrdersBy("wallet", "approved");
  const int64_t paid = std::stoll(by_wallet) * kOrder;
  EXPECT_GT(paid, 0);
  EXPECT_EQ(std::stoll(by_wallet) + std::stoll(stack.OrdersBy("north", "approved")), kOrders);
  EXPECT_EQ(stack.BalanceOf("orders:EUR").credits_posted() - stack.BalanceOf("orders:EUR").debits_posted(), paid);
  EXPECT_EQ(stack.BalanceOf("wallet:user-1").debits_pending(), 0) << "nothing is left on hold";
  EXPECT_EQ(stack.BalanceOf("wallet:user-1").debits_posted() - stack.BalanceOf("orders:EUR").debits_posted(), paid);
}

TEST_P(Wallets, HaveTheirMoneyBackWhenThereIsNoDriver) {
  WalletStack stack(GetParam());
  stack.Fund(10 * kOrder);
  EXPECT_THAT(stack.Place(2, [](int) {}), IsEmpty());
  ASSERT_TRUE(stack->WaitUntilAllSettled()) << stack->Unfinished();
  EXPECT_EQ(stack->sql().Value("SELECT count(*) FROM order_sagas WHERE state = 'compensated'"), "2");
  const bool later = std::string(GetParam()) == "later";
  EXPECT_EQ(stack.OrdersBy("wallet", later ? "closed" : "refunded"), "2");
  EXPECT_EQ(stack.BalanceOf("orders:EUR").credits_posted(), later ? 0 : 2 * kOrder);
  EXPECT_EQ(stack.BalanceOf("orders:EUR").credits_posted(), stack.BalanceOf("orders:EUR").debits_posted());
  EXPECT_EQ(stack.BalanceOf("wallet:user-1").debits_pending(), 0);
}

INSTANTIATE_TEST_SUITE_P(Captured, Wallets, ::testing::Values("now", "later"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace waybill::testing
