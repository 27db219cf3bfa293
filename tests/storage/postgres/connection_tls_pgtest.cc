// libpq's TLS, as --database-url asks for it.
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/postgres/connection.h"
#include "tests/support/certificates.h"
#include "tests/support/postgres.h"
#include "tests/support/temp_directory.h"

namespace waybill::storage {
namespace {

using ::testing::HasSubstr;
using waybill::testing::CertificateRequest;
using waybill::testing::Issued;
using waybill::testing::PostgresServer;
using waybill::testing::ReplaceFile;
using waybill::testing::TempDirectory;
using waybill::testing::TestCa;

class ConnectionTlsTest : public ::testing::Test {
 protected:
  // A server that asks for nothing but TLS, and believes clients of `ca_`.
  void Serve(const CertificateRequest& request, const std::string& hba) {
    const Issued issued = ca_.Issue(request);
    auto server = PostgresServer::Start({{"ssl", "on"}, {"ssl_ca_file", "ca.crt"}, {"hba_file", "data/tls_hba.conf"}},
                                        {{"server.crt", issued.certificate},
                                         {"server.key", issued.key},
                                         {"ca.crt", ca_.certificate()},
                                         {"tls_hba.conf", hba}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    ReplaceFile(File("ca.crt"), ca_.certificate());
  }
  std::string File(const std::string& name) const { return folder_.path() / name; }
  absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& parameters) const {
    return Connection::Open(server_->Url() + "?" + parameters, {});
  }
  std::string Refusal(const std::string& parameters) const {
    const auto opened = Open(parameters);
    if (opened.ok()) return "";
    EXPECT_EQ(GetErrorDetail(opened.status()).reason, "STORE_UNAVAILABLE");
    return std::string(opened.status().message());
  }

  TempDirectory folder_;
  const TestCa ca_;
  std::unique_ptr<PostgresServer> server_;
};

constexpr char kTlsOnly[] = "hostssl all all 127.0.0.1/32 trust\n";

TEST_F(ConnectionTlsTest, VerifyFullTakesTheServerOfItsCaAndName) {
  Serve({}, kTlsOnly);
  auto connection = Open("sslmode=verify-full&ssl_min_protocol_version=TLSv1.3&sslrootcert=" + File("ca.crt"));
  ASSERT_TRUE(connection.ok()) << connection.status();
  auto rows = (*connection)->Execute("SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->Text(0, 0), "TLSv1.3");

  EXPECT_THAT(Refusal("sslmode=disable"), HasSubstr("no encryption"));
  ReplaceFile(File("other.crt"), TestCa("another").certificate());
  EXPECT_THAT(Refusal("sslmode=verify-full&sslrootcert=" + File("other.crt")), HasSubstr("certificate verify failed"));
  EXPECT_THAT(Refusal("sslmode=verify-full&sslrootcert=" + File("none.crt")), HasSubstr("does not exist"));
}

TEST_F(ConnectionTlsTest, VerifyFullRefusesAServerOfAnotherName) {
  CertificateRequest elsewhere;
  elsewhere.common_name = "db.example";
  elsewhere.names = {"DNS:db.example"};
  Serve(elsewhere, kTlsOnly);
  EXPECT_THAT(Refusal("sslmode=verify-full&sslrootcert=" + File("ca.crt")), HasSubstr("does not match host name"));
  EXPECT_EQ(Refusal("sslmode=verify-ca&sslrootcert=" + File("ca.crt")), "");
}

TEST_F(ConnectionTlsTest, AClientCertificateStandsForTheRole) {
  Serve({}, "hostssl all all 127.0.0.1/32 cert\n");
  const std::string verified = "sslmode=verify-full&sslrootcert=" + File("ca.crt");
  EXPECT_THAT(Refusal(verified), HasSubstr("valid client certificate"));
  CertificateRequest request;
  request.common_name = "postgres";
  const Issued role = ca_.Issue(request);
  ReplaceFile(File("role.crt"), role.certificate);
  ReplaceFile(File("role.key"), role.key);
  EXPECT_EQ(Refusal(verified + "&sslcert=" + File("role.crt") + "&sslkey=" + File("role.key")), "");
}

}  // namespace
}  // namespace waybill::storage
