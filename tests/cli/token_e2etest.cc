#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"
#include "tests/support/temp_directory.h"

namespace waybill::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TokenCommands : public ::testing::Test {
 protected:
  TokenCommands() {
    std::ofstream(keys_) << "[[key]]\nid = \"a\"\nalgorithm = \"HS256\"\ntenants = [\"shop\"]\n"
                            "secret = \"a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=\"\n";
  }
  Ran Issue(const std::string& topic, const std::string& ttl = "10m", const std::string& tenant = "shop") {
    return RunBinary(WAYBILL_BINARY,
                     {"token", "issue", "--token-keys-file", keys_, "--tenant", tenant, "--topic", topic, "--ttl", ttl},
                     {});
  }

  testing::TempDirectory directory_;
  const std::string keys_ = directory_.path() / "keys.toml";
};

TEST_F(TokenCommands, WhatIsWrongWithATokenIsNamedByItsField) {
  EXPECT_EQ(Issue("order:*").code, 0);
  EXPECT_EQ(Issue("order:*", "24h").code, 0);
  EXPECT_EQ(Issue("order:*", "1d").code, 0);
  for (const char* topic : {"orders:*", "order:17", "order:01a227ef-0000-7000-8000-000000000001,order:*"}) {
    const Ran ran = Issue(topic);
    EXPECT_EQ(ran.code, 2);
    EXPECT_THAT(ran.output, HasSubstr(std::string("topics: \"") + topic + "\" is neither order:ID"));
  }
  for (const char* ttl : {"2d", "0", "0s", "-5m", "soon", "1e3s"}) {
    const Ran ran = Issue("order:*", ttl);
    EXPECT_EQ(ran.code, 2) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("--ttl: ")) << ttl;
    EXPECT_THAT(ran.output, HasSubstr(ttl)) << ttl;
  }
  const Ran other = Issue("order:*", "10m", "rival");
  EXPECT_EQ(other.code, 2);
  EXPECT_THAT(other.output, HasSubstr("tenant: key \"a\" is not for \"rival\", but for shop"));
}

// Whoever reads it signs for everybody: a shell's umask is not asked.
TEST_F(TokenCommands, AKeyIsAddedToAFileThatItsOwnerAloneReads) {
  const std::string file = directory_.path() / "fresh.toml";
  const auto add = [&](const std::string& id) {
    return RunBinary(WAYBILL_BINARY, {"token", "make-key", "--id", id, "--file", file}, {});
  };
  const Ran first = add("a");
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, HasSubstr("--token-keys-file"));
  EXPECT_THAT(first.output, Not(HasSubstr("secret = ")));
  EXPECT_EQ(std::filesystem::status(file).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(add("b").code, 0);
  EXPECT_EQ(add("b").code, 2) << "an id is there once";
  EXPECT_EQ(
      RunBinary(WAYBILL_BINARY,
                {"token", "issue", "--token-keys-file", file, "--key", "a", "--tenant", "shop", "--topic", "order:*"},
                {})
          .code,
      0);
}

// As any other setting that is wrong: before anything is begun, and in plain words.
TEST_F(TokenCommands, AServiceWithAWrongFileOfKeysDoesNotStart) {
  const Ran missing = RunBinary(WAYBILL_REALTIME_BINARY, {"--token-keys-file", keys_ + ".not"}, {});
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.output, HasSubstr("--token-keys-file: " + keys_ + ".not: No such file or directory"));
  std::ofstream(keys_) << "[[key]]\nid = \"a\"\nalgorithm = \"none\"\n";
  const Ran wrong = RunBinary(WAYBILL_REALTIME_BINARY, {"--token-keys-file", keys_, "--log-format", "json"}, {});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.output, HasSubstr("--token-keys-file: " + keys_ + ":1: algorithm is neither"));
  EXPECT_TRUE(wrong.json.empty()) << wrong.output;
}

}  // namespace
}  // namespace waybill::cli
