// A service's settings while it runs: the file is read again at SIGHUP.
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/stack.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SettingsTest : public ::testing::Test {
 protected:
  SettingsTest() {
    Write("log-level = \"error\"\n");
    StackOptions options;
    options.builtin_gateway = true;
    options.order_args = {"--config", path()};
    stack_.emplace(options);
    stack_->AddReplica("a").Start();
  }

  std::string path() const { return folder_.path() / "order.toml"; }
  void Write(const std::string& text) { std::ofstream(path()) << text; }
  // At SIGHUP; the log's next line with `text`.
  std::string Hangup(const std::string& text) {
    EXPECT_TRUE(process().Signal(SIGHUP));
    return process().WaitForLine(text, absl::Seconds(20)).value_or("no such line in " + process().Output());
  }
  Process& process() { return stack_->replica().process(); }

  TempDirectory folder_;
  std::optional<Stack> stack_;
};

TEST_F(SettingsTest, SighupTakesOverWhatCanBeChangedAndSaysWhatCannot) {
  EXPECT_THAT(process().Output(), Not(HasSubstr("\"serving\"")));
  Write("log-level = \"info\"\nlease = \"11s\"\n");
  EXPECT_THAT(Hangup("takes a restart"), HasSubstr("\"setting\":\"lease\",\"value\":\"11s\""));
  Write("log-level = \"warn\"\nlease = \"11s\"\n");
  EXPECT_THAT(Hangup("\"value\":\"warn\""), HasSubstr("\"setting\":\"log-level\""));
  EXPECT_EQ(stack_->replica().Stop(), 0);
  EXPECT_THAT(process().Output(), Not(HasSubstr("\"stopped\"")));
}

TEST_F(SettingsTest, AFileThatIsWrongAtSighupChangesNothing) {
  Write("log-level = \"info\"\nleese = \"11s\"\n");
  EXPECT_THAT(Hangup("settings are as before"), HasSubstr("order.toml:2: there is no setting leese (is lease meant?)"));
  EXPECT_EQ(stack_->replica().Stop(), 0);
  EXPECT_THAT(process().Output(), Not(HasSubstr("\"stopped\"")));
}

}  // namespace
}  // namespace waybill::testing
