#include "services/process/settings.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "services/process/flags.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/support/temp_directory.h"

namespace waybill::process {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct TestOptions {
  std::string listen = "127.0.0.1:1";
  std::string store_url = "postgresql:///test";
  int writers = 3;
  double radius = 5'000;
  absl::Duration drain = absl::Seconds(10), drain_max = absl::Hours(1);
  bool migrate = false;
  std::vector<std::string> methods;
  LogLevels log_levels;
  LogFormat log_format = LogFormat::kJson;
};

void Declare(CLI::App& app, TestOptions& options) {
  app.add_option("--listen", options.listen, "Where it listens")->envname("TEST_AT")->capture_default_str();
  app.add_option("--store-url", options.store_url, "Postgres")->capture_default_str();
  AddInteger(app, "--writers", options.writers, "How many write")->check(CLI::Range(1, 16))->capture_default_str();
  app.add_option("--radius", options.radius, "How far")->check(NumberBetween(1, 10'000))->capture_default_str();
  AddDuration(app, "--drain", options.drain, "How long it has");
  AddDuration(app, "--drain-max", options.drain_max, "How long it has at most");
  app.add_flag("--migrate", options.migrate, "Whether it migrates");
  CLI::App* group = app.add_option_group("few");
  group->add_option("--methods", options.methods, "Which")->type_name("a|b")->delimiter(',');
  AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status Finish(TestOptions& options) {
  if (options.drain > options.drain_max) return absl::InvalidArgumentError("--drain-max is less than --drain");
  if (options.migrate && options.writers > 8) return absl::InvalidArgumentError("--migrate needs --writers up to 8");
  return absl::OkStatus();
}

// What a start with these flags, variables and this file comes to.
class SettingsTest : public ::testing::Test {
 protected:
  ~SettingsTest() override {
    for (const auto& [name, value] : variables_) unsetenv(name.c_str());
  }

  void SetVariable(const std::string& name, const std::string& value) {
    variables_[name] = value;
    setenv(name.c_str(), value.c_str(), 1);
  }
  void WriteFile(const std::string& text) { std::ofstream(path()) << text; }
  std::string path() const { return folder_.path() / "test.toml"; }

  std::optional<int> Read(std::vector<std::string> flags) {
    std::vector<const char*> argv = {"test"};
    for (const std::string& flag : flags) argv.push_back(flag.c_str());
    options_ = {};
    in_force_.clear();
    out_.str("");
    err_.str("");
    return ReadSettings<TestOptions>({"waybill-test", "WAYBILL_TEST_", Declare, Finish, {"1.2.3", "1a2b3c4d5e6f"}},
                                     static_cast<int>(argv.size()), argv.data(), options_, in_force_, out_, err_);
  }
  std::optional<int> ReadFile(const std::string& text, std::vector<std::string> flags = {}) {
    WriteFile(text);
    flags.insert(flags.begin(), {"--config", path()});
    return Read(flags);
  }
  // The one line on stderr after a start that failed.
  std::string Mistake(const std::string& text, const std::vector<std::string>& flags = {}) {
    EXPECT_EQ(ReadFile(text, flags), 2);
    EXPECT_EQ(out_.str(), "");
    EXPECT_EQ(err_.str().find('\n'), err_.str().size() - 1) << err_.str();
    return err_.str();
  }

  testing::TempDirectory folder_;
  std::map<std::string, std::string> variables_;
  TestOptions options_;
  std::vector<Setting> in_force_;
  std::ostringstream out_, err_;
};

TEST_F(SettingsTest, AFlagWinsOverAVariableAndThatOverTheFile) {
  SetVariable("WAYBILL_TEST_WRITERS", "5");
  SetVariable("WAYBILL_TEST_DRAIN", "5s");
  ASSERT_EQ(ReadFile("writers = 7\ndrain = \"7s\"\nradius = 70.5\n", {"--writers", "9"}), std::nullopt) << err_.str();
  EXPECT_EQ(options_.writers, 9);
  EXPECT_EQ(options_.drain, absl::Seconds(5));
  EXPECT_EQ(options_.radius, 70.5);
  EXPECT_EQ(options_.listen, "127.0.0.1:1");
}

TEST_F(SettingsTest, KnowsWhereEachComesFrom) {
  SetVariable("TEST_AT", "[::1]:5");
  ASSERT_EQ(ReadFile("# ours\nradius = 70\nmigrate = true\n", {"--drain=1s"}), std::nullopt) << err_.str();
  EXPECT_THAT(in_force_,
              ElementsAre(Setting{"listen", "[::1]:5", "TEST_AT"},
                          Setting{"store-url", "postgresql:///test", "default"}, Setting{"writers", "3", "default"},
                          Setting{"radius", "70", path() + ":2"}, Setting{"drain", "1s", "flag"},
                          Setting{"drain-max", "1h", "default"}, Setting{"migrate", "true", path() + ":3"},
                          Setting{"log-level", "info", "default"}, Setting{"log-levels", "", "default"},
                          Setting{"log-format", "json", "default"}, Setting{"methods", "", "default"}));
  EXPECT_TRUE(options_.migrate);
}

TEST_F(SettingsTest, TheFileMayBeNamedByAVariable) {
  WriteFile("writers = 4\n");
  SetVariable("WAYBILL_TEST_CONFIG", path());
  ASSERT_EQ(Read({}), std::nullopt) << err_.str();
  EXPECT_EQ(options_.writers, 4);
}

TEST_F(SettingsTest, AFlagMayTakeBackWhatTheFileSays) {
  ASSERT_EQ(ReadFile("migrate = true\n", {"--migrate=false"}), std::nullopt) << err_.str();
  EXPECT_FALSE(options_.migrate);
}

TEST_F(SettingsTest, ListsAreLists) {
  ASSERT_EQ(ReadFile("methods = [\"a\", \"b\"]\n"), std::nullopt) << err_.str();
  EXPECT_THAT(options_.methods, ElementsAre("a", "b"));
}

TEST_F(SettingsTest, AnUnknownLineStopsTheStartAndSaysWhatMayBeMeant) {
  EXPECT_EQ(Mistake("\nwritters = 3\n"),
            fmt::format("waybill-test: {}:2: there is no setting writters (is writers meant?); --list-settings prints "
                        "all\n",
                        path()));
  EXPECT_THAT(Mistake("sardines = 3\n"), AllOf(HasSubstr("no setting sardines;"), Not(HasSubstr("meant"))));
  EXPECT_THAT(Mistake("[store]\nurl = \"x\"\n"), HasSubstr(":1: there is no setting store"));
  for (const std::string no_setting : {"config", "print-config", "help", "version"}) {
    EXPECT_THAT(Mistake(no_setting + " = true\n"), HasSubstr("no setting " + no_setting));
  }
}

TEST_F(SettingsTest, AWrongValueStopsTheStartAndSaysWhereItStands) {
  EXPECT_THAT(Mistake("\nwriters = 99\n"), AllOf(HasSubstr("--writers: "), HasSubstr("99"), HasSubstr(path() + ":2")));
  EXPECT_THAT(Mistake("writers = \"many\"\n"), AllOf(HasSubstr("--writers: "), HasSubstr(path() + ":1")));
  EXPECT_THAT(Mistake("drain = \"10\"\n"), AllOf(HasSubstr("--drain: "), HasSubstr("1.5s"), HasSubstr(path() + ":1")));
  for (const auto& [line, wrong] :
       std::map<std::string, std::string>{{"drain = 10", "drain is not in quotes"},
                                          {"listen = true", "listen is true or false, which says nothing here"},
                                          {"listen = 1.50", "listen is not in quotes"},
                                          {"listen = [\"a\"]", "listen is not in quotes"},
                                          {"writers = 4.0", "writers is not a whole number"},
                                          {"writers = true", "writers is true or false, which says nothing here"},
                                          {"writers = { a = 1 }", "writers is not a whole number"},
                                          {"writers = 2026-11-28", "writers is not a whole number"},
                                          {"radius = []", "radius is not a number"},
                                          {"migrate = 1", "migrate is neither true nor false"},
                                          {"migrate = \"true\"", "migrate is neither true nor false"},
                                          {"methods = []", "methods is empty: leave the line out instead"},
                                          {"methods = [\"a\", \"\"]", "methods is empty: leave the line out instead"},
                                          {"methods = [\"a\", 1]", "methods is not in quotes"},
                                          {"listen = \"\"", "listen is empty: leave the line out instead"}}) {
    EXPECT_EQ(Mistake("\n" + line + "\n"), fmt::format("waybill-test: {}:2: {}\n", path(), wrong));
  }
  SetVariable("WAYBILL_TEST_WRITERS", "0");
  EXPECT_THAT(Mistake(""), AllOf(HasSubstr("--writers: "), HasSubstr("WAYBILL_TEST_WRITERS")));
  EXPECT_THAT(Mistake("", {"--writers", "17"}),
              AllOf(HasSubstr("--writers: "), Not(HasSubstr("WAYBILL_TEST_WRITERS"))));
}

TEST_F(SettingsTest, AMistakeSaysWhereAllThatItNamesComesFrom) {
  SetVariable("WAYBILL_TEST_MIGRATE", "true");
  EXPECT_EQ(Mistake("writers = 9\n"),
            fmt::format("waybill-test: --migrate needs --writers up to 8 (--writers is from {}:1, --migrate is from "
                        "WAYBILL_TEST_MIGRATE)\n",
                        path()));
  EXPECT_EQ(Mistake("\ndrain = \"2h\"\n"),
            fmt::format("waybill-test: --drain-max is less than --drain (--drain is from {}:2)\n", path()));
  SetVariable("WAYBILL_TEST_MIGRATE", "banana");
  EXPECT_THAT(Mistake(""), AllOf(HasSubstr("banana"), HasSubstr("(--migrate is from WAYBILL_TEST_MIGRATE)")));
}

TEST_F(SettingsTest, AMistakeShowsNoPassword) {
  EXPECT_THAT(Mistake("", {"--store_url=postgresql://me:secret@db/orders"}),
              AllOf(HasSubstr("--store_url"), Not(HasSubstr("secret"))));
}

TEST_F(SettingsTest, TheVersionNamesTheCommit) {
  EXPECT_EQ(Read({"--version"}), 0);
  EXPECT_EQ(out_.str(), "waybill-test 1.2.3 (commit 1a2b3c4d5e6f)\n");
}

TEST_F(SettingsTest, WhoAsksForHelpAboutAFileThatIsWrongGetsIt) {
  for (const std::string flag : {"--help", "--version", "--list-settings", "--list-failpoints"}) {
    EXPECT_EQ(ReadFile("writters = 3\n", {flag}), 0) << flag;
    EXPECT_EQ(err_.str(), "") << flag;
  }
}

TEST_F(SettingsTest, LettersThatAreNotAsciiMayStandInTextsAndComments) {
  EXPECT_EQ(ReadFile("# für uns\nmethods = [\"\"\"\\\n  größte\"\"\", 'ä']\n"), std::nullopt) << err_.str();
  EXPECT_THAT(options_.methods, ElementsAre("größte", "ä"));
  EXPECT_THAT(Mistake("writers = 3\ngröße = 4\n"), HasSubstr(path() + ":2: "));
  EXPECT_THAT(Mistake("writers = ä\n"), HasSubstr(path() + ":1: "));
}

TEST_F(SettingsTest, AFileThatIsNoTomlOrNotThereStopsTheStart) {
  EXPECT_THAT(Mistake("writers = 3\nwriters = 4\n"), HasSubstr(path() + ":2: "));
  EXPECT_THAT(Mistake("writers: 3\n"), HasSubstr(path() + ":1: "));
  EXPECT_THAT(Mistake("migrate = tru\nwriters = 3\n"), HasSubstr(path() + ":1: "));  // which is one line, too
  EXPECT_EQ(Read({"--config", "/nowhere/test.toml"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("/nowhere/test.toml"));
  EXPECT_EQ(Read({"--config", folder_.path()}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("is a directory"));
}

TEST_F(SettingsTest, AFileThatCannotBeLookedAtStopsTheStartAndNothingElse) {
  for (const std::string& odd :
       {std::string(300, 'n'), folder_.path().string() + "/loop", std::string("/dev/null/x")}) {
    std::filesystem::create_symlink("loop", folder_.path() / "loop");
    EXPECT_EQ(Read({"--config", odd}), 2) << odd;
    EXPECT_EQ(err_.str().find('\n'), err_.str().size() - 1) << err_.str();
    std::filesystem::remove(folder_.path() / "loop");
  }
}

TEST_F(SettingsTest, AFlagWithoutItsValueDoesNotTakeTheNextForIt) {
  for (const std::string flag : {"--config=", "--listen=", "--writers=", "--methods="}) {
    EXPECT_EQ(Read({flag, "--migrate"}), 2);
    EXPECT_EQ(err_.str(),
              fmt::format("waybill-test: {} has no value: leave it out instead; --help prints all flags\n", flag));
  }
  ASSERT_EQ(Read({"--listen", "a=", "--migrate"}), std::nullopt) << err_.str();
  EXPECT_EQ(options_.listen, "a=");
}

TEST_F(SettingsTest, HowAFlagWasWrittenDoesNotMatter) {
  SetVariable("WAYBILL_TEST_MIGRATE", "yes");
  ASSERT_EQ(Read({"--print-config"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("migrate = true  # WAYBILL_TEST_MIGRATE\n"));
  ASSERT_EQ(Read({"--migrate", "--migrate", "--print-config"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("migrate = true  # flag\n"));
}

TEST_F(SettingsTest, LongValuesAreValues) {
  const std::string much(200'000, 'w');
  ASSERT_EQ(Read({"--listen", much, "--print-config"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr(much));
  EXPECT_THAT(Mistake("writers = \"" + std::string(200'000, '1') + "\"\n"), HasSubstr("--writers"));
}

TEST_F(SettingsTest, AContradictionStopsTheStart) {
  EXPECT_EQ(Read({"--migrate", "--writers", "9"}), 2);
  EXPECT_EQ(err_.str(), "waybill-test: --migrate needs --writers up to 8\n");
}

TEST_F(SettingsTest, PrintsWhatIsInForceWithoutPasswords) {
  SetVariable("WAYBILL_TEST_STORE_URL", "postgresql://me:secret@db/orders?password=hidden");
  ASSERT_EQ(ReadFile("radius = 70\n", {"--print-config"}), 0) << err_.str();
  EXPECT_EQ(out_.str(), fmt::format("listen = \"127.0.0.1:1\"  # default\n"
                                    "store-url = \"postgresql://me:***@db/orders?password=***\"  # "
                                    "WAYBILL_TEST_STORE_URL\n"
                                    "writers = 3  # default\n"
                                    "radius = 70  # {}:1\n"
                                    "drain = \"10s\"  # default\n"
                                    "drain-max = \"1h\"  # default\n"
                                    "migrate = false  # default\n"
                                    "log-level = \"info\"  # default\n"
                                    "# log-levels = \"\"  # default\n"
                                    "log-format = \"json\"  # default\n"
                                    "# methods = [\"\"]  # default\n",
                                    path()));
}

TEST_F(SettingsTest, WhatIsPrintedCanBeReadAgain) {
  const std::string odd = "a\"b\\c\n\t\x01 d";
  ASSERT_EQ(Read({"--listen", odd, "--store-url", "1.50", "--writers", "007", "--methods", "a,b", "--radius", "1e2",
                  "--migrate", "--print-config"}),
            0)
      << err_.str();
  ASSERT_EQ(ReadFile(out_.str()), std::nullopt) << err_.str();
  EXPECT_EQ(options_.listen, odd);
  EXPECT_EQ(options_.store_url, "1.50");
  EXPECT_EQ(options_.writers, 7);
  EXPECT_THAT(options_.methods, ElementsAre("a", "b"));
  EXPECT_EQ(options_.radius, 100);
  EXPECT_TRUE(options_.migrate);
}

TEST_F(SettingsTest, ListsAllAsATable) {
  ASSERT_EQ(Read({"--list-settings"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("| `listen` | `TEST_AT` | text | 127.0.0.1:1 | Where it listens |\n"));
  EXPECT_THAT(out_.str(), HasSubstr("| whole number, 1 to 16 | 3 | "));
  EXPECT_THAT(out_.str(), HasSubstr("| duration | 10s | "));
  EXPECT_THAT(out_.str(), HasSubstr("| debug, info, warn, error, off | info | "));
  EXPECT_THAT(out_.str(), HasSubstr("| `migrate` | `WAYBILL_TEST_MIGRATE` | true or false | false | Whether it"));
  EXPECT_THAT(out_.str(), HasSubstr("| `methods` | `WAYBILL_TEST_METHODS` | list of a\\|b | "));
  EXPECT_THAT(out_.str(), HasSubstr("Of what goes to stderr. Can be changed while running |\n"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("print-config")));
}

// What a service logs at SIGHUP, and what is in force then.
class TakeOverTest : public ::testing::Test {
 protected:
  std::string Take(const std::vector<Setting>& read, LogLevel level) {
    lines_->str("");
    TakeOver(in_force_, read, {level, {}}, log_);
    return lines_->str();
  }

  SystemClock clock_;
  std::shared_ptr<std::ostringstream> lines_ = std::make_shared<std::ostringstream>();
  Logger log_{LogFormat::kText, LogLevel::kWarn, clock_, std::make_shared<spdlog::sinks::ostream_sink_st>(*lines_)};
  std::vector<Setting> in_force_ = {{"lease", "10s", "default"}, {"log-level", "warn", "flag"}};
};

TEST_F(TakeOverTest, WhatTakesARestartIsNotInForceAndSaidEachTime) {
  const std::vector<Setting> read = {{"lease", "11s", "a:1"}, {"log-level", "warn", "flag"}};
  EXPECT_THAT(Take(read, LogLevel::kWarn), AllOf(HasSubstr("takes a restart"), HasSubstr("lease"), HasSubstr("11s")));
  EXPECT_THAT(Take(read, LogLevel::kWarn), HasSubstr("takes a restart"));
  EXPECT_EQ(in_force_[0].value, "10s");
  EXPECT_EQ(Take({{"lease", "10s", "a:1"}, {"log-level", "warn", "flag"}}, LogLevel::kWarn), "");
}

TEST_F(TakeOverTest, AChangeOfTheLevelIsToldWhateverTheLevels) {
  for (const auto& [name, level] : std::vector<std::pair<std::string, LogLevel>>{{"error", LogLevel::kError},
                                                                                 {"off", LogLevel::kOff},
                                                                                 {"error", LogLevel::kError},
                                                                                 {"info", LogLevel::kInfo},
                                                                                 {"debug", LogLevel::kDebug}}) {
    EXPECT_THAT(Take({{"lease", "10s", "default"}, {"log-level", name, "a:1"}}, level), HasSubstr(name));
    EXPECT_EQ(in_force_[1].value, name);
    EXPECT_EQ(log_.level(), level);
  }
}

}  // namespace
}  // namespace waybill::process
