// The recipe deploy/stunnel/waybill-redis.conf: Redis over TLS by a tunnel. Skipped where there is no stunnel.
#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/redis/connection.h"
#include "tests/support/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"
#include "tests/support/temp_directory.h"

namespace waybill::storage {
namespace {

using ::testing::HasSubstr;
using waybill::testing::FreePort;
using waybill::testing::Issued;
using waybill::testing::Process;
using waybill::testing::RedisServer;
using waybill::testing::ReplaceFile;
using waybill::testing::TempDirectory;
using waybill::testing::TestCa;

class StunnelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("stunnel -version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no stunnel (Debian: stunnel4)";
    const Issued issued = ca_.Issue();
    ReplaceFile(File("tls.crt"), issued.certificate);
    ReplaceFile(File("tls.key"), issued.key);
    ReplaceFile(File("ca.crt"), ca_.certificate());
    tls_port_ = FreePort();
    auto redis = RedisServer::Start({"--tls-port", std::to_string(tls_port_), "--tls-cert-file", File("tls.crt"),
                                     "--tls-key-file", File("tls.key"), "--tls-ca-cert-file", File("ca.crt")});
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
  }
  std::string File(const std::string& name) const { return folder_.path() / name; }

  // The recipe as it stands, with these values, running.
  void StartTunnel(const std::map<std::string, std::string>& values) {
    std::ifstream recipe(WAYBILL_SOURCE_DIR "/deploy/stunnel/waybill-redis.conf");
    std::stringstream text;
    text << recipe.rdbuf();
    std::string config = text.str();
    for (const auto& [key, value] : values) {
      const std::regex line(fmt::format("\n{} = [^\n]*", key));
      ASSERT_TRUE(std::regex_search(config, line)) << key;
      config = std::regex_replace(config, line, fmt::format("\n{} = {}", key, value));
    }
    ReplaceFile(File("stunnel.conf"), config);
    auto started = Process::Start("stunnel", {{File("stunnel.conf")}});
    ASSERT_TRUE(started.ok()) << started.status();
    tunnel_ = *std::move(started);
    ASSERT_TRUE(tunnel_->WaitForLine("Configuration successful", absl::Seconds(20))) << tunnel_->Output();
  }
  // PING through it.
  absl::Status Ping() {
    RedisConnection connection(*RedisUrl::Parse(fmt::format("redis://127.0.0.1:{}", port_)), RedisOptions());
    return connection.Run({"PING"}).status();
  }

  TempDirectory folder_;
  const TestCa ca_;
  std::unique_ptr<RedisServer> redis_;
  std::unique_ptr<Process> tunnel_;
  int tls_port_ = 0;
  const int port_ = FreePort();
};

TEST_F(StunnelTest, TheRecipeReachesARedisThatAsksForCertificates) {
  StartTunnel({{"accept", fmt::format("127.0.0.1:{}", port_)},
               {"connect", fmt::format("127.0.0.1:{}", tls_port_)},
               {"CAfile", File("ca.crt")},
               {"checkHost", "localhost"},
               {"cert", File("tls.crt")},
               {"key", File("tls.key")}});
  EXPECT_TRUE(Ping().ok()) << Ping() << tunnel_->Output();
}

TEST_F(StunnelTest, TheRecipeRefusesAServerOfAnotherName) {
  StartTunnel({{"accept", fmt::format("127.0.0.1:{}", port_)},
               {"connect", fmt::format("127.0.0.1:{}", tls_port_)},
               {"CAfile", File("ca.crt")},
               {"checkHost", "redis.example.com"},
               {"cert", File("tls.crt")},
               {"key", File("tls.key")}});
  EXPECT_FALSE(Ping().ok());
  EXPECT_THAT(tunnel_->Output(), HasSubstr("CERT: Subject checks failed"));
}

TEST_F(StunnelTest, TheRecipeRefusesAServerOfAnotherCa) {
  ReplaceFile(File("other.crt"), TestCa("another").certificate());
  StartTunnel({{"accept", fmt::format("127.0.0.1:{}", port_)},
               {"connect", fmt::format("127.0.0.1:{}", tls_port_)},
               {"CAfile", File("other.crt")},
               {"checkHost", "localhost"},
               {"cert", File("tls.crt")},
               {"key", File("tls.key")}});
  EXPECT_FALSE(Ping().ok());
  EXPECT_THAT(tunnel_->Output(), HasSubstr("certificate verify failed"));
}

}  // namespace
}  // namespace waybill::storage
