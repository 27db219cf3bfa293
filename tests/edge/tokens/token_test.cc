#include "edge/tokens/token.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::tokens {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Of `openssl genpkey -algorithm ed25519`; its public half below.
constexpr char kPrivate[] =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIH3x1+RE4OuK1TxHYFgeIms+qKRB42LYDNbz9LFKA/w6\n-----END PRIVATE "
    "KEY-----\n";
constexpr char kPublic[] =
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAevTJmQyk3qaYKwFt9TEUiU4LAyCcYZQer9KBgiphtf4=\n-----END PUBLIC "
    "KEY-----\n";

std::string Hmac(const std::string& id, char fill = 'k') {
  return fmt::format("[[key]]\nid = \"{}\"\nalgorithm = \"HS256\"\nsecret = \"{}\"\n", id,
                     absl::Base64Escape(std::string(32, fill)));
}
std::string Edwards(const std::string& id, const std::string& field, const std::string& pem) {
  return fmt::format("[[key]]\nid = \"{}\"\nalgorithm = \"EdDSA\"\n{} = '''{}'''\n", id, field, pem);
}

class TokenTest : public ::testing::Test {
 protected:
  static Keys Of(const std::string& file) {
    absl::StatusOr<Keys> keys = Keys::Parse(file, "keys.toml");
    EXPECT_TRUE(keys.ok()) << keys.status();
    return *std::move(keys);
  }
  Claims Some() const {
    Claims claims;
    claims.tenant = "shop";
    claims.user = "u-1";
    claims.device = "phone";
    claims.topics = {"order:*"};
    claims.expires = now_ + absl::Minutes(10);
    return claims;
  }
  std::string Why(const Keys& keys, const std::string& token, absl::Duration later = absl::ZeroDuration()) const {
    const absl::Status status = keys.Verify(token, now_ + later).status();
    return status.ok() ? "" : GetErrorDetail(status).reason + ": " + std::string(status.message());
  }
  static std::string Encode(const std::string& text) {
    std::string encoded;
    absl::WebSafeBase64Escape(text, &encoded);
    while (!encoded.empty() && encoded.back() == '=') encoded.pop_back();
    return encoded;
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'790'000'000);
};

TEST_F(TokenTest, SaysWhatItWasIssuedWith) {
  for (const std::string& file : {Hmac("a"), Edwards("a", "private_key", kPrivate)}) {
    const Keys keys = Of(file);
    const absl::StatusOr<std::string> token = keys.Issue(Some(), "", now_);
    ASSERT_TRUE(token.ok()) << token.status();
    const absl::StatusOr<Claims> claims = keys.Verify(*token, now_);
    ASSERT_TRUE(claims.ok()) << claims.status();
    EXPECT_EQ(claims->tenant, "shop");
    EXPECT_EQ(claims->user, "u-1");
    EXPECT_EQ(claims->device, "phone");
    EXPECT_THAT(claims->topics, ElementsAre("order:*"));
    EXPECT_EQ(claims->expires, now_ + absl::Minutes(10));
  }
}

TEST_F(TokenTest, WhoVerifiesNeedsNoPrivateKey) {
  const Keys keys = Of(Edwards("a", "public_key", kPublic));
  const Keys own = Of(Edwards("a", "private_key", kPrivate));
  const std::string token = *own.Issue(Some(), "a", now_);
  EXPECT_EQ(Why(keys, token), "");
  EXPECT_THAT(keys.Issue(Some(), "a", now_).status().message(), HasSubstr("can only verify"));
}

TEST_F(TokenTest, KeysAreRotated) {
  const Keys before = Of(Hmac("a", 'a')), both = Of(Hmac("a", 'a') + Hmac("b", 'b')), after = Of(Hmac("b", 'b'));
  EXPECT_EQ(Why(both, *before.Issue(Some(), "", now_)), "");
  EXPECT_EQ(Why(both, *after.Issue(Some(), "", now_)), "");
  EXPECT_EQ(Why(after, *both.Issue(Some(), "", now_)), "") << "the last one issues";
  EXPECT_THAT(Why(after, *before.Issue(Some(), "", now_)), HasSubstr("TOKEN_INVALID: the token names no key"));
  EXPECT_THAT(both.ids(), ElementsAre("a", "b"));
}

TEST_F(TokenTest, ATimeThatIsOverIsSaid) {
  const Keys keys = Of(Hmac("a"));
  const std::string token = *keys.Issue(Some(), "", now_);
  EXPECT_EQ(Why(keys, token, absl::Minutes(10) - absl::Seconds(1)), "");
  EXPECT_THAT(Why(keys, token, absl::Minutes(10)), HasSubstr("TOKEN_EXPIRED"));
  Claims claims = Some();
  claims.expires = now_ + absl::Hours(25);
  EXPECT_THAT(keys.Issue(claims, "", now_).status().message(), HasSubstr("more than a day"));
}

TEST_F(TokenTest, WhatWasTouchedIsNotSigned) {
  for (const Keys& keys : {Of(Hmac("a")), Of(Edwards("a", "private_key", kPrivate))}) {
    const std::string token = *keys.Issue(Some(), "", now_);
    for (size_t at = 0; at < token.size(); ++at) {
      // The last character's spare bits are nobody's.
      std::string touched = token;
      touched[at] = touched[at] == 'A' ? 'Q' : 'A';
      if (touched == token || at + 1 == token.size()) continue;
      EXPECT_THAT(Why(keys, touched), HasSubstr("TOKEN_INVALID")) << at;
    }
    EXPECT_THAT(Why(keys, token + "."), HasSubstr("TOKEN_INVALID"));
    EXPECT_THAT(Why(keys, token + "="), HasSubstr("TOKEN_INVALID"));
    EXPECT_THAT(Why(keys, token.substr(0, token.rfind('.') + 1)), HasSubstr("TOKEN_INVALID"));
  }
}

TEST_F(TokenTest, ATokenDoesNotChooseHowItIsSigned) {
  const Keys keys = Of(Edwards("a", "public_key", kPublic));
  const std::string body = Encode(R"({"aud":"waybill-realtime","tenant":"shop","topics":[],"exp":1790000060})");
  for (const char* alg : {"none", "None", "HS256", "RS256"}) {
    const std::string head = Encode(fmt::format(R"({{"alg":"{}","kid":"a"}})", alg));
    EXPECT_THAT(Why(keys, head + "." + body + "."), HasSubstr("(alg)")) << alg;
  }
  // The public key's text as an HMAC's secret, as of old.
  const Keys confused = Of(fmt::format("[[key]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"{}\"\n",
                                       absl::Base64Escape(std::string(kPublic))));
  EXPECT_THAT(Why(keys, *confused.Issue(Some(), "", now_)), HasSubstr("(alg)"));
}

TEST_F(TokenTest, NonsenseIsNoToken) {
  const Keys keys = Of(Hmac("a"));
  for (const char* token : {"", ".", "..", "...", "a.b.c", "!.!.!", "e30.e30.e30", "W10.e30.e30", "bnVsbA.e30."}) {
    EXPECT_THAT(Why(keys, token), HasSubstr("TOKEN_INVALID")) << token;
  }
  EXPECT_THAT(Why(keys, std::string(5000, 'a')), HasSubstr("too long"));
}

TEST_F(TokenTest, AllowsWhatItsTopicsName) {
  Claims claims;
  EXPECT_FALSE(Allows(claims, "order:1"));
  claims.topics = {"order:1"};
  EXPECT_TRUE(Allows(claims, "order:1"));
  EXPECT_FALSE(Allows(claims, "order:2"));
  EXPECT_FALSE(Allows(claims, "order:"));
  claims.topics = {"order:*"};
  EXPECT_TRUE(Allows(claims, "order:2"));
  EXPECT_FALSE(Allows(claims, "driver:2"));
}

TEST_F(TokenTest, AKeyMayBeForSomeTenantsOnly) {
  const Keys open = Of(Hmac("a")), shops = Of(Hmac("a") + "tenants = [\"shop\", \"kiosk\"]\n"),
             others = Of(Hmac("a") + "tenants = [\"rival\"]\n");
  const std::string token = *open.Issue(Some(), "", now_);
  EXPECT_EQ(Why(shops, token), "");
  EXPECT_THAT(Why(others, token),
              HasSubstr("TOKEN_INVALID: the token is of a tenant that its key is not for (tenant)"));
  EXPECT_TRUE(shops.Issue(Some(), "", now_).ok());
  EXPECT_THAT(others.Issue(Some(), "", now_).status().message(), HasSubstr("tenant: key \"a\" is not for \"shop\""));
  for (const char* nonsense : {"\"shop\"", "[]", "[3]", "[\"\"]", "[[\"shop\"]]"}) {
    EXPECT_THAT(Keys::Parse(Hmac("a") + "tenants = " + nonsense + "\n", "keys.toml").status().message(),
                HasSubstr("keys.toml:5: tenants is not a list"))
        << nonsense;
  }
}

TEST_F(TokenTest, WhatIsNoTopicIsNamed) {
  const Keys keys = Of(Hmac("a"));
  constexpr char kOrder[] = "order:01A227EF-0000-7000-8000-000000000001";
  Claims claims = Some();
  for (const std::string topic : {"orders:*", "order:", "order:17", "order: *", "", "*", "order:**",
                                  "order:01a227ef-0000-7000-8000-000000000001,order:*"}) {
    claims.topics = {kOrder, topic};
    EXPECT_THAT(keys.Issue(claims, "", now_).status().message(), HasSubstr("topics: \"" + topic + "\" is neither"));
  }
  claims.topics = {kOrder};
  EXPECT_TRUE(Allows(*keys.Verify(*keys.Issue(claims, "", now_), now_), "order:01a227ef-0000-7000-8000-000000000001"))
      << "however it is spelled";
}

TEST_F(TokenTest, AMistakeInTheFileIsNamedAndWhatItHoldsIsNot) {
  const auto why = [](const std::string& file) {
    return std::string(Keys::Parse(file, "keys.toml").status().message());
  };
  EXPECT_THAT(why(""), HasSubstr("there is no key"));
  EXPECT_THAT(why("key = 3"), HasSubstr("keys.toml:1: each key is a table"));
  EXPECT_THAT(why("[[key]]\nid = \"a b\"\n"), HasSubstr("id is not"));
  EXPECT_THAT(why("[[key]]\nid = \"a\"\nalgorithm = \"none\"\n"), HasSubstr("neither"));
  EXPECT_THAT(why("[[key]]\nid = \"a\"\nalgorithm = \"HS256\"\nsecret = \"c2hvcnQ=\"\n"),
              ::testing::AllOf(HasSubstr("32 bytes"), Not(HasSubstr("c2hv"))));
  EXPECT_THAT(why("[[key]]\nid = \"a\"\nalgorithm = \"EdDSA\"\n"), HasSubstr("needs a public_key"));
  EXPECT_THAT(why("[[key]]\nid = \"a\"\nalgorithm = \"EdDSA\"\npublic_key = \"x\"\n"), HasSubstr("no Ed25519"));
  EXPECT_THAT(why("[[key]]\nidd = \"a\"\n"), HasSubstr("nothing else"));
  EXPECT_THAT(why(Hmac("a") + Hmac("a")), HasSubstr("another key's already"));
}

}  // namespace
}  // namespace waybill::tokens
