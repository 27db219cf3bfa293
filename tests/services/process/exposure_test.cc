#include "services/process/exposure.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/local_address.h"
#include "spdlog/sinks/ostream_sink.h"

namespace waybill::process {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kHere[] = "127.0.0.1:1";
constexpr char kEverywhere[] = "0.0.0.0:1";

Exposure WithTls() {
  Exposure exposure;
  exposure.tls.certificate = "tls.crt";
  exposure.tls.key = "tls.key";
  return exposure;
}

std::string Complaint(const Exposure& exposure, const std::string& listen, const std::string& side_listen = kHere) {
  const absl::Status status = CheckExposure(exposure, listen, side_listen);
  return std::string(status.message());
}

TEST(Exposure, KnowsWhatOnlyThisMachineReaches) {
  for (const char* local : {"127.0.0.1:1", "127.8.9.1:0", "[::1]:7410", "localhost:7410", "[::ffff:127.0.0.1]:1",
                            "unix:/run/waybill.sock", "unix-abstract:waybill"}) {
    EXPECT_TRUE(IsLocal(local)) << local;
  }
  for (const char* open : {"0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[2001:db8::1]:1", "no.such.name.invalid:1", ":1",
                           "7410", "ipv4:0.0.0.0:1", "::1:7410"}) {
    EXPECT_FALSE(IsLocal(open)) << open;
  }
}

TEST(Exposure, NothingIsOpenToTheWorldUnlessSomebodyHasSaidSo) {
  EXPECT_EQ(Complaint({}, kHere), "");
  EXPECT_THAT(Complaint({}, kEverywhere),
              AllOf(HasSubstr("--listen 0.0.0.0:1 can be reached from other machines"),
                    HasSubstr("--tls-certificate and --tls-key"), HasSubstr("--expose-plain grpc")));
  EXPECT_THAT(Complaint({}, kHere, kEverywhere),
              AllOf(HasSubstr("--side-listen 0.0.0.0:1"), HasSubstr("--expose-plain side")));

  Exposure told;
  told.expose_plain = {"grpc"};
  EXPECT_EQ(Complaint(told, kEverywhere), "");
  EXPECT_THAT(Complaint(told, kEverywhere, kEverywhere), HasSubstr("--side-listen"));
  told.expose_plain = {"grpc", "side"};
  EXPECT_EQ(Complaint(told, kEverywhere, kEverywhere), "");

  EXPECT_EQ(Complaint(WithTls(), kEverywhere, kEverywhere), "");
}

TEST(Exposure, ReflectionIsForThisMachineUnlessSomebodyHasSaidMore) {
  Exposure exposure;
  EXPECT_TRUE(HasReflection(exposure, kHere));
  EXPECT_FALSE(HasReflection(exposure, kEverywhere));
  exposure.reflection = "on";
  EXPECT_TRUE(HasReflection(exposure, kEverywhere));
  exposure.reflection = "off";
  EXPECT_FALSE(HasReflection(exposure, kHere));
}

TEST(Exposure, NamesTheSettingThatLacks) {
  Exposure exposure;
  exposure.tls.certificate = "tls.crt";
  EXPECT_EQ(Complaint(exposure, kHere), "--tls-certificate is given without --tls-key");
  exposure = {};
  exposure.tls.key = "tls.key";
  EXPECT_EQ(Complaint(exposure, kHere), "--tls-key is given without --tls-certificate");
  exposure = {};
  exposure.tls.ca = "ca.crt";
  EXPECT_EQ(Complaint(exposure, kHere), "--tls-client-ca is given without --tls-certificate and --tls-key");
  exposure = WithTls();
  exposure.client_certificates = "accept";
  EXPECT_EQ(Complaint(exposure, kHere), "--tls-client-certificates is given without --tls-client-ca");
}

TEST(Exposure, ACertificateIsForBothPortsUnlessTheSidePortIsToStayPlain) {
  EXPECT_TRUE(SideIsPlain({}));
  EXPECT_TRUE(SideTakesCalls({}));
  EXPECT_FALSE(SideIsPlain(WithTls()));
  EXPECT_TRUE(SideTakesCalls(WithTls()));
  Exposure exposure = WithTls();
  exposure.expose_plain = {"side"};
  EXPECT_EQ(Complaint(exposure, kEverywhere, kEverywhere), "");
  EXPECT_TRUE(SideIsPlain(exposure));
  EXPECT_FALSE(SideTakesCalls(exposure)) << "nobody gets round the certificates";
  exposure.expose_plain = {"grpc"};
  EXPECT_THAT(Complaint(exposure, kHere), HasSubstr("--tls-certificate too"));
}

TEST(Exposure, ClientsShowACertificateWhereThereIsACa) {
  Exposure exposure = WithTls();
  EXPECT_EQ(ClientCertificatesOf(exposure), tls::ClientCertificates::kNone);
  exposure.tls.ca = "ca.crt";
  EXPECT_EQ(ClientCertificatesOf(exposure), tls::ClientCertificates::kRequire);
  exposure.client_certificates = "accept";
  EXPECT_EQ(ClientCertificatesOf(exposure), tls::ClientCertificates::kAccept);
}

TEST(Exposure, APlainPortIsWarnedOfOnce) {
  SystemClock clock;
  std::ostringstream lines;
  const Logger log(LogFormat::kText, LogLevel::kInfo, clock, std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  WarnOfPlainPort(WithTls(), kEverywhere, log);
  EXPECT_EQ(lines.str(), "");
  WarnOfPlainPort({}, kHere, log);
  EXPECT_THAT(lines.str(), AllOf(HasSubstr("whoever is on this machine"), HasSubstr("--tls-certificate")));
  lines.str("");
  WarnOfPlainPort({}, kEverywhere, log);
  EXPECT_THAT(lines.str(), HasSubstr("whoever reaches it"));
}

}  // namespace
}  // namespace waybill::process
