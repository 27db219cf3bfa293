#include "services/realtime/apps.h"

#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/services/realtime/followed_orders.h"
#include "tests/support/certificates.h"
#include "tests/support/temp_directory.h"

namespace waybill::realtime {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string KeyNamed(const std::string& id) {
  return fmt::format("[[key]]\nid = \"{}\"\nalgorithm = \"HS256\"\nsecret = \"{}\"\n", id,
                     absl::Base64Escape(std::string(32, id[0])));
}

class AppsTest : public ::testing::Test {
 protected:
  void Write(const std::string& text) { testing::ReplaceFile(file_, text); }
  void Open() {
    auto opened = TokenKeys::Open(file_.string(), log_, metrics_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    keys_ = *std::move(opened);
  }
  std::string Token(const std::string& key) {
    tokens::Claims claims;
    claims.tenant = "shop";
    claims.user = "ann";
    claims.expires = time_.Now() + absl::Minutes(1);
    const absl::StatusOr<std::string> token = tokens::Keys::Parse(KeyNamed(key), "")->Issue(claims, "", time_.Now());
    return token.ok() ? *token : std::string(token.status().message());
  }
  std::string Why(const http::Fields& fields) {
    http::Request request;
    request.fields = fields;
    const auto admission = AdmitApps(*keys_, channels_, time_, time_, {})(request);
    return GetErrorDetail(admission.status()).reason;
  }

  testing::ManualTime time_;
  std::ostringstream out_;
  Logger log_{LogFormat::kJson, LogLevel::kDebug, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_)};
  Metrics metrics_;
  FollowedOrders orders_;
  OrderChannels channels_{orders_, time_, metrics_, {}};
  const testing::TempDirectory directory_;
  const std::filesystem::path file_ = std::filesystem::path(directory_.path()) / "keys.toml";
  std::unique_ptr<TokenKeys> keys_;
};

TEST_F(AppsTest, ATokenComesInAHeaderOrAmongTheSubprotocols) {
  Write(KeyNamed("a"));
  Open();
  const std::string token = Token("a");
  EXPECT_EQ(Why({{"authorization", "Bearer " + token}}), "");
  EXPECT_EQ(Why({{"authorization", "bEARER " + token}}), "");
  EXPECT_EQ(Why({{"sec-websocket-protocol", "waybill.v1.json, waybill.token." + token}}), "");
  EXPECT_EQ(Why({}), "NO_IDENTITY");
  EXPECT_EQ(Why({{"authorization", "Basic " + token}}), "NO_IDENTITY");
  EXPECT_EQ(Why({{"authorization", "Bearer " + token}, {"sec-websocket-protocol", "waybill.token." + token}}),
            "NO_IDENTITY")
      << "two of them";
  EXPECT_EQ(Why({{"authorization", "Bearer nonsense"}}), "TOKEN_INVALID");
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(Why({{"authorization", "Bearer " + token}}), "TOKEN_EXPIRED");
}

TEST_F(AppsTest, KeysAreRotatedWhileItRuns) {
  Write(KeyNamed("a"));
  Open();
  EXPECT_EQ(Why({{"authorization", "Bearer " + Token("b")}}), "TOKEN_INVALID");
  Write(KeyNamed("a") + KeyNamed("b"));
  keys_->Look();
  EXPECT_EQ(Why({{"authorization", "Bearer " + Token("a")}}), "");
  EXPECT_EQ(Why({{"authorization", "Bearer " + Token("b")}}), "");
  Write("[[key]]\nid = 3\n");
  keys_->Look();
  keys_->Look();
  EXPECT_EQ(Why({{"authorization", "Bearer " + Token("a")}}), "") << "a mistake changes nothing";
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_realtime_token_keys_refused_total 2\n"));
  Write(KeyNamed("b"));
  keys_->Look();
  EXPECT_EQ(Why({{"authorization", "Bearer " + Token("a")}}), "TOKEN_INVALID");
  EXPECT_THAT(out_.str(), Not(HasSubstr("YmJi"))) << "no secret in the log";
}

TEST_F(AppsTest, WithoutKeysItDoesNotStart) {
  EXPECT_FALSE(TokenKeys::Open((directory_.path() / "none").string(), log_, metrics_).ok());
}

}  // namespace
}  // namespace waybill::realtime
