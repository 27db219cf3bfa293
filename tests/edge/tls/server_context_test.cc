#include "edge/tls/server_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include "boost/asio/ssl/context.hpp"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/certificates.h"
#include "tests/support/temp_directory.h"

namespace waybill::tls {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using waybill::testing::CertificateRequest;
using waybill::testing::Issued;
using waybill::testing::ReplaceFile;
using waybill::testing::TempDirectory;
using waybill::testing::TestCa;

using Connection = std::unique_ptr<SSL, decltype(&SSL_free)>;

// A client and a server in one thread, over memory.
class ServerContextTest : public ::testing::Test {
 protected:
  ServerContextTest() : client_context_(SSL_CTX_new(TLS_client_method())) {
    Write(ca_.Issue());
    ReplaceFile(files_.ca, ca_.certificate());
    watcher_ = *Watcher::Start("server", files_, clock_, log_, metrics_);
  }
  void Write(const Issued& issued) {
    ReplaceFile(files_.certificate, issued.certificate);
    ReplaceFile(files_.key, issued.key);
  }
  void Show(const Issued& issued) {
    BIO* certificate = BIO_new_mem_buf(issued.certificate.data(), -1);
    BIO* key = BIO_new_mem_buf(issued.key.data(), -1);
    X509* shown = PEM_read_bio_X509(certificate, nullptr, nullptr, nullptr);
    EVP_PKEY* with = PEM_read_bio_PrivateKey(key, nullptr, nullptr, nullptr);
    ASSERT_EQ(SSL_CTX_use_certificate(client_context_.get(), shown), 1);
    ASSERT_EQ(SSL_CTX_use_PrivateKey(client_context_.get(), with), 1);
    X509_free(shown);
    EVP_PKEY_free(with);
    BIO_free(certificate);
    BIO_free(key);
  }
  void Offer(const std::string& protocol) {
    const std::string wire = std::string(1, static_cast<char>(protocol.size())) + protocol;
    SSL_CTX_set_alpn_protos(client_context_.get(), reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned>(wire.size()));
  }
  // Whether both sides have come through.
  bool Handshake(ServerContext& context) {
    held_ = context.current();
    server_.reset(SSL_new(held_->native_handle()));
    client_.reset(SSL_new(client_context_.get()));
    BIO *ours = nullptr, *theirs = nullptr;
    BIO_new_bio_pair(&ours, 1 << 16, &theirs, 1 << 16);
    SSL_set_bio(server_.get(), ours, ours);
    SSL_set_bio(client_.get(), theirs, theirs);
    int accepted = 0, connected = 0;
    for (int i = 0; i < 20 && (accepted != 1 || connected != 1); ++i) {
      connected = SSL_connect(client_.get());
      accepted = SSL_accept(server_.get());
    }
    ERR_clear_error();
    return accepted == 1 && connected == 1;
  }
  std::string ServersName() const {
    char name[256] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(client_.get())), NID_commonName, name,
                              sizeof(name));
    return name;
  }

  TempDirectory directory_;
  const TestCa ca_;
  const Files files_{directory_.path() / "tls.crt", directory_.path() / "tls.key", directory_.path() / "ca.crt"};
  SystemClock clock_;
  Logger log_{LogFormat::kText, LogLevel::kOff, clock_};
  Metrics metrics_;
  std::unique_ptr<Watcher> watcher_;
  ContextPtr client_context_;
  std::shared_ptr<boost::asio::ssl::context> held_;
  Connection server_{nullptr, SSL_free};
  Connection client_{nullptr, SSL_free};
};

TEST_F(ServerContextTest, SpeaksTls13AndHttp11) {
  ServerContext context(*watcher_, ClientCertificates::kNone);
  Offer("http/1.1");
  ASSERT_TRUE(Handshake(context));
  EXPECT_STREQ(SSL_get_version(client_.get()), "TLSv1.3");
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(client_.get(), &protocol, &size);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(protocol), size), "http/1.1");
}

TEST_F(ServerContextTest, SendsAwayWhoSpeaksOtherProtocolsOnly) {
  ServerContext context(*watcher_, ClientCertificates::kNone);
  Offer("h2");
  EXPECT_FALSE(Handshake(context));
}

TEST_F(ServerContextTest, ServesTls12AndNothingOlder) {
  ServerContext context(*watcher_, ClientCertificates::kNone);
  SSL_CTX_set_security_level(client_context_.get(), 0);  // so that it is the server who refuses
  SSL_CTX_set_max_proto_version(client_context_.get(), TLS1_2_VERSION);
  EXPECT_TRUE(Handshake(context));
  SSL_CTX_set_min_proto_version(client_context_.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(client_context_.get(), TLS1_1_VERSION);
  EXPECT_FALSE(Handshake(context));
}

TEST_F(ServerContextTest, TakesNoSuiteWithoutForwardSecrecyOrAuthenticatedEncryption) {
  CertificateRequest request;
  request.rsa_bits = 2048;  // those suites need RSA
  Write(ca_.Issue(request));
  ASSERT_TRUE(watcher_->Look());
  ServerContext context(*watcher_, ClientCertificates::kNone);
  SSL_CTX_set_security_level(client_context_.get(), 0);
  SSL_CTX_set_max_proto_version(client_context_.get(), TLS1_2_VERSION);
  for (const char* weak : {"AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "AES128-SHA"}) {
    ASSERT_EQ(SSL_CTX_set_cipher_list(client_context_.get(), weak), 1) << weak;
    EXPECT_FALSE(Handshake(context)) << weak;
  }
  ASSERT_EQ(SSL_CTX_set_cipher_list(client_context_.get(), "ECDHE-RSA-AES128-GCM-SHA256"), 1);
  EXPECT_TRUE(Handshake(context));
}

TEST_F(ServerContextTest, DoesNotRenegotiate) {
  ServerContext context(*watcher_, ClientCertificates::kNone);
  SSL_CTX_set_max_proto_version(client_context_.get(), TLS1_2_VERSION);
  ASSERT_TRUE(Handshake(context));
  ASSERT_EQ(SSL_renegotiate(client_.get()), 1);
  char byte;
  for (int i = 0; i < 5; ++i) {
    SSL_do_handshake(client_.get());
    SSL_read(server_.get(), &byte, 1);
  }
  EXPECT_TRUE(SSL_renegotiate_pending(client_.get()) == 1 || SSL_in_init(client_.get()) == 1)
      << "it is answered by an alert, and never done";
  EXPECT_EQ(SSL_num_renegotiations(server_.get()), 0);
  ERR_clear_error();
}

TEST_F(ServerContextTest, AnswersTheNamesInTheClientsCertificate) {
  ServerContext context(*watcher_, ClientCertificates::kRequire);
  CertificateRequest request;
  request.common_name = "the partner";
  request.names = {"DNS:b.example", "URI:spiffe://example/partner", "DNS:a.example", "email:x@example"};
  Show(ca_.Issue(request));
  ASSERT_TRUE(Handshake(context));
  EXPECT_THAT(VerifiedNames(server_.get()), ElementsAre("spiffe://example/partner", "b.example", "a.example"));

  request.names = {};
  Show(ca_.Issue(request));
  ASSERT_TRUE(Handshake(context));
  EXPECT_THAT(VerifiedNames(server_.get()), ElementsAre("the partner"));
}

TEST_F(ServerContextTest, LeavesOutNamesThatAreNotPrintableAscii) {
  ServerContext context(*watcher_, ClientCertificates::kRequire);
  for (const char* name : {"admin\x01",
                           "B\xc3\xa4"
                           "cker",
                           "\x7f"}) {
    CertificateRequest request;
    request.common_name = name;
    request.names = {};
    Show(ca_.Issue(request));
    ASSERT_TRUE(Handshake(context));
    EXPECT_THAT(VerifiedNames(server_.get()), IsEmpty()) << name;
  }
}

TEST_F(ServerContextTest, TheCommonNameCountsOnlyWhereThereIsNoAlternativeOfAnyKind) {
  ServerContext context(*watcher_, ClientCertificates::kRequire);
  CertificateRequest request;
  request.common_name = "billing.internal";
  request.names = {"email:x@example"};
  Show(ca_.Issue(request));
  ASSERT_TRUE(Handshake(context));
  EXPECT_THAT(VerifiedNames(server_.get()), IsEmpty());
}

TEST_F(ServerContextTest, RequiresACertificateOfItsCa) {
  ServerContext context(*watcher_, ClientCertificates::kRequire);
  EXPECT_FALSE(Handshake(context)) << "none";
  Show(TestCa("somebody else's").Issue());
  EXPECT_FALSE(Handshake(context));
  CertificateRequest expired;
  expired.not_after = absl::Now() - absl::Minutes(1);
  Show(ca_.Issue(expired));
  EXPECT_FALSE(Handshake(context));
  Show(ca_.Issue());
  EXPECT_TRUE(Handshake(context));
}

TEST_F(ServerContextTest, AcceptsWhoShowsNoneAndStillNobodyOfAnotherCa) {
  ServerContext context(*watcher_, ClientCertificates::kAccept);
  ASSERT_TRUE(Handshake(context));
  EXPECT_THAT(VerifiedNames(server_.get()), IsEmpty());
  Show(TestCa("somebody else's").Issue());
  EXPECT_FALSE(Handshake(context));
}

TEST_F(ServerContextTest, NewConnectionsGetTheNewestCertificate) {
  ServerContext context(*watcher_, ClientCertificates::kNone);
  CertificateRequest request;
  request.common_name = "the second";
  ASSERT_TRUE(Handshake(context));
  EXPECT_EQ(ServersName(), "localhost");
  EXPECT_EQ(context.current(), held_) << "the same one until there are other certificates";

  Write(ca_.Issue(request));
  ASSERT_TRUE(watcher_->Look());
  ASSERT_EQ(SSL_write(client_.get(), "x", 1), 1);
  char byte;
  EXPECT_EQ(SSL_read(server_.get(), &byte, 1), 1) << "connections go on";
  ASSERT_TRUE(Handshake(context));
  EXPECT_EQ(ServersName(), "the second");

  request.common_name = "the third";
  ReplaceFile(files_.certificate, ca_.Issue(request).certificate);  // with the second's key
  EXPECT_FALSE(watcher_->Look());
  ASSERT_TRUE(Handshake(context));
  EXPECT_EQ(ServersName(), "the second");
}

}  // namespace
}  // namespace waybill::tls
