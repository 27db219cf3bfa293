#include "edge/tls/credentials.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/certificates.h"
#include "tests/support/temp_directory.h"

namespace waybill::tls {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using waybill::testing::CertificateRequest;
using waybill::testing::Issued;
using waybill::testing::ReplaceFile;
using waybill::testing::TempDirectory;
using waybill::testing::TestCa;

class CredentialsTest : public ::testing::Test {
 protected:
  void Write(const Issued& issued) {
    ReplaceFile(files_.certificate, issued.certificate);
    ReplaceFile(files_.key, issued.key);
  }
  // What ReadCredentials complains of; "" when it does not.
  std::string Complaint() const {
    const auto read = ReadCredentials(files_);
    if (read.ok()) return "";
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(read.status().message());
  }

  TempDirectory directory_;
  const TestCa ca_;
  const Files files_{directory_.path() / "tls.crt", directory_.path() / "tls.key", directory_.path() / "ca.crt"};
};

TEST_F(CredentialsTest, TakesACertificateItsKeyAndACa) {
  CertificateRequest request;
  request.not_before = absl::FromUnixSeconds(1'700'000'000);
  request.not_after = absl::FromUnixSeconds(1'900'000'000);
  const Issued issued = ca_.Issue(request);
  Write(issued);
  ReplaceFile(files_.ca, ca_.certificate() + TestCa("another").certificate());

  const auto read = ReadCredentials(files_);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->certificate, issued.certificate);
  EXPECT_EQ(read->key, issued.key);
  EXPECT_EQ(read->not_before, request.not_before);
  EXPECT_EQ(read->not_after, request.not_after);
  EXPECT_TRUE(read->ValidAt(request.not_before));
  EXPECT_FALSE(read->ValidAt(request.not_before - absl::Seconds(1)));
  EXPECT_FALSE(read->ValidAt(request.not_after));
}

TEST_F(CredentialsTest, AChainIsValidWhileAllOfItIs) {
  CertificateRequest request;
  request.not_after = absl::FromUnixSeconds(1'900'000'000);
  const Issued first = ca_.Issue(request);
  request.not_after = absl::FromUnixSeconds(1'800'000'000);
  Write({first.certificate + ca_.Issue(request).certificate, first.key});
  ReplaceFile(files_.ca, ca_.certificate());

  const auto read = ReadCredentials(files_);

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->not_after, request.not_after);
}

TEST_F(CredentialsTest, ACaAloneIsEnoughForAClient) {
  ReplaceFile(files_.ca, ca_.certificate());

  const auto read = ReadCredentials({"", "", files_.ca});

  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->ca, ca_.certificate());
  EXPECT_TRUE(read->ValidAt(absl::Now()));
}

TEST_F(CredentialsTest, NamesTheFileThatIsWrongAndWhy) {
  const Issued issued = ca_.Issue();
  ReplaceFile(files_.ca, ca_.certificate());
  EXPECT_EQ(Complaint(), files_.certificate + ": cannot be read: No such file or directory");

  Write(issued);
  EXPECT_EQ(Complaint(), "");

  ReplaceFile(files_.certificate, "hello");
  EXPECT_EQ(Complaint(), files_.certificate + ": is not a PEM of certificates");
  ReplaceFile(files_.certificate,
              issued.certificate + issued.certificate.substr(0, 200) + "\n-----END CERTIFICATE-----");
  EXPECT_EQ(Complaint(), files_.certificate + ": is not a PEM of certificates");

  Write({issued.certificate, ""});
  EXPECT_EQ(Complaint(), files_.key + ": is not a PEM of a private key");
  Write({issued.certificate, ca_.Issue().key});
  EXPECT_EQ(Complaint(), files_.key + ": is not the key of the certificate in " + files_.certificate);

  Write(issued);
  ReplaceFile(files_.ca, issued.key);
  EXPECT_EQ(Complaint(), files_.ca + ": is not a PEM of certificates");
  ReplaceFile(files_.ca, std::string(2 << 20, ' '));
  EXPECT_EQ(Complaint(), files_.ca + ": is larger than 1 MiB");
  EXPECT_THAT(std::string(ReadCredentials({"", "", directory_.path()}).status().message()),
              HasSubstr("Is a directory"));
}

TEST_F(CredentialsTest, AsksNobodyForThePasswordOfAKey) {
  const Issued issued = ca_.Issue();
  ReplaceFile(files_.ca, ca_.certificate());
  Write({issued.certificate,
         "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
         "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjkZPF0JQ5dUgICCAAw\n"
         "-----END ENCRYPTED PRIVATE KEY-----\n"});
  EXPECT_EQ(Complaint(), files_.key + ": is encrypted, and nobody is there to give the password");
}

TEST_F(CredentialsTest, RefusesAKeyThatIsTooShort) {
  CertificateRequest request;
  request.rsa_bits = 1024;
  ReplaceFile(files_.ca, ca_.certificate());
  Write(ca_.Issue(request));
  EXPECT_EQ(Complaint(), files_.certificate + ": ee key too small");
}

}  // namespace
}  // namespace waybill::tls
