#include "services/process/identity.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::process {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

absl::Status CheckGiven(const std::vector<std::string>& arguments, const std::string& listen,
                        const std::string& side_listen) {
  CLI::App app;
  IdentityOptions options;
  AddIdentityFlags(app, options);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  app.parse(reversed);
  return CheckIdentity(options, listen, side_listen);
}

TEST(Identity, HasToBeSaidWhereOtherMachinesReachAPort) {
  EXPECT_TRUE(CheckGiven({}, "127.0.0.1:1", "[::1]:2").ok());
  EXPECT_THAT(CheckGiven({}, "0.0.0.0:1", "127.0.0.1:2").message(),
              AllOf(HasSubstr("--listen 0.0.0.0:1"), HasSubstr("--identity required"), HasSubstr("--identity open")));
  EXPECT_THAT(CheckGiven({}, "127.0.0.1:1", "[::]:2").message(), HasSubstr("--side-listen [::]:2"));
  EXPECT_TRUE(CheckGiven({"--identity", "open"}, "0.0.0.0:1", "0.0.0.0:2").ok());
  EXPECT_TRUE(CheckGiven({"--identity", "required", "--key-hash-file", "/a"}, "0.0.0.0:1", "0.0.0.0:2").ok());
}

TEST(Identity, NeedsTheFileUnderWhichKeysAreHashed) {
  EXPECT_THAT(CheckGiven({"--identity", "required"}, "127.0.0.1:1", "127.0.0.1:2").message(),
              HasSubstr("--identity required needs --key-hash-file"));
  EXPECT_THAT(CheckGiven({"--admin-key-file", "/a"}, "127.0.0.1:1", "127.0.0.1:2").message(),
              HasSubstr("--admin-key-file needs --key-hash-file"));
}

}  // namespace
}  // namespace waybill::process
