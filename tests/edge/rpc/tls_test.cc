// The gRPC server and its clients over TLS, with certificates that change meanwhile.
#include <fstream>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/credentials.h"
#include "edge/rpc/grpc_log.h"
#include "edge/rpc/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/support/certificates.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"

namespace waybill::rpc {
namespace {

using ::testing::HasSubstr;
using waybill::testing::CertificateRequest;
using waybill::testing::Issued;
using waybill::testing::ManualTime;
using waybill::testing::Process;
using waybill::testing::ProcessOptions;
using waybill::testing::ReplaceFile;
using waybill::testing::TempDirectory;
using waybill::testing::TestCa;

CertificateRequest Named(const std::string& common_name) {
  CertificateRequest request;
  request.common_name = common_name;
  return request;
}

class RpcTlsTest : public ::testing::Test {
 protected:
  ~RpcTlsTest() override { server_.reset(); }

  void Serve(const Issued& issued, tls::ClientCertificates clients = tls::ClientCertificates::kNone) {
    Write(issued);
    ReplaceFile(files_.ca, ca_.certificate());
    tls::Files files = files_;
    if (clients == tls::ClientCertificates::kNone) files.ca.clear();
    auto watcher = tls::Watcher::Start("server", files, clock_, log_, metrics_);
    ASSERT_TRUE(watcher.ok()) << watcher.status();
    watcher_ = *std::move(watcher);
    options_.credentials = MakeServerCredentials(*watcher_, clients);
    server_ = std::make_unique<Server>(options_, metrics_);
    const absl::Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started;
  }
  void Write(const Issued& issued) {
    ReplaceFile(files_.certificate, issued.certificate);
    ReplaceFile(files_.key, issued.key);
  }
  // As a client that believes `ca`, or `ca_`, and shows `issued`.
  std::shared_ptr<grpc::Channel> Connect(const Issued& issued = {}, const TestCa* ca = nullptr) const {
    tls::Credentials credentials;
    credentials.ca = (ca == nullptr ? ca_ : *ca).certificate();
    credentials.certificate = issued.certificate;
    credentials.key = issued.key;
    return MakeChannel(fmt::format("127.0.0.1:{}", server_->port()), Pings::kRare, MakeChannelCredentials(credentials));
  }
  static grpc::Status Check(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckResponse response;
    return grpc::health::v1::Health::NewStub(channel)->Check(&context, {}, &response);
  }
  // A stock client that speaks HTTP/2, and is told what to do by lines: Q ends it, R is a renegotiation. `lines` are
  // the first; Tell says another.
  std::unique_ptr<Process> StockClient(const std::string& arguments, const std::string& lines = "") {
    ProcessOptions options;
    options.working_directory = directory_.path();
    stdin_ = directory_.path() / fmt::format("stdin.{}", clients_++);
    options.args = {"-c", fmt::format("mkfifo {0} && exec 3<>{0} && printf '{1}' >&3 && exec openssl s_client -connect "
                                      "127.0.0.1:{2} -CAfile {3} -alpn h2 {4} <&3",
                                      stdin_, lines, server_->port(), files_.ca, arguments)};
    auto client = Process::Start("/bin/sh", options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  void Tell(const std::string& line) const { std::ofstream(stdin_) << line << std::endl; }
  // All that one prints which ends after the handshake.
  std::string Handshake(const std::string& arguments) {
    const std::unique_ptr<Process> client = StockClient(arguments, "Q\\n");
    EXPECT_TRUE(client->Wait(absl::Seconds(20)).has_value());
    return client->Output();
  }

  TempDirectory directory_;
  const TestCa ca_;
  const tls::Files files_{directory_.path() / "tls.crt", directory_.path() / "tls.key", directory_.path() / "ca.crt"};
  SystemClock clock_;
  Logger log_{LogFormat::kText, LogLevel::kOff, clock_};
  Metrics metrics_;
  ServerOptions options_;
  std::unique_ptr<tls::Watcher> watcher_;
  std::unique_ptr<Server> server_;
  std::string stdin_;
  int clients_ = 0;
};

TEST_F(RpcTlsTest, ServesWhoBelievesItsCa) {
  Serve(ca_.Issue());
  EXPECT_TRUE(Check(Connect()).ok());

  const TestCa another("another");
  const grpc::Status refused = Check(Connect({}, &another));
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(Check(MakeChannel(fmt::format("127.0.0.1:{}", server_->port()))).ok()) << "a plain client";
}

TEST_F(RpcTlsTest, AClientChecksTheNameOfItsServer) {
  CertificateRequest elsewhere;
  elsewhere.names = {"DNS:payments.example"};
  Serve(ca_.Issue(elsewhere));
  EXPECT_EQ(Check(Connect()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(RpcTlsTest, NewConnectionsGetARenewedCertificateAndOldOnesGoOn) {
  Serve(ca_.Issue(Named("the first")));
  const auto old_connection = Connect();
  ASSERT_TRUE(Check(old_connection).ok());
  const std::string before = Handshake("-brief");
  EXPECT_THAT(before, HasSubstr("CN = the first"));

  Write(ca_.Issue(Named("the second")));
  ASSERT_TRUE(watcher_->Look());

  EXPECT_THAT(Handshake("-brief"), HasSubstr("CN = the second"));
  EXPECT_TRUE(Check(Connect()).ok());
  EXPECT_TRUE(Check(old_connection).ok());
}

TEST_F(RpcTlsTest, AKeyOfAnotherCertificateChangesNothing) {
  Serve(ca_.Issue(Named("the first")));
  ReplaceFile(files_.certificate, ca_.Issue(Named("the second")).certificate);
  ASSERT_FALSE(watcher_->Look());
  EXPECT_THAT(Handshake("-brief"), HasSubstr("CN = the first"));
  EXPECT_TRUE(Check(Connect()).ok());
}

TEST_F(RpcTlsTest, RequiresACertificateOfItsCa) {
  Serve(ca_.Issue(), tls::ClientCertificates::kRequire);
  EXPECT_FALSE(Check(Connect()).ok());
  EXPECT_FALSE(Check(Connect(TestCa("somebody else's").Issue())).ok());
  CertificateRequest expired;
  expired.not_after = absl::Now() - absl::Minutes(1);
  EXPECT_FALSE(Check(Connect(ca_.Issue(expired))).ok());
  const Issued mine = ca_.Issue();
  EXPECT_TRUE(Check(Connect(mine)).ok());

  const TestCa next("the next CA");
  ReplaceFile(files_.ca, next.certificate());
  ASSERT_TRUE(watcher_->Look());
  EXPECT_FALSE(Check(Connect(mine)).ok()) << "its CA is no longer believed";
  EXPECT_TRUE(Check(Connect(next.Issue())).ok());
}

TEST_F(RpcTlsTest, AcceptsWhoShowsNoneAndStillNobodyOfAnotherCa) {
  Serve(ca_.Issue(), tls::ClientCertificates::kAccept);
  EXPECT_TRUE(Check(Connect()).ok());
  EXPECT_TRUE(Check(Connect(ca_.Issue())).ok());
  EXPECT_FALSE(Check(Connect(TestCa("somebody else's").Issue())).ok());
}

TEST_F(RpcTlsTest, EveryAddressOfANameServesTheRenewedCertificate) {
  Write(ca_.Issue());
  ReplaceFile(files_.ca, ca_.certificate());
  watcher_ = *tls::Watcher::Start("server", files_, clock_, log_, metrics_);
  ServerOptions options;
  options.address = "localhost:0";
  options.credentials = MakeServerCredentials(*watcher_, tls::ClientCertificates::kNone);
  server_ = std::make_unique<Server>(options, metrics_);
  ASSERT_TRUE(server_->Start().ok());
  const TestCa next("the next CA");
  Write(next.Issue());
  ASSERT_TRUE(watcher_->Look());
  for (const char* host : {"127.0.0.1", "localhost"}) {
    tls::Credentials credentials;
    credentials.ca = next.certificate();
    EXPECT_TRUE(Check(MakeChannel(fmt::format("{}:{}", host, server_->port()), Pings::kRare,
                                  MakeChannelCredentials(credentials)))
                    .ok())
        << host;
  }
}

TEST_F(RpcTlsTest, AStockClientFindsNothingOldAndNothingWeak) {
  CertificateRequest rsa;
  rsa.rsa_bits = 2048;  // the weak suites need it
  Serve(ca_.Issue(rsa));
  EXPECT_THAT(Handshake("-brief"), HasSubstr("Protocol version: TLSv1.3"));
  EXPECT_THAT(Handshake("-brief -tls1_2"), HasSubstr("Protocol version: TLSv1.2"));
  for (const char* old : {"-tls1", "-tls1_1"}) {
    EXPECT_THAT(Handshake(fmt::format("{} -cipher ALL:@SECLEVEL=0", old)), HasSubstr("Cipher is (NONE)")) << old;
  }
  for (const char* weak : {"AES128-GCM-SHA256", "AES256-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384",
                           "DHE-RSA-AES128-GCM-SHA256"}) {
    EXPECT_THAT(Handshake(fmt::format("-tls1_2 -cipher {}:@SECLEVEL=0", weak)), HasSubstr("Cipher is (NONE)")) << weak;
  }
  const char* good = "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0";
  EXPECT_THAT(Handshake(good), HasSubstr("Cipher is ECDHE-RSA-AES256-GCM-SHA384"));
}

TEST_F(RpcTlsTest, AStockClientCannotRenegotiate) {
  options_.keepalive_time = absl::Milliseconds(200);  // the refusal leaves with what gRPC writes next
  Serve(ca_.Issue());
  const std::unique_ptr<Process> client = StockClient("-tls1_2 -msg");
  ASSERT_TRUE(client->WaitForLine("17 03 03", absl::Seconds(20))) << client->Output();  // HTTP/2 has begun
  Tell("R");
  EXPECT_TRUE(client->WaitForLine("no_renegotiation", absl::Seconds(20))) << client->Output();
  EXPECT_TRUE(Check(Connect()).ok());
}

TEST_F(RpcTlsTest, AClientGoesOnOverOtherChannels) {
  Serve(ca_.Issue(), tls::ClientCertificates::kRequire);
  ClientThread client_thread;
  Client client(client_thread, {Connect()});
  const auto call = [&client] {
    std::promise<absl::Status> answered;
    client.Call<grpc::health::v1::HealthCheckResponse>(
        "grpc.health.v1.Health/Check", grpc::health::v1::HealthCheckRequest(), {},
        [&answered](const absl::Status& status, grpc::health::v1::HealthCheckResponse&) {
          answered.set_value(status);
        });
    return answered.get_future().get();
  };
  EXPECT_FALSE(call().ok()) << "it has no certificate";
  client.Use({Connect(ca_.Issue())});
  EXPECT_TRUE(call().ok());
}

TEST_F(RpcTlsTest, FailedHandshakesAreToldOnceASecond) {
  Serve(ca_.Issue(), tls::ClientCertificates::kRequire);
  ManualTime time;
  std::ostringstream lines;
  const Logger log(LogFormat::kText, LogLevel::kInfo, time, std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  {
    const GrpcLog grpc_log(time, log);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(Check(Connect()).ok());
    time.Advance(absl::Seconds(1));
    EXPECT_FALSE(Check(Connect()).ok());
    server_.reset();
  }
  EXPECT_THAT(lines.str(), HasSubstr("peer did not return a certificate"));
  EXPECT_THAT(lines.str(), HasSubstr("left_out=2"));
}

}  // namespace
}  // namespace waybill::rpc
