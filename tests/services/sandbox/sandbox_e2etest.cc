// The built waybill-sandbox, over gRPC: the contracts of payment.proto, dispatch.proto and sandbox.proto.
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "tests/support/eventually.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"
#include "waybill/dispatch/v1/dispatch.grpc.pb.h"
#include "waybill/payment/v1/payment.grpc.pb.h"
#include "waybill/sandbox/v1/sandbox.grpc.pb.h"

namespace waybill::sandbox {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

namespace payment_pb = waybill::payment::v1;
namespace dispatch_pb = waybill::dispatch::v1;
namespace sandbox_pb = waybill::sandbox::v1;

constexpr absl::Duration kPatience = absl::Seconds(20);

class SandboxE2e : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> flags = {}, int port = 0) {
    std::remove(port_file_.c_str());
    testing::ProcessOptions options;
    options.args = {"--log",         books_,        "--listen",  fmt::format("127.0.0.1:{}", port),
                    "--side-listen", "127.0.0.1:0", "--drivers", "2",
                    "--port-file",   port_file_};
    options.args.insert(options.args.end(), flags.begin(), flags.end());
    auto process = testing::Process::Start(WAYBILL_SANDBOX_BINARY, options);
    ASSERT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    ASSERT_TRUE(process_->WaitForLine("listening on 127.0.0.1:", kPatience).has_value()) << process_->Output();
    std::string line;
    std::ifstream ports(port_file_);
    ASSERT_TRUE(std::getline(ports, line)) << process_->Output();
    ASSERT_EQ(line.rfind("grpc=", 0), 0u) << line;
    port_ = std::stoi(line.substr(5));
    Connect();
  }
  void Connect() {
    channel_ = rpc::MakeChannel(fmt::format("127.0.0.1:{}", port_));
    gateway_ = payment_pb::PaymentGateway::NewStub(channel_);
    dispatcher_ = dispatch_pb::Dispatcher::NewStub(channel_);
    admin_ = sandbox_pb::SandboxAdmin::NewStub(channel_);
  }

  template <typename Stub, typename Req, typename Resp>
  absl::Status Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Req&, Resp*),
                    const Req& request, Resp& response, absl::Duration timeout = kPatience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    context.set_wait_for_ready(true);
    return rpc::FromGrpcStatus((stub.*method)(&context, request, &response));
  }
  absl::StatusOr<payment_pb::ChargeResponse> Charge(const std::string& order, int64_t amount = 500,
                                                    absl::Duration timeout = kPatience) {
    payment_pb::ChargeRequest request;
    request.set_idempotency_key(order + "/charge_payment");
    request.set_order_id(order);
    request.set_user_id("user");
    request.set_amount_minor(amount);
    request.set_currency("EUR");
    payment_pb::ChargeResponse response;
    auto status = Call(*gateway_, &payment_pb::PaymentGateway::Stub::Charge, request, response, timeout);
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<payment_pb::RefundResponse> Refund(const std::string& order) {
    payment_pb::RefundRequest request;
    request.set_idempotency_key(order + "/charge_payment");
    request.set_order_id(order);
    payment_pb::RefundResponse response;
    auto status = Call(*gateway_, &payment_pb::PaymentGateway::Stub::Refund, request, response);
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<payment_pb::Payment> GetPayment(const std::string& order) {
    payment_pb::GetPaymentRequest request;
    request.set_idempotency_key(order + "/charge_payment");
    payment_pb::Payment response;
    auto status = Call(*gateway_, &payment_pb::PaymentGateway::Stub::GetPayment, request, response);
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<dispatch_pb::AssignDriverResponse> Assign(const std::string& order) {
    dispatch_pb::AssignDriverRequest request;
    request.set_idempotency_key(order + "/assign_driver");
    request.set_order_id(order);
    dispatch_pb::AssignDriverResponse response;
    auto status = Call(*dispatcher_, &dispatch_pb::Dispatcher::Stub::AssignDriver, request, response);
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<std::string> Release(const std::string& order) {
    dispatch_pb::ReleaseDriverRequest request;
    request.set_idempotency_key(order + "/assign_driver");
    request.set_order_id(order);
    dispatch_pb::ReleaseDriverResponse response;
    auto status = Call(*dispatcher_, &dispatch_pb::Dispatcher::Stub::ReleaseDriver, request, response);
    if (!status.ok()) return status;
    return response.driver_id();
  }
  absl::StatusOr<sandbox_pb::Behaviours> Behave(const sandbox_pb::SetBehaviourRequest& request) {
    sandbox_pb::Behaviours response;
    auto status = Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::SetBehaviour, request, response);
    if (!status.ok()) return status;
    return response;
  }
  sandbox_pb::Books Books(const std::string& order = "") {
    sandbox_pb::GetBooksRequest request;
    request.set_order_id(order);
    sandbox_pb::Books response;
    EXPECT_TRUE(Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::GetBooks, request, response).ok());
    return response;
  }
  std::string LogContent() const {
    std::ostringstream content;
    content << std::ifstream(books_).rdbuf();
    return content.str();
  }

  testing::TempDirectory directory_;
  const std::string books_ = directory_.path() / "books.log";
  const std::string port_file_ = directory_.path() / "ports";
  std::unique_ptr<testing::Process> process_;
  int port_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<payment_pb::PaymentGateway::Stub> gateway_;
  std::unique_ptr<dispatch_pb::Dispatcher::Stub> dispatcher_;
  std::unique_ptr<sandbox_pb::SandboxAdmin::Stub> admin_;
};

TEST_F(SandboxE2e, KeepsTheGatewaysContract) {
  Start();
  auto charge = Charge("o1");
  ASSERT_TRUE(charge.ok()) << charge.status();
  EXPECT_FALSE(charge->approved().reference().empty());
  EXPECT_THAT(LogContent(),
              HasSubstr(R"("effect":"charge","key":"o1/charge_payment","order_id":"o1","amount_minor":500)"));
  EXPECT_EQ(Charge("o1")->approved().reference(), charge->approved().reference());
  absl::Status other_amount = Charge("o1", 501).status();
  EXPECT_EQ(other_amount.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(other_amount).reason, "KEY_REUSED");
  EXPECT_EQ(GetPayment("o1")->state(), payment_pb::Payment::CHARGED);

  auto refund = Refund("o1");
  ASSERT_TRUE(refund.ok()) << refund.status();
  EXPECT_EQ(refund->refunded_minor(), 500);
  EXPECT_EQ(refund->charge_reference(), charge->approved().reference());
  EXPECT_EQ(Refund("o1")->reference(), refund->reference());
  auto payment = GetPayment("o1");
  EXPECT_EQ(payment->state(), payment_pb::Payment::REFUNDED);
  EXPECT_EQ(payment->charged_minor(), 500);
  EXPECT_EQ(payment->refunded_minor(), 500);
  EXPECT_GT(payment->time().seconds(), 0);

  EXPECT_EQ(Refund("o2")->refunded_minor(), 0);
  EXPECT_EQ(Charge("o2")->declined().reason(), "KEY_CLOSED");
  EXPECT_EQ(GetPayment("o2")->state(), payment_pb::Payment::CLOSED);
  EXPECT_EQ(GetPayment("o3").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Charge("", 1).status().code(), absl::StatusCode::kInvalidArgument);

  sandbox_pb::Books books = Books("o1");
  ASSERT_EQ(books.entries_size(), 1);
  EXPECT_EQ(books.entries(0).idempotency_key(), "o1/charge_payment");
  EXPECT_EQ(books.entries(0).charges(), 1);
  EXPECT_EQ(books.entries(0).refunds(), 1);
  EXPECT_EQ(books.entries(0).charged_minor(), 500);
  EXPECT_EQ(books.entries(0).refunded_minor(), 500);
  EXPECT_EQ(Books().entries_size(), 2);
}

TEST_F(SandboxE2e, KeepsTheDispatchersContract) {
  Start();
  auto first = Assign("o1");
  ASSERT_TRUE(first.ok()) << first.status();
  std::string driver = first->assigned().driver_id();
  EXPECT_FALSE(driver.empty());
  EXPECT_EQ(Assign("o1")->assigned().driver_id(), driver);
  EXPECT_NE(Assign("o2")->assigned().driver_id(), driver);
  EXPECT_EQ(Assign("o3")->none().reason(), "NO_DRIVER_AVAILABLE");
  EXPECT_EQ(Books("o1").entries(0).driver_id(), driver);
  EXPECT_EQ(*Release("o1"), driver);
  EXPECT_EQ(Books("o1").entries(0).driver_id(), "");
  EXPECT_EQ(*Release("o4"), "");
  EXPECT_EQ(Assign("o4")->none().reason(), "KEY_CLOSED");
  EXPECT_EQ(Assign("o5")->assigned().driver_id(), driver);
}

TEST_F(SandboxE2e, MisbehavesByFlagAndByRequest) {
  Start({"--gateway-decline-rate", "1", "--gateway-methods", "Charge", "--dispatcher-unavailable-rate=1"});
  EXPECT_EQ(Charge("o1")->declined().reason(), "CARD_DECLINED");
  EXPECT_EQ(Assign("o1").status().code(), absl::StatusCode::kUnavailable);

  sandbox_pb::SetBehaviourRequest request;
  request.set_target(sandbox_pb::GATEWAY);
  request.mutable_behaviour()->set_lost_after_rate(1);
  request.mutable_behaviour()->add_methods("Charge");
  auto behaviours = Behave(request);
  ASSERT_TRUE(behaviours.ok()) << behaviours.status();
  EXPECT_EQ(behaviours->gateway().lost_after_rate(), 1);
  EXPECT_EQ(behaviours->gateway().methods(0), "Charge");
  EXPECT_EQ(behaviours->dispatcher().unavailable_rate(), 1);
  EXPECT_EQ(Charge("o2", 500, absl::Milliseconds(300)).status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(GetPayment("o2")->state(), payment_pb::Payment::CHARGED);

  request.mutable_behaviour()->set_lost_after_rate(2);
  absl::Status bad = Behave(request).status();
  EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(bad).violations.at(0).first, "lost_after_rate");

  request.Clear();  // both well-behaved again
  ASSERT_TRUE(Behave(request).ok());
  EXPECT_TRUE(Charge("o3")->has_approved());
  EXPECT_TRUE(Assign("o3")->has_assigned());
}

TEST_F(SandboxE2e, ChargesMayBePendingUntilTheyAreDecided) {
  Start({"--gateway-pending-rate", "1", "--gateway-pending-for-ms", "3600000"});
  const absl::Time before = absl::Now();
  auto pending = Charge("o1");
  ASSERT_TRUE(pending.ok()) << pending.status();
  ASSERT_TRUE(pending->has_pending()) << pending->DebugString();
  EXPECT_GE(pending->pending().until().seconds(), absl::ToUnixSeconds(before + absl::Hours(1)));
  EXPECT_EQ(Charge("o1")->pending().token(), pending->pending().token());
  EXPECT_EQ(GetPayment("o1")->state(), payment_pb::Payment::PENDING);
  EXPECT_EQ(Books("o1").entries(0).pending_token(), pending->pending().token());

  sandbox_pb::DecidePaymentRequest request;
  sandbox_pb::DecidePaymentResponse response;
  auto decide = [&] { return Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::DecidePayment, request, response); };
  request.set_token(pending->pending().token());
  EXPECT_EQ(decide().code(), absl::StatusCode::kInvalidArgument) << "neither approved nor declined";
  request.set_decision(sandbox_pb::DecidePaymentRequest::APPROVED);
  ASSERT_TRUE(decide().ok());
  EXPECT_EQ(response.order_id(), "o1");
  EXPECT_EQ(response.idempotency_key(), "o1/charge_payment");
  EXPECT_TRUE(Charge("o1")->has_approved());
  EXPECT_TRUE(Books("o1").entries(0).pending_token().empty());

  ASSERT_TRUE(Charge("o2")->has_pending());
  request.set_idempotency_key("o2/charge_payment");
  request.set_decision(sandbox_pb::DecidePaymentRequest::DECLINED);
  ASSERT_TRUE(decide().ok());
  EXPECT_EQ(Charge("o2")->declined().reason(), "CARD_DECLINED");
  request.set_token("pi_nothing");
  EXPECT_EQ(decide().code(), absl::StatusCode::kNotFound);
}

TEST_F(SandboxE2e, RestartsOnRequestOnTheSamePortAndRemembers) {
  Start({"--gateway-late-rate", "0"});
  std::string reference = Charge("o1")->approved().reference();
  std::string driver = Assign("o1")->assigned().driver_id();
  // A caller that would wait for ever is cut off by the restart.
  sandbox_pb::SetBehaviourRequest request;
  request.mutable_behaviour()->set_lost_after_rate(1);
  request.mutable_behaviour()->add_methods("Refund");
  ASSERT_TRUE(Behave(request).ok());
  std::thread lost([this] { EXPECT_EQ(Refund("o1").status().code(), absl::StatusCode::kUnavailable); });
  while (GetPayment("o1")->state() != payment_pb::Payment::REFUNDED) {  // executed, so put aside by now
  }
  sandbox_pb::RestartResponse response;
  ASSERT_TRUE(Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::Restart, {}, response).ok());
  ASSERT_TRUE(process_->WaitForLine("\"msg\":\"restarting\"", kPatience).has_value()) << process_->Output();
  ASSERT_TRUE(process_->WaitForLine("\"lines\":3", kPatience).has_value()) << process_->Output();
  lost.join();
  Connect();
  EXPECT_EQ(Charge("o1")->approved().reference(), reference);
  EXPECT_EQ(Assign("o1")->assigned().driver_id(), driver);
  EXPECT_EQ(Refund("o1")->refunded_minor(), 500);  // behaves as its flags say again
}

TEST_F(SandboxE2e, RemembersWhatItAnsweredBeforeAKill) {
  Start();
  std::vector<std::string> references;
  for (int i = 0; i < 50; ++i) references.push_back(Charge(fmt::format("o{}", i))->approved().reference());
  process_->Signal(SIGKILL);
  EXPECT_EQ(process_->Wait(kPatience), 128 + SIGKILL);
  {
    std::ofstream torn(books_, std::ios::app);
    torn << R"({"effect":"charge","key":"o99/cha)";
  }
  Start();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Charge(fmt::format("o{}", i))->approved().reference(), references[size_t(i)]);
  EXPECT_EQ(GetPayment("o99").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(SandboxE2e, StopsOnSigtermEvenWithCallsThatAreNeverAnswered) {
  Start({"--gateway-lost-after-rate", "1", "--gateway-methods", "Charge"});
  std::thread lost([this] { EXPECT_EQ(Charge("o1").status().code(), absl::StatusCode::kUnavailable); });
  // A call that is still on its way when the server stops ends otherwise.
  EXPECT_TRUE(testing::Eventually(kPatience, [this] { return GetPayment("o1").ok(); }));
  process_->Signal(SIGTERM);
  EXPECT_EQ(process_->Wait(kPatience), 0) << process_->Output();
  lost.join();
}

TEST_F(SandboxE2e, SaysWhatIsWrongWithAFlag) {
  auto run = [&](std::vector<std::string> args, std::string& output) {
    testing::ProcessOptions options;
    options.args = std::move(args);
    auto process = testing::Process::Start(WAYBILL_SANDBOX_BINARY, options);
    EXPECT_TRUE(process.ok());
    int code = (*process)->Wait(kPatience).value_or(-1);
    output = (*process)->Output();
    return code;
  };
  std::string output;
  EXPECT_EQ(run({}, output), 2);
  EXPECT_THAT(output, HasSubstr("--log is required"));
  EXPECT_EQ(run({"--log", books_, "--gateway-decline-rate", "1.5"}, output), 2);
  EXPECT_THAT(output, HasSubstr("--gateway-decline-rate is not within 0..1"));
  EXPECT_EQ(run({"--log", books_, "--dispatcher-methods", "Charge"}, output), 2);
  EXPECT_THAT(output, HasSubstr("--dispatcher-methods has 'Charge'"));
  EXPECT_EQ(run({"--log", books_, "--no-such-flag"}, output), 2);
  EXPECT_EQ(run({"--help"}, output), 0);
  EXPECT_THAT(output, AllOf(HasSubstr("lost-after    executed, never answered"), HasSubstr("--gateway-latency-ms-p99"),
                            HasSubstr("--dispatcher-late-ms"), HasSubstr("Examples:")));
  EXPECT_EQ(run({"--log", "/no/such/folder/books.log"}, output), 1);
  EXPECT_THAT(output, AllOf(HasSubstr("cannot open the books"), Not(HasSubstr("listening"))));
}

// Any number of gateways in one process, each with books, a kind and a port of its own.
class SandboxGateways : public SandboxE2e {
 protected:
  void StartGateways(std::vector<std::string> flags = {}) {
    flags.insert(
        flags.end(),
        {"--gateway", fmt::format("card=127.0.0.1:{},fee-ppm=29000", card_port_), "--gateway",
         fmt::format("upi=127.0.0.1:{},kind=redirect,expires=600,return-url=http://shop.example/thanks", upi_port_)});
    Start(flags);
    card_ = payment_pb::PaymentGateway::NewStub(rpc::MakeChannel(fmt::format("127.0.0.1:{}", card_port_)));
    upi_ = payment_pb::PaymentGateway::NewStub(rpc::MakeChannel(fmt::format("127.0.0.1:{}", upi_port_)));
  }
  payment_pb::ChargeResponse ChargeAt(payment_pb::PaymentGateway::Stub& gateway, const std::string& order) {
    payment_pb::ChargeRequest request;
    request.set_idempotency_key(order + "/charge_payment");
    request.set_order_id(order);
    request.set_amount_minor(1250);
    request.set_currency("EUR");
    payment_pb::ChargeResponse response;
    EXPECT_TRUE(Call(gateway, &payment_pb::PaymentGateway::Stub::Charge, request, response).ok());
    return response;
  }
  sandbox_pb::Books BooksOf(const std::string& gateway) {
    sandbox_pb::GetBooksRequest request;
    request.set_gateway(gateway);
    sandbox_pb::Books response;
    EXPECT_TRUE(Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::GetBooks, request, response).ok());
    return response;
  }
  static std::string Curl(std::vector<std::string> args) {
    testing::ProcessOptions options;
    options.args = {"-sS", "--max-time", "20"};
    options.args.insert(options.args.end(), args.begin(), args.end());
    auto curl = testing::Process::Start("/usr/bin/curl", options);
    EXPECT_TRUE(curl.ok()) << curl.status();
    EXPECT_EQ((*curl)->Wait(kPatience), 0) << (*curl)->Output();
    return (*curl)->Output();
  }

  const int card_port_ = testing::FreePort(), upi_port_ = testing::FreePort();
  std::unique_ptr<payment_pb::PaymentGateway::Stub> card_, upi_;
};

TEST_F(SandboxGateways, HaveBooksAndBehavioursOfTheirOwn) {
  StartGateways();
  EXPECT_TRUE(ChargeAt(*card_, "o1").has_approved());
  EXPECT_TRUE(ChargeAt(*upi_, "o1").has_pending());
  sandbox_pb::SetBehaviourRequest request;
  request.set_gateway("card");
  request.mutable_behaviour()->set_decline_rate(1);
  const auto behaviours = Behave(request);
  ASSERT_TRUE(behaviours.ok()) << behaviours.status();
  ASSERT_EQ(behaviours->gateways_size(), 2);
  EXPECT_EQ(behaviours->gateways(0).name(), "card");
  EXPECT_EQ(behaviours->gateways(0).kind(), sandbox_pb::Gateway::IMMEDIATE);
  EXPECT_EQ(behaviours->gateways(0).fee_ppm(), 29'000);
  EXPECT_EQ(behaviours->gateways(0).behaviour().decline_rate(), 1);
  EXPECT_EQ(behaviours->gateways(1).kind(), sandbox_pb::Gateway::REDIRECT);
  EXPECT_EQ(behaviours->gateways(1).address(), fmt::format("127.0.0.1:{}", upi_port_));
  EXPECT_EQ(behaviours->gateways(1).behaviour().decline_rate(), 0);
  EXPECT_TRUE(ChargeAt(*card_, "o2").has_declined());
  EXPECT_TRUE(Charge("o2")->has_approved());  // at the one beside the dispatcher
  EXPECT_EQ(BooksOf("card").entries_size(), 2);
  EXPECT_EQ(BooksOf("upi").entries_size(), 1);
  EXPECT_EQ(BooksOf("").entries_size(), 1);
  request.set_gateway("nobody");
  EXPECT_THAT(std::string(Behave(request).status().message()), HasSubstr("gateway"));
  process_->Signal(SIGKILL);
  process_->Wait(kPatience);
  StartGateways();
  EXPECT_EQ(BooksOf("card").entries_size(), 2);
  EXPECT_EQ(BooksOf("upi").entries(0).pending_token(), "pi_1");
  EXPECT_TRUE(ChargeAt(*upi_, "o1").has_pending());
}

TEST_F(SandboxGateways, TakePayersToAPageThatDecidesOnce) {
  StartGateways();
  const payment_pb::ChargeResponse pending = ChargeAt(*upi_, "<o1>");
  const std::string url = pending.pending().checkout_url();
  EXPECT_THAT(url, HasSubstr("/checkout/upi/pi_1"));
  const std::string page = Curl({url});
  EXPECT_THAT(page,
              AllOf(HasSubstr("12.50 EUR"), HasSubstr("<button"), HasSubstr("&lt;o1&gt;"), Not(HasSubstr("<o1>"))));
  EXPECT_THAT(Curl({url, "-d", "decision=perhaps"}), HasSubstr("Pay or decline"));
  EXPECT_TRUE(ChargeAt(*upi_, "<o1>").has_pending());
  const std::string paid = Curl({url, "-d", "decision=pay"});
  EXPECT_THAT(paid, AllOf(HasSubstr(">paid<"), HasSubstr("http://shop.example/thanks?order_id=")));
  EXPECT_TRUE(ChargeAt(*upi_, "<o1>").has_approved());
  EXPECT_THAT(Curl({url, "-d", "decision=decline"}), HasSubstr(">paid<")) << "it is decided";
  EXPECT_THAT(Curl({url}), Not(HasSubstr("<button")));
  EXPECT_EQ(BooksOf("upi").entries(0).charges(), 1);
  EXPECT_THAT(Curl({url.substr(0, url.size() - 1) + "9"}), HasSubstr("no such payment"));
}

TEST_F(SandboxGateways, TakeNoMoneyOnAPageThatHasExpired) {
  StartGateways();
  sandbox_pb::SetBehaviourRequest request;
  request.set_gateway("upi");
  request.mutable_behaviour()->set_expires_ms(1);
  ASSERT_TRUE(Behave(request).ok());
  const std::string url = ChargeAt(*upi_, "o1").pending().checkout_url();
  EXPECT_TRUE(testing::Eventually(kPatience, [&] { return ChargeAt(*upi_, "o1").has_declined(); }));
  EXPECT_EQ(ChargeAt(*upi_, "o1").declined().reason(), "EXPIRED");
  EXPECT_THAT(Curl({url, "-d", "decision=pay"}), HasSubstr(">expired<"));
  EXPECT_EQ(BooksOf("upi").entries(0).charges(), 0);
}

TEST_F(SandboxGateways, PrintTheSettlementOfADay) {
  StartGateways();
  ChargeAt(*card_, "o1");
  sandbox_pb::ChargeBackRequest back;
  back.set_gateway("card");
  back.set_idempotency_key("o1/charge_payment");
  sandbox_pb::ChargeBackResponse given;
  ASSERT_TRUE(Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::ChargeBack, back, given).ok());
  EXPECT_EQ(given.amount_minor(), 1250);
  sandbox_pb::GetSettlementRequest request;
  request.set_gateway("card");
  request.set_day(absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()));
  sandbox_pb::Settlement file;
  ASSERT_TRUE(Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::GetSettlement, request, file).ok());
  EXPECT_THAT(file.csv(), AllOf(HasSubstr("charge,o1/charge_payment,ch_1,12.50,0.36,EUR,"),
                                HasSubstr("chargeback,o1/charge_payment,cb_2,12.50,0.00,EUR,")));
  request.set_day("someday");
  EXPECT_THAT(std::string(Call(*admin_, &sandbox_pb::SandboxAdmin::Stub::GetSettlement, request, file).message()),
              HasSubstr("day"));
}

TEST_F(SandboxE2e, SaysWhatIsWrongWithAGateway) {
  for (const auto& [gateway, what] : std::vector<std::pair<std::string, std::string>>{
           {"upi", "KEY=VALUE"},
           {"UPI=127.0.0.1:0", "name"},
           {"gateway=127.0.0.1:0", "name"},
           {"upi=127.0.0.1:0,kind=slow", "kind"},
           {"upi=127.0.0.1:0,expires=0", "expires"},
           {"upi=127.0.0.1:0,fee-ppm=1000001", "fee-ppm"},
           {"upi=127.0.0.1:0,webhook-url=http://127.0.0.1:1/", "webhook-secret-file"},
           {"upi=127.0.0.1:0,webhook-scheme=none", "webhook-scheme"},
           {"upi=127.0.0.1:0,checkout-url=nowhere", "checkout-url"},
           {"upi=127.0.0.1:0,colour=red", "colour"}}) {
    testing::ProcessOptions options;
    options.args = {"--log", books_, "--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--gateway", gateway};
    auto process = testing::Process::Start(WAYBILL_SANDBOX_BINARY, options);
    ASSERT_TRUE(process.ok()) << process.status();
    EXPECT_NE((*process)->Wait(kPatience), 0);
    EXPECT_THAT((*process)->Output(), AllOf(HasSubstr("--gateway"), HasSubstr(what))) << gateway;
  }
}

}  // namespace
}  // namespace waybill::sandbox
