// The built services over mutual TLS: clients, participants, the command line, and certificates that are renewed, are
// wrong, or expire while all of them run.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/credentials.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"
#include "tests/e2e/service_process.h"
#include "tests/e2e/stack.h"
#include "tests/support/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"
#include "tests/support/temp_directory.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr absl::Duration kSoon = absl::Seconds(30);  // certificates are looked at every 5 s

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    for (const char* who : {"order", "participants", "sandbox", "client"}) {
      std::filesystem::create_directory(folder_.path() / who);
      Renew(who, ca_.Issue());
    }
    ReplaceFile(File("ca.crt"), ca_.certificate());
  }

  std::string File(const std::string& name) const { return folder_.path() / name; }
  void Renew(const std::string& who, const Issued& issued) {
    ReplaceFile(File(who + "/tls.key"), issued.key);
    ReplaceFile(File(who + "/tls.crt"), issued.certificate);
  }
  std::vector<std::string> ServerArguments(const std::string& who) const {
    return {"--tls-certificate", File(who + "/tls.crt"), "--tls-key",      File(who + "/tls.key"),
            "--tls-client-ca",   File("ca.crt"),         "--expose-plain", "side"};
  }
  // waybill-order with the sandbox for both participants, everything over mutual TLS.
  void StartAll() {
    std::vector<std::string> arguments = ServerArguments("sandbox");
    arguments.insert(arguments.end(), {"--log", File("sandbox.log"), "--drivers", "1000000"});
    sandbox_.emplace(WAYBILL_SANDBOX_BINARY, arguments, File("sandbox"));
    sandbox_->Start();
    const std::string participant = fmt::format("grpcs://localhost:{}", sandbox_->port());
    arguments = ServerArguments("order");
    arguments.insert(arguments.end(),
                     {"--database-url", database_.url(), "--migrate", "--payment-gateway", participant, "--dispatch",
                      participant, "--participant-ca", File("ca.crt"), "--participant-certificate",
                      File("participants/tls.crt"), "--participant-key", File("participants/tls.key")});
    order_.emplace(WAYBILL_ORDER_BINARY, arguments, File("order"));
    order_->Start();
  }
  // A connection of its own to the order service, which believes `ca`, or ours.
  std::shared_ptr<grpc::Channel> Connect(const TestCa* ca = nullptr) const {
    tls::Credentials credentials = *tls::ReadCredentials({File("client/tls.crt"), File("client/tls.key"), ""});
    credentials.ca = (ca == nullptr ? ca_ : *ca).certificate();
    return rpc::MakeChannel(fmt::format("127.0.0.1:{}", order_->port()), rpc::Pings::kRare,
                            rpc::MakeChannelCredentials(credentials));
  }
  // What becomes of a new order.
  std::string Order(const std::shared_ptr<grpc::Channel>& channel) {
    order::v1::Order placed;
    const grpc::Status status = order::v1::OrderService::NewStub(channel)->CreateOrder(
        Deadline(absl::Seconds(30)).get(), OrderRequestFor(fmt::format("key-{}", ++orders_)), &placed);
    if (!status.ok()) return status.error_message();
    return order::v1::OrderStatus_Name(placed.status());
  }
  cli::Ran Waybill(std::vector<std::string> arguments) const {
    std::vector<std::string> all = {"--server", fmt::format("localhost:{}", order_->port()), "--retries", "0"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return cli::RunBinary(WAYBILL_BINARY, all, {});
  }
  std::string Verbose() const { return order_->Http("/readyz?verbose"); }

  TempDirectory folder_;
  const TestCa ca_;
  TestDatabase database_;
  std::optional<ServiceProcess> sandbox_, order_;
  std::atomic<int> orders_{0};
};

TEST_F(TlsTest, AnOrderGoesItsWholeWayOverMutualTls) {
  StartAll();
  EXPECT_EQ(Order(Connect()), "CONFIRMED");
  EXPECT_THAT(Verbose(), AllOf(HasSubstr("[+] certificate_server ok"), HasSubstr("[+] certificate_participant ok")));
  EXPECT_THAT(order_->process().Output(), Not(HasSubstr("is plain")));
  EXPECT_NE(Order(ConnectTo(order_->port())), "CONFIRMED") << "a plain client";
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// With a database and ports of the test's own, and the service started by the test with the flags that stand there.
TEST_F(TlsTest, TheExampleOfTheDocumentWorks) {
  std::ifstream file(WAYBILL_OPERATIONS);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t begin = text.find("```sh\numask 077\nopenssl req -x509");
  ASSERT_NE(begin, std::string::npos);
  const std::string block = text.substr(begin + 6, text.find("```", begin + 6) - begin - 6);
  const size_t service = block.find("waybill-order "), calls = block.find("\n", service) + 1;
  const std::string enter = "set -eu; cd " + folder_.path().string() + "\n";
  const auto run = [&](const std::string& commands) { return cli::RunBinary("/bin/sh", {"-c", enter + commands}, {}); };
  const cli::Ran made = run(block.substr(0, service));
  ASSERT_EQ(made.code, 0) << made.output;

  const std::string flags = "--tls-certificate tls.pem --tls-key tls.key";
  ASSERT_THAT(block.substr(service, calls - service), HasSubstr(flags));
  auto order = Process::Start(WAYBILL_ORDER_BINARY,
                              {{"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--port-file", File("ports"),
                                "--tls-certificate", File("tls.pem"), "--tls-key", File("tls.key"), "--database-url",
                                database_.url(), "--migrate", "--dispatch", "grpc://127.0.0.1:1"}});
  ASSERT_TRUE(order.ok()) << order.status();
  ASSERT_TRUE((*order)->WaitForLine("\"serving\"", kSoon)) << (*order)->Output();
  auto ports = ReadPortFile(File("ports"));
  std::string commands = Replaced(block.substr(calls), "127.0.0.1:7510", fmt::format("127.0.0.1:{}", ports["grpc"]));
  commands = Replaced(commands, "127.0.0.1:7511", fmt::format("127.0.0.1:{}", ports["side"]));
  const cli::Ran called =
      run(fmt::format("PATH={}:$PATH\n", std::filesystem::path(WAYBILL_BINARY).parent_path().string()) + commands);
  EXPECT_EQ(called.code, 0) << called.output;
  EXPECT_THAT(called.output, AllOf(HasSubstr("no such orders"), HasSubstr("\n{}\n")));
}

TEST_F(TlsTest, TheCommandLineNeedsTheCaAndACertificate) {
  StartAll();
  const cli::Ran with =
      Waybill({"--tls-ca", File("ca.crt"), "--tls-certificate", File("client/tls.crt"), "--tls-key",
               File("client/tls.key"), "order", "create", "--user", "u-1", "--amount", "12.50", "--currency", "EUR"});
  EXPECT_EQ(with.code, 0) << with.output;
  EXPECT_THAT(with.output, HasSubstr("CONFIRMED"));

  const cli::Ran without = Waybill({"--tls-ca", File("ca.crt"), "order", "list"});
  EXPECT_EQ(without.code, 5);
  EXPECT_THAT(without.output, HasSubstr("--tls-certificate"));
  const cli::Ran plain = Waybill({"order", "list"});
  EXPECT_EQ(plain.code, 5);
  EXPECT_THAT(plain.output, HasSubstr("does it want TLS (--tls-ca)"));
  const cli::Ran no_ca = Waybill({"--tls", "order", "list"});
  EXPECT_EQ(no_ca.code, 5);
  EXPECT_THAT(no_ca.output, AllOf(HasSubstr("name its CA with --tls-ca"), Not(HasSubstr("ssl_transport_security"))));
  const cli::Ran no_file = Waybill({"--tls-ca", File("none.crt"), "order", "list"});
  EXPECT_EQ(no_file.code, 2);
  EXPECT_THAT(no_file.output, HasSubstr("none.crt: cannot be read"));
}

TEST_F(TlsTest, TheHttpPortIsServedOverMutualTlsTooUnlessItIsToStayPlain) {
  StartAll();
  EXPECT_THAT(order_->Http("/readyz"), HasSubstr("200 OK"));
  EXPECT_THAT(order_->Http("/waybill.order.v1.OrderService/ListOrders"), HasSubstr("404")) << "no calls without TLS";
  EXPECT_EQ(order_->Stop(), 0);

  std::vector<std::string> arguments = ServerArguments("order");
  arguments.resize(arguments.size() - 2);
  arguments.insert(arguments.end(),
                   {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--port-file", File("ports"),
                    "--database-url", database_.url(), "--dispatch", "grpc://127.0.0.1:1"});
  auto order = Process::Start(WAYBILL_ORDER_BINARY, {arguments});
  ASSERT_TRUE(order.ok()) << order.status();
  ASSERT_TRUE((*order)->WaitForLine("\"serving\"", kSoon)) << (*order)->Output();
  const std::string at = fmt::format("https://localhost:{}", ReadPortFile(File("ports"))["side"]);
  const auto curl = [&](std::vector<std::string> with) {
    with.insert(with.end(), {"--silent", "--show-error", "--max-time", "20", "--cacert", File("ca.crt")});
    return cli::RunBinary("curl", with, {});
  };
  const auto shown = [&](std::vector<std::string> with) {
    with.insert(with.end(), {"--cert", File("client/tls.crt"), "--key", File("client/tls.key")});
    return curl(with).output;
  };
  EXPECT_THAT(shown({at + "/livez"}), HasSubstr("alive"));
  EXPECT_THAT(shown({"-i", "-H", "content-type: application/json", "-d", "{}",
                     at + "/waybill.order.v1.OrderService/ListOrders"}),
              HasSubstr("200 OK"));
  EXPECT_NE(curl({at + "/livez"}).code, 0) << "without a certificate";
}

TEST_F(TlsTest, ACertificateIsAKeyOnEitherPortByTheSameNames) {
  ReplaceFile(File("hash.key"), std::string(48, 'h'));
  ReplaceFile(File("admin.key"), "wb_admin_" + std::string(40, 'a'));
  std::vector<std::string> arguments = ServerArguments("order");
  arguments.resize(arguments.size() - 2);
  arguments.insert(arguments.end(),
                   {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--port-file", File("ports"),
                    "--database-url", database_.url(), "--migrate", "--dispatch", "grpc://127.0.0.1:1", "--identity",
                    "required", "--key-hash-file", File("hash.key"), "--admin-key-file", File("admin.key")});
  auto order = Process::Start(WAYBILL_ORDER_BINARY, {arguments});
  ASSERT_TRUE(order.ok()) << order.status();
  ASSERT_TRUE((*order)->WaitForLine("\"serving\"", kSoon)) << (*order)->Output();
  auto ports = ReadPortFile(File("ports"));
  const auto waybill = [&](std::vector<std::string> more) {
    std::vector<std::string> all = {"--server",          fmt::format("localhost:{}", ports["grpc"]),
                                    "--retries",         "0",
                                    "--tls-ca",          File("ca.crt"),
                                    "--tls-certificate", File("client/tls.crt"),
                                    "--tls-key",         File("client/tls.key")};
    all.insert(all.end(), more.begin(), more.end());
    return cli::RunBinary(WAYBILL_BINARY, all, {}).output;
  };
  const auto curl = [&] {
    return cli::RunBinary("curl",
                          {"-sS", "--max-time", "20", "--cacert", File("ca.crt"), "--cert", File("client/tls.crt"),
                           "--key", File("client/tls.key"), "-H", "content-type: application/json", "-d", "{}",
                           fmt::format("https://localhost:{}/waybill.order.v1.OrderService/ListOrders", ports["side"])},
                          {})
        .output;
  };
  const auto show = [&](const std::string& common_name, std::vector<std::string> names) {
    CertificateRequest request;
    request.common_name = common_name;
    request.names = std::move(names);
    Renew("client", ca_.Issue(request));
  };
  EXPECT_THAT(waybill({"--key-file", File("admin.key"), "key", "create", "--for", "billing", "--scope", "orders:read",
                       "--certificate", "billing.internal"}),
              HasSubstr("billing"));

  show("somebody", {"DNS:billing.internal"});
  EXPECT_THAT(waybill({"order", "list"}), Not(HasSubstr("KEY_UNKNOWN")));
  EXPECT_EQ(curl(), "{}");
  show("billing.internal", {});
  EXPECT_THAT(waybill({"order", "list"}), Not(HasSubstr("KEY_UNKNOWN")));
  EXPECT_EQ(curl(), "{}");
  // A common name beside other names may be anything; so may what is no ASCII.
  show("billing.internal", {"DNS:evil.internal"});
  EXPECT_THAT(waybill({"order", "list"}), HasSubstr("KEY_UNKNOWN"));
  EXPECT_THAT(curl(), HasSubstr("KEY_UNKNOWN"));
  for (const char* name : {"B\xc3\xa4"
                           "cker GmbH",
                           "a\x01"}) {
    show(name, {});
    EXPECT_THAT(waybill({"order", "list"}), HasSubstr("NO_IDENTITY")) << name;
    EXPECT_THAT(curl(), HasSubstr("NO_IDENTITY")) << name;
  }
  EXPECT_TRUE((*order)->Running());
}

TEST_F(TlsTest, CertificatesAreRenewedWhileCallsGoOn) {
  StartAll();
  std::atomic<bool> stop{false};
  std::atomic<int> confirmed{0};
  std::vector<std::string> failed[2];
  const auto call = [&](bool connects_anew, std::vector<std::string>& failures) {
    auto channel = Connect();
    while (!stop) {
      if (connects_anew) channel = Connect();
      const std::string outcome = Order(channel);
      outcome == "CONFIRMED" ? ++confirmed : (failures.push_back(outcome), 0);
    }
  };
  std::thread over_one([&] { call(false, failed[0]); });
  std::thread over_new_ones([&] { call(true, failed[1]); });

  // Another CA signs from now on: it is believed first, and then shown.
  const TestCa next("the next CA");
  ReplaceFile(File("ca.crt"), ca_.certificate() + next.certificate());
  const std::string taken = "waybill_certificate_reloads_total{outcome=\"taken\",use=\"server\"}";
  const std::string participant_taken = "waybill_certificate_reloads_total{outcome=\"taken\",use=\"participant\"}";
  const auto all_have = [&](double count) {
    return Eventually(kSoon, [&] {
      return sandbox_->Metric(taken) >= count && order_->Metric(taken) >= count &&
             order_->Metric(participant_taken) >= count;
    });
  };
  EXPECT_TRUE(all_have(1)) << order_->process().Output();
  Renew("sandbox", next.Issue());
  Renew("participants", next.Issue());
  Renew("order", ca_.Issue());  // since the clients of this test go on believing the first CA alone
  EXPECT_TRUE(all_have(2)) << order_->process().Output();
  const int so_far = confirmed;
  EXPECT_TRUE(Eventually(kSoon, [&] { return confirmed >= so_far + 20; }));
  stop = true;
  over_one.join();
  over_new_ones.join();

  EXPECT_THAT(failed[0], ::testing::IsEmpty());
  EXPECT_THAT(failed[1], ::testing::IsEmpty());
  EXPECT_GT(confirmed, 20);
}

TEST_F(TlsTest, AWrongPairChangesNothingAndIsSeen) {
  StartAll();
  ReplaceFile(File("order/tls.key"), ca_.Issue().key);
  ASSERT_TRUE(Eventually(kSoon, [&] { return Verbose().find("[!] certificate_server") != std::string::npos; }));
  EXPECT_THAT(Verbose(),
              AllOf(HasSubstr("200 OK"), HasSubstr("is not the key of the certificate in"), HasSubstr("\ndegraded")));
  EXPECT_GE(order_->Metric("waybill_certificate_reloads_total{outcome=\"refused\",use=\"server\"}"), 1);
  EXPECT_TRUE(order_->process().WaitForLine("those before stay in use", kSoon));
  EXPECT_EQ(Order(Connect()), "CONFIRMED");

  Renew("order", ca_.Issue());
  EXPECT_TRUE(Eventually(kSoon, [&] { return Verbose().find("\nready") != std::string::npos; })) << Verbose();
  EXPECT_EQ(Order(Connect()), "CONFIRMED");
}

TEST_F(TlsTest, ACertificateThatExpiresEndsNoConnectionAndIsSeen) {
  StartAll();
  const auto early = Connect();
  ASSERT_EQ(Order(early), "CONFIRMED");
  CertificateRequest request;
  request.not_after = absl::Now() + absl::Seconds(10);
  Renew("order", ca_.Issue(request));
  ASSERT_TRUE(Eventually(kSoon, [&] { return Verbose().find("has expired") != std::string::npos; })) << Verbose();
  EXPECT_THAT(Verbose(), AllOf(HasSubstr("[!] certificate_server"), HasSubstr("200 OK")));
  EXPECT_EQ(order_->Metric("waybill_certificate_expiration_timestamp_seconds{use=\"server\"}"),
            static_cast<double>(absl::ToUnixSeconds(request.not_after)));
  EXPECT_THAT(Order(Connect()), HasSubstr("certificate verify failed"));
  EXPECT_EQ(Order(early), "CONFIRMED");

  Renew("order", ca_.Issue());
  EXPECT_TRUE(Eventually(kSoon, [&] { return Verbose().find("\nready") != std::string::npos; })) << Verbose();
  EXPECT_EQ(Order(Connect()), "CONFIRMED");
}

TEST_F(TlsTest, NothingStartsOnFilesThatAreWrong) {
  ReplaceFile(File("order/tls.key"), ca_.Issue().key);
  for (const std::string binary : {WAYBILL_ORDER_BINARY, WAYBILL_INGEST_BINARY, WAYBILL_SANDBOX_BINARY}) {
    std::vector<std::string> arguments = ServerArguments("order");
    arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0"});
    if (binary == WAYBILL_SANDBOX_BINARY) arguments.insert(arguments.end(), {"--log", File("sandbox.log")});
    const cli::Ran ran = cli::RunBinary(binary, arguments, {});
    EXPECT_EQ(ran.code, 1) << ran.output;
    EXPECT_THAT(ran.output, AllOf(HasSubstr("cannot serve over TLS"), HasSubstr("order/tls.key: is not the key of")));
  }
}

TEST_F(TlsTest, NothingListensToTheWorldWithoutTlsUnlessToldTo) {
  for (const std::string binary : {WAYBILL_ORDER_BINARY, WAYBILL_INGEST_BINARY, WAYBILL_SANDBOX_BINARY}) {
    std::vector<std::string> arguments = {"--listen", "0.0.0.0:0", "--side-listen", "127.0.0.1:0"};
    if (binary == WAYBILL_SANDBOX_BINARY) arguments.insert(arguments.end(), {"--log", File("sandbox.log")});
    const cli::Ran ran = cli::RunBinary(binary, arguments, {});
    EXPECT_EQ(ran.code, 2) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("say so with --expose-plain grpc"));
  }
  sandbox_.emplace(WAYBILL_SANDBOX_BINARY,
                   std::vector<std::string>{"--log", File("sandbox.log"), "--expose-plain", "grpc"}, File("sandbox"));
  sandbox_->Start();
  EXPECT_TRUE(sandbox_->process().WaitForLine("the gRPC port is plain", kSoon));
}

}  // namespace
}  // namespace waybill::testing
