// Payouts with the built binaries: waybill-order and its ledger, the sandbox's payout gateway that loses answers,
// refuses and takes its time, and kill -9 around the call. Whatever happens, each is paid once or not at all, and the
// books of both say the same.
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/failpoint.h"
#include "tests/cli/run_binary.h"
#include "tests/e2e/stack.h"
#include "tests/support/document.h"
#include "tests/support/eventually.h"
#include "waybill/payouts/v1/payouts.grpc.pb.h"

namespace waybill::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
namespace payouts_pb = waybill::payouts::v1;

constexpr absl::Duration kPayoutPatience = absl::Seconds(60);
constexpr int64_t kDeposit = 1'000'000;

class PayoutsE2eTest : public ::testing::Test {
 protected:
  explicit PayoutsE2eTest(const StackOptions& options = Options()) : stack_(options), replica_(stack_.AddReplica("a")) {
    replica_.Start();
  }

  // The client's wallet, with money in it, as its ledger has it.
  void SetUp() override {
    stack_.sql().Exec(fmt::format(
        "INSERT INTO ledger_accounts (client, id, currency, kind, code, debits_must_not_exceed_credits) VALUES "
        "('e2e', 'bank', 'EUR', 'bank', 1, false), ('e2e', 'driver', 'EUR', 'wallet', 1, true); "
        "INSERT INTO ledger_transfers (client, id, phase, debit_account, credit_account, amount, currency, code, "
        "write, created_at) SELECT 'e2e', 'top-up', 'single', b.number, d.number, {}, 'EUR', 1, 0, clock_timestamp() "
        "FROM ledger_accounts b, ledger_accounts d WHERE b.id = 'bank' AND d.id = 'driver'",
        kDeposit));
  }

  static StackOptions Options() {
    StackOptions options;
    options.builtin_gateway = true;
    options.payouts = true;
    options.order_args = {"--lease", "1500ms", "--attempt-timeout", "500ms", "--backoff", "20ms"};
    return options;
  }

  std::unique_ptr<payouts_pb::PayoutService::Stub> Service() {
    return payouts_pb::PayoutService::NewStub(replica_.Channel());
  }
  static payouts_pb::CreatePayoutRequest Asked(const std::string& id, int64_t amount_minor = 100) {
    payouts_pb::CreatePayoutRequest request;
    request.set_payout_id(id);
    request.set_account_id("driver");
    request.mutable_amount()->set_minor_units(amount_minor);
    request.mutable_amount()->set_currency("EUR");
    request.set_destination("DE02120300000000202051");
    return request;
  }
  // As a client does that wants to know: asks again under the same id until it is decided, whoever dies meanwhile.
  payouts_pb::Payout Insist(const payouts_pb::CreatePayoutRequest& request, const Environment& env = {}) {
    payouts_pb::Payout payout;
    bool decided = false;
    EXPECT_TRUE(Eventually(kPayoutPatience, [&] {
      if (!replica_.running()) {
        replica_.Kill();
        replica_.StartWithoutWaiting(env);
        replica_.WaitForPorts();
      }
      auto context = Deadline(absl::Seconds(5));
      const grpc::Status status = Service()->CreatePayout(context.get(), request, &payout);
      decided = status.ok() && payout.status() != payouts_pb::OPEN && payout.status() != payouts_pb::PENDING;
      return decided;
    })) << request.payout_id();
    return payout;
  }
  payouts_pb::Payout Get(const std::string& id) {
    payouts_pb::GetPayoutRequest request;
    request.set_payout_id(id);
    payouts_pb::Payout payout;
    auto context = Deadline(absl::Seconds(10));
    const grpc::Status status = Service()->GetPayout(context.get(), request, &payout);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return payout;
  }
  std::map<std::string, sandbox::v1::Books::Entry> SandboxBooks() {
    sandbox::v1::Books books;
    auto context = Deadline(absl::Seconds(10));
    const grpc::Status status = sandbox::v1::SandboxAdmin::NewStub(ConnectTo(stack_.sandbox_port()))
                                    ->GetBooks(context.get(), sandbox::v1::GetBooksRequest(), &books);
    EXPECT_TRUE(status.ok()) << status.error_message();
    std::map<std::string, sandbox::v1::Books::Entry> entries;
    for (const auto& entry : books.entries()) entries[entry.idempotency_key()] = entry;
    return entries;
  }
  int64_t Number(const std::string& sql) { return std::stoll(stack_.sql().Value(sql)); }

  // Once nothing is open: what is wrong, by the gateway's books, by ours, and by the ledger.
  std::vector<std::string> WrongInTheBooks() {
    std::vector<std::string> wrong;
    if (!stack_.WaitUntilAllSettled()) wrong.push_back("sagas never settle");
    int64_t sent = 0;
    for (const auto& [key, entry] : SandboxBooks()) {
      if (entry.payouts() > 1) wrong.push_back(key + " was paid more than once");
      sent += entry.paid_out_minor();
      const std::string state = stack_.sql().Value("SELECT state FROM payouts WHERE idempotency_key = $1", {key});
      if ((state == "paid") != (entry.payouts() == 1)) wrong.push_back(key + " is " + state + " here");
    }
    const int64_t paid = Number("SELECT COALESCE(sum(amount_minor), 0) FROM payouts WHERE state = 'paid'");
    const int64_t left = Number("SELECT credits_posted - debits_posted FROM ledger_accounts WHERE id = 'driver'");
    const int64_t cleared =
        Number("SELECT COALESCE(sum(credits_posted), 0) FROM ledger_accounts WHERE client = '(waybill)'");
    const int64_t held = Number("SELECT sum(debits_pending + credits_pending) FROM ledger_accounts");
    if (paid != sent) wrong.push_back(fmt::format("{} are paid here, and {} were sent", paid, sent));
    if (left != kDeposit - sent) wrong.push_back(fmt::format("the account has {}, and {} were sent", left, sent));
    if (cleared != sent) wrong.push_back(fmt::format("{} were cleared, and {} sent", cleared, sent));
    if (held != 0) wrong.push_back(fmt::format("{} are held still", held));
    return wrong;
  }
  cli::Ran Run(std::vector<std::string> args) {
    return cli::RunBinary(WAYBILL_BINARY, std::move(args),
                          {{"WAYBILL_SERVER", fmt::format("127.0.0.1:{}", replica_.port())},
                           {"WAYBILL_CLIENT", "e2e"},
                           {"WAYBILL_SANDBOX", fmt::format("127.0.0.1:{}", stack_.sandbox_port())}});
  }

  Stack stack_;
  OrderReplica& replica_;
};

TEST_F(PayoutsE2eTest, IsPaidOnceOrRefusedWhereverItsProcessIsKilled) {
  ASSERT_TRUE(kFailpointsCompiledIn);
  // Those of payouts, and of the commits in which they begin and end.
  std::vector<std::string> failpoints = {"begin.before_commit", "begin.after_commit", "advance.before_commit",
                                         "advance.after_commit"};
  for (const std::string_view name : kFailpoints) {
    if (name.starts_with("pay_out.") || name.starts_with("create_payout.")) failpoints.emplace_back(name);
  }
  EXPECT_GE(failpoints.size(), 7u);
  for (const bool refused : {false, true}) {
    sandbox::v1::Behaviour behaviour;
    behaviour.set_decline_rate(refused ? 1 : 0);
    stack_.SetBehaviour(behaviour, sandbox::v1::PAYOUTS);
    for (const std::string& failpoint : failpoints) {
      if (replica_.running()) replica_.Kill();
      replica_.Start({{"WAYBILL_FAILPOINT", failpoint + "=kill"}});
      auto context = Deadline(absl::Seconds(10));
      payouts_pb::Payout payout;
      const std::string id = fmt::format("{}-{}", failpoint, refused);
      (void)Service()->CreatePayout(context.get(), Asked(id), &payout);
      EXPECT_TRUE(Eventually(kPayoutPatience, [&] { return !replica_.running(); })) << failpoint << " never fired";
      payout = Insist(Asked(id));
      EXPECT_EQ(payout.status(), refused ? payouts_pb::REFUSED : payouts_pb::PAID) << id;
    }
  }
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
  for (const char* state : {"paid", "refused"}) {
    EXPECT_EQ(Number(fmt::format("SELECT count(*) FROM payouts WHERE state = '{}'", state)), failpoints.size());
  }
}

TEST_F(PayoutsE2eTest, UnknownIsNeitherPaidNorRefused) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_unavailable_rate(0.2);
  behaviour.set_lost_before_rate(0.2);
  behaviour.set_lost_after_rate(0.2);
  behaviour.set_slow_rate(0.2);
  behaviour.set_decline_rate(0.3);
  behaviour.set_late_ms(700);
  behaviour.set_repetition(sandbox::v1::REPETITION_ABORTED);
  stack_.SetBehaviour(behaviour, sandbox::v1::PAYOUTS);
  for (int i = 0; i < 30; ++i) {
    payouts_pb::CreatePayoutRequest request = Asked(fmt::format("p{}", i), 100 + i);
    payouts_pb::Payout payout;
    auto context = Deadline(absl::Milliseconds(300));
    (void)Service()->CreatePayout(context.get(), request, &payout);
    if (i == 15) replica_.Kill();
    if (i == 15) replica_.Start();
  }
  for (int i = 0; i < 30; ++i) Insist(Asked(fmt::format("p{}", i), 100 + i));
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

TEST_F(PayoutsE2eTest, APendingOneEndsAsTheGatewayDecides) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_pending_rate(1);
  behaviour.set_pending_for_ms(3'600'000);
  stack_.SetBehaviour(behaviour, sandbox::v1::PAYOUTS);
  std::map<std::string, std::string> tokens;  // by saga
  for (const char* id : {"paid", "refused"}) {
    payouts_pb::Payout payout;
    auto context = Deadline(absl::Seconds(10));
    ASSERT_TRUE(Service()->CreatePayout(context.get(), Asked(id), &payout).ok());
    EXPECT_EQ(payout.status(), payouts_pb::PENDING);
    tokens[payout.saga_id()] = SandboxBooks()[payout.saga_id() + "/pay_out"].pending_token();
    EXPECT_EQ(
        Run({"sandbox", "decide", tokens[payout.saga_id()], id == std::string("paid") ? "approved" : "declined"}).code,
        0);
  }
  EXPECT_EQ(Number("SELECT debits_pending FROM ledger_accounts WHERE id = 'driver'"), 200);
  for (const auto& [saga, token] : tokens) {
    const cli::Ran signalled = Run(
        {"saga", "signal", saga, "--step", "pay_out", "--token", token, "--outcome", "succeeded", "--operator", "ada"});
    EXPECT_EQ(signalled.code, 0) << signalled.output;
  }
  EXPECT_TRUE(Eventually(kPayoutPatience, [&] { return Get("paid").status() == payouts_pb::PAID; }));
  EXPECT_TRUE(Eventually(kPayoutPatience, [&] { return Get("refused").status() == payouts_pb::REFUSED; }));
  behaviour.set_pending_for_ms(500);
  stack_.SetBehaviour(behaviour, sandbox::v1::PAYOUTS);
  EXPECT_EQ(Insist(Asked("in-time")).status(), payouts_pb::PAID);
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

TEST_F(PayoutsE2eTest, TheCommandLinePaysAndShows) {
  const std::vector<std::string> create = {"payout", "create", "driver", "--amount",      "125.00 EUR", "--to",
                                           "DE02",   "--id",   "week-7", "--description", "week 7"};
  for (int i = 0; i < 2; ++i) {
    const cli::Ran ran = Run(create);
    EXPECT_EQ(ran.code, 0) << ran.output;
    EXPECT_THAT(ran.output, AllOf(HasSubstr("PAID"), HasSubstr("125.00 EUR"), HasSubstr("po_1")));
  }
  const cli::Ran poor = Run({"payout", "create", "driver", "--amount", "9999999 EUR", "--to", "DE02", "--id", "all"});
  EXPECT_EQ(poor.code, 6) << poor.output;
  EXPECT_THAT(poor.output, HasSubstr("INSUFFICIENT_FUNDS"));
  EXPECT_EQ(Run({"payout", "create", "nobody", "--amount", "1 EUR", "--to", "DE02"}).code, 4);
  EXPECT_THAT(Run({"payout", "get", "week-7"}).output, HasSubstr("week 7"));
  EXPECT_EQ(Run({"payout", "get", "other"}).code, 3);
  // The ids are each client's own; an operator says whose.
  EXPECT_EQ(Run({"--client", "clerk", "payout", "get", "week-7"}).code, 3);
  EXPECT_THAT(Run({"--client", "clerk", "payout", "get", "week-7", "--of", "e2e"}).output, HasSubstr("week 7"));
  EXPECT_THAT(Run({"payout", "list"}).output, AllOf(HasSubstr("week-7"), HasSubstr("REFUSED")));
  EXPECT_THAT(Run({"payout", "list", "--status", "paid"}).output, Not(HasSubstr("INSUFFICIENT_FUNDS")));
  EXPECT_THAT(Run({"saga", "list", "--kind", "payout", "--state", "succeeded"}).output, HasSubstr("payout"));
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

// Rules of risk about payouts: there before the service that reads them.
struct PayoutRules {
  PayoutRules() {
    std::ofstream(File())
        << "version = \"1\"\n"
           "[[rule]]\nname = \"large\"\nkind = \"amount\"\nabout = [\"payouts\"]\ncurrency = \"EUR\"\n"
           "from = 50000\ndecide = \"review\"\n"
           "[[rule]]\nname = \"stolen\"\nkind = \"list\"\nabout = [\"payouts\"]\nby = \"destination\"\n"
           "values = [\"stolen-account\"]\ndecide = \"deny\"\n";
  }
  std::string File() const { return directory.path().string() + "/risk.toml"; }
  StackOptions With(StackOptions options) const {
    options.order_args.insert(options.order_args.end(), {"--risk-file", File()});
    return options;
  }
  TempDirectory directory;
};

class AssessedPayoutsE2eTest : protected PayoutRules, public PayoutsE2eTest {
 protected:
  AssessedPayoutsE2eTest() : PayoutsE2eTest(With(Options())) {}

  int64_t Held() { return Number("SELECT debits_pending FROM ledger_accounts WHERE id = 'driver'"); }
  cli::Ran Create(const std::string& id, const std::string& amount, const std::string& to) {
    return Run({"payout", "create", "driver", "--amount", amount, "--to", to, "--id", id});
  }
  cli::Ran Decide(const std::string& id, const std::string& how) {
    return Run({"risk", how, Get(id).saga_id(), "--reason", "called the driver", "--operator", "ann"});
  }
};

TEST_F(AssessedPayoutsE2eTest, APersonDecidesWhatIsHeldAndWhatIsDeniedIsFree) {
  for (const char* id : {"yes", "no"}) {
    const cli::Ran waits = Create(id, "600.00 EUR", "DE02");
    EXPECT_EQ(waits.code, 5) << waits.output;
    EXPECT_THAT(waits.output, AllOf(HasSubstr("AWAITING_REVIEW"), HasSubstr("waybill risk approve")));
  }
  EXPECT_EQ(Held(), 120'000);
  const cli::Ran denied = Create("stolen", "10.00 EUR", "stolen-account");
  EXPECT_EQ(denied.code, 6) << denied.output;
  EXPECT_THAT(denied.output, AllOf(HasSubstr("REFUSED"), HasSubstr("RISK_DENIED")));
  EXPECT_EQ(Held(), 120'000) << "its hold is free";
  EXPECT_EQ(Create("small", "10.00 EUR", "DE02").code, 0);

  replica_.Kill();
  replica_.Start();
  const cli::Ran reviews = Run({"risk", "reviews"});
  EXPECT_THAT(reviews.output, AllOf(HasSubstr("payout"), HasSubstr("driver"), HasSubstr(Get("yes").saga_id()),
                                    HasSubstr(Get("no").saga_id())));
  const cli::Ran shown = Run({"risk", "show", Get("stolen").saga_id()});
  EXPECT_THAT(shown.output,
              AllOf(HasSubstr("payout "), HasSubstr("the destination is listed"), HasSubstr("to stolen-account")));
  EXPECT_EQ(Decide("yes", "approve").code, 0);
  EXPECT_EQ(Decide("no", "deny").code, 0);
  EXPECT_TRUE(Eventually(kPayoutPatience, [&] { return Get("yes").status() == payouts_pb::PAID; }));
  EXPECT_TRUE(Eventually(kPayoutPatience, [&] { return Get("no").status() == payouts_pb::REFUSED; }));
  EXPECT_EQ(Get("no").refusal(), "RISK_DENIED");
  EXPECT_EQ(Decide("no", "approve").code, 4) << "somebody has decided";
  EXPECT_EQ(Held(), 0);
  EXPECT_EQ(Number("SELECT count(*) FROM ledger_transfers WHERE client = '(waybill)' AND phase = 'void'"), 2);
  EXPECT_EQ(stack_.sql().Value("SELECT string_agg(action || ' ' || subject_kind, ',' ORDER BY sequence) FROM "
                               "audit_entries WHERE action LIKE 'risk.%'"),
            "risk.approve payout,risk.deny payout");
  EXPECT_THAT(Run({"risk", "test", File(), "--since", "1h"}).output, AllOf(HasSubstr("payout"), HasSubstr("stolen")));
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

TEST_F(AssessedPayoutsE2eTest, IsAssessedAndPaidOnceWhereverItsProcessIsKilled) {
  std::vector<std::string> failpoints = {"advance.before_commit", "advance.after_commit", "pay_out.before_send"};
  for (const std::string_view name : kFailpoints) {
    if (name.starts_with("risk.")) failpoints.emplace_back(name);
  }
  for (const std::string& failpoint : failpoints) {
    for (const bool refused : {false, true}) {
      if (refused && failpoint.starts_with("pay_out.")) continue;
      if (replica_.running()) replica_.Kill();
      replica_.Start({{"WAYBILL_FAILPOINT", failpoint + "=kill"}});
      payouts_pb::CreatePayoutRequest request = Asked(fmt::format("{}-{}", failpoint, refused));
      if (refused) request.set_destination("stolen-account");
      auto context = Deadline(absl::Seconds(10));
      payouts_pb::Payout payout;
      (void)Service()->CreatePayout(context.get(), request, &payout);
      EXPECT_TRUE(Eventually(kPayoutPatience, [&] { return !replica_.running(); })) << failpoint << " never fired";
      payout = Insist(request);
      EXPECT_EQ(payout.status(), refused ? payouts_pb::REFUSED : payouts_pb::PAID) << request.payout_id();
    }
  }
  EXPECT_EQ(Number("SELECT count(*) FROM risk_assessments"), Number("SELECT count(*) FROM payouts"));
  EXPECT_THAT(WrongInTheBooks(), IsEmpty());
}

// The example of docs/payouts.md, as it stands there, beside the ledger's own service; which finds the books sound.
TEST_F(PayoutsE2eTest, TheDocumentsExampleRuns) {
  const ReservedPort ledger_port;
  const std::string ledger = fmt::format("127.0.0.1:{}", ledger_port.port());
  ProcessOptions serving;
  serving.args = {"--listen", ledger, "--side-listen", "127.0.0.1:0"};
  serving.env = {{"DATABASE_URL", stack_.database_url()}, {"REDIS_URL", stack_.redis_url()}};
  auto service = Process::Start(WAYBILL_LEDGER_BINARY, serving);
  ASSERT_TRUE(service.ok()) << service.status();
  ASSERT_TRUE((*service)->WaitForLine("\"grpc_port\"", kPayoutPatience)) << (*service)->Output();

  std::string script = ShellOf(WAYBILL_PAYOUTS_DOCUMENT);
  script += "waybill ledger verify\n";
  ProcessOptions options;
  options.args = {"-c", script};
  const std::string binary = WAYBILL_BINARY;
  options.env = {{"PATH", binary.substr(0, binary.rfind('/')) + ":/usr/bin:/bin"},
                 {"WAYBILL_SERVER", fmt::format("127.0.0.1:{}", replica_.port())},
                 {"WAYBILL_SANDBOX", fmt::format("127.0.0.1:{}", stack_.sandbox_port())},
                 {"WAYBILL_LEDGER", ledger},
                 {"WAYBILL_SIDE_PORT", fmt::format("127.0.0.1:{}", replica_.side_port())}};
  auto process = Process::Start("/bin/sh", options);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ((*process)->Wait(kPayoutPatience), 0) << (*process)->Output();
  const std::string output = (*process)->Output();
  for (const char* said : {"175.00 EUR", "PAID", "ACCOUNT_CLOSED", "exit code 6", "INSUFFICIENT_FUNDS",
                           "\"payoutId\":\"tip-1\"", "the ledger is sound"}) {
    EXPECT_THAT(output, HasSubstr(said));
  }
}

}  // namespace
}  // namespace waybill::testing
