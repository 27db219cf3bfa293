#include "edge/access/key.h"

#include <fstream>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_directory.h"

namespace waybill::access {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kRandom(40, 'x');

TEST(Secret, IsAnIdAndSomethingThatNobodyCanGuess) {
  const std::string text = "wb_shop7_" + kRandom;
  const std::optional<Secret> secret = ParseSecret(text);
  ASSERT_TRUE(secret.has_value());
  EXPECT_EQ(secret->id, "shop7");
  EXPECT_EQ(secret->text, text);
}

TEST(Secret, NothingElseIsOne) {
  for (const std::string& text :
       {std::string(), std::string("wb_"), "wb__" + kRandom, "wb_" + kRandom, "wb_Shop_" + kRandom,
        "wb_shop_" + kRandom.substr(0, 31), "wb_shop_" + std::string(129, 'x'), "wb_shop_" + kRandom + "_",
        "wb_shop_" + kRandom + " ", "wb_shop_" + kRandom + "\n", "wb_shop_" + kRandom + std::string(1, '\0'),
        "wb_" + std::string(33, 'a') + "_" + kRandom, " wb_shop_" + kRandom, "xb_shop_" + kRandom}) {
    EXPECT_FALSE(ParseSecret(text).has_value()) << text;
  }
}

TEST(Authorization, IsBearerAndTheSecret) {
  const std::string text = "wb_shop_" + kRandom;
  for (const std::string before : {"Bearer ", "bearer ", "BEARER   "}) {
    EXPECT_TRUE(ParseAuthorization(before + text).has_value()) << before;
  }
  for (const std::string before : {"", "Basic ", "Bearer", "Bearer\t", " Bearer ", "Bearer x "}) {
    EXPECT_FALSE(ParseAuthorization(before + text).has_value()) << before;
  }
  EXPECT_FALSE(ParseAuthorization("Bearer").has_value());
  EXPECT_FALSE(ParseAuthorization("Bearer  ").has_value());
  EXPECT_FALSE(ParseAuthorization("").has_value());
}

TEST(Secret, IsMadeSoThatItCanBeReadAndIsAnotherEachTime) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string id = MakeKeyId(SystemEntropy);
    const std::string text = MakeSecret(id, SystemEntropy);
    const std::optional<Secret> secret = ParseSecret(text);
    ASSERT_TRUE(secret.has_value()) << text;
    EXPECT_EQ(secret->id, id);
    EXPECT_TRUE(seen.insert(text).second);
    EXPECT_TRUE(seen.insert(id).second);
  }
}

// RFC 4231, test case 2, of a key that was made longer by nothing: HMAC pads keys with zeros.
TEST(KeyHash, IsHmacSha256) {
  const KeyHash::Digest digest = KeyHash("Jefe").Of("what do ya want for nothing?");
  std::string hex;
  for (const char c : digest) {
    constexpr char kHex[] = "0123456789abcdef";
    hex += kHex[static_cast<unsigned char>(c) >> 4];
    hex += kHex[static_cast<unsigned char>(c) & 15];
  }
  EXPECT_EQ(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(KeyHash, AnotherKeyHashesOtherwise) {
  EXPECT_EQ(KeyHash("a").Of("x"), KeyHash("a").Of("x"));
  EXPECT_NE(KeyHash("a").Of("x"), KeyHash("b").Of("x"));
}

TEST(SameBytes, AreEqualTexts) {
  EXPECT_TRUE(SameBytes("", ""));
  EXPECT_TRUE(SameBytes("abc", "abc"));
  EXPECT_FALSE(SameBytes("abc", "abd"));
  EXPECT_FALSE(SameBytes("abc", "ab"));
}

class KeyFileTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = directory_.path().string() + "/key";
    std::ofstream(path) << text;
    return path;
  }
  testing::TempDirectory directory_;
};

TEST_F(KeyFileTest, TheHashKeyHas32BytesAtLeast) {
  EXPECT_EQ(KeyHash::FromFile(Write(std::string(32, 'k') + "\n"))->Of("x"), KeyHash(std::string(32, 'k')).Of("x"));
  const absl::Status too_short = KeyHash::FromFile(Write(std::string(31, 'k') + "\n")).status();
  EXPECT_EQ(too_short.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(too_short.message()), HasSubstr("31 bytes"));
  EXPECT_FALSE(KeyHash::FromFile(directory_.path().string() + "/none").ok());
  EXPECT_FALSE(KeyHash::FromFile(directory_.path().string()).ok()) << "a directory";
  EXPECT_FALSE(KeyHash::FromFile(Write(std::string(5'000, 'k'))).ok());
}

TEST_F(KeyFileTest, ASecretsFileHoldsNothingElse) {
  const std::string text = "wb_admin_" + kRandom;
  EXPECT_EQ(*ReadSecretFile(Write(text + "\n")), text);
  const absl::Status wrong = ReadSecretFile(Write(text + "\nmore")).status();
  EXPECT_EQ(wrong.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(wrong.message()), Not(HasSubstr(kRandom))) << "nothing secret in errors";
}

}  // namespace
}  // namespace waybill::access
