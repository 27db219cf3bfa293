#include "runtime/log.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"

namespace waybill {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class LogTest : public ::testing::Test {
 protected:
  Logger Make(LogFormat format, LogLevel level = LogLevel::kInfo) {
    return Logger(format, level, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_));
  }

  // The one line written since the last call, without its end; fails the test when there is not exactly one.
  std::string Line() {
    std::string text = out_.str();
    out_.str("");
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_EQ(text.empty() ? ' ' : text.back(), '\n');
    if (!text.empty()) text.pop_back();
    return text;
  }

  testing::ManualTime time_{absl::FromUnixMicros(1'767'323'045'678'901)};
  std::ostringstream out_;
};

TEST_F(LogTest, JsonLineHasTimeLevelMessageAndTypedFields) {
  Make(LogFormat::kJson)
      .Info("order settled", {{"order_id", "o-1"},
                              {"attempts", 3},
                              {"amount", uint64_t{18'446'744'073'709'551'615U}},
                              {"low", std::numeric_limits<int64_t>::min()},
                              {"seconds", 0.25},
                              {"replayed", true}});
  EXPECT_EQ(Line(),
            R"({"ts":"2026-01-02T03:04:05.678901Z","level":"info","msg":"order settled","order_id":"o-1","attempts":3,)"
            R"("amount":18446744073709551615,"low":-9223372036854775808,"seconds":0.25,"replayed":true})");
}

TEST_F(LogTest, MicrosecondsAreAlwaysSixDigits) {
  time_.Advance(absl::Microseconds(1'000'000 - 678'901));
  Make(LogFormat::kJson).Info("x");
  EXPECT_THAT(Line(), HasSubstr("2026-01-02T03:04:06.000000Z"));
}

TEST_F(LogTest, AnyBytesGiveOneParseableLine) {
  Logger log = Make(LogFormat::kJson);
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  for (const std::string& text :
       {std::string("quote \" backslash \\ newline \n tab \t"), std::string("nul \0 inside", 12),
        std::string("Grüße 🚚"), std::string("\xff\xfe"), std::string("cut short \xe2\x82"), std::string("\xed\xa0\x80"),
        std::string("\xc0\x80"), std::string("\x7f"), all, std::string()}) {
    log.Info(text, {{text, text}});
    std::string line = Line();
    auto parsed = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(parsed.is_discarded()) << line;
    EXPECT_EQ(parsed.size(), 4) << line;
  }
}

TEST_F(LogTest, ValidUtf8SurvivesAndInvalidIsReplaced) {
  Logger log = Make(LogFormat::kJson);
  log.Info("x", {{"good", "Grüße\n🚚"},
                 {"bad",
                  "a\xff"
                  "b"}});
  auto parsed = nlohmann::json::parse(Line());
  EXPECT_EQ(parsed["good"], "Grüße\n🚚");
  EXPECT_EQ(parsed["bad"], "a\uFFFDb");
}

TEST_F(LogTest, NumbersThatJsonLacksAreStrings) {
  Make(LogFormat::kJson)
      .Info("x", {{"a", std::nan("")}, {"b", -std::numeric_limits<double>::infinity()}, {"c", 1e300}});
  auto parsed = nlohmann::json::parse(Line());
  EXPECT_EQ(parsed["a"], "NaN");
  EXPECT_EQ(parsed["b"], "-Inf");
  EXPECT_EQ(parsed["c"], 1e300);
}

TEST_F(LogTest, BoundFieldsAreInEachLineOfThatLoggerOnly) {
  Logger log = Make(LogFormat::kJson);
  Logger traced = log.With({{"trace_id", "4bf9"}}).With({{"n", 1}});
  traced.Warn("a", {{"k", "v"}});
  EXPECT_THAT(Line(), HasSubstr(R"("level":"warn","msg":"a","trace_id":"4bf9","n":1,"k":"v"})"));
  log.Info("b");
  EXPECT_THAT(Line(), HasSubstr(R"("msg":"b"})"));
}

TEST_F(LogTest, WritesNothingBelowItsLevel) {
  Logger log = Make(LogFormat::kJson, LogLevel::kWarn);
  Logger child = log.With({{"a", 1}});
  log.Debug("x");
  log.Info("x");
  child.Info("x");
  EXPECT_EQ(out_.str(), "");
  log.Warn("x");
  Line();
  log.SetLevel(LogLevel::kOff);
  log.Error("x");
  child.Error("x");
  EXPECT_EQ(out_.str(), "");
}

TEST_F(LogTest, TextLineIsForEyesAndStaysOneLine) {
  Logger log = Make(LogFormat::kText);
  log.Info("order settled", {{"order_id", "o-1"}, {"why", "card declined"}, {"empty", ""}, {"n", 3}, {"ok", false}});
  EXPECT_EQ(
      Line(),
      R"(2026-01-02T03:04:05.678901Z info  order settled order_id=o-1 why="card declined" empty="" n=3 ok=false)");
  log.Error("a\nforged line", {{"k", "v\nforged=1"}});
  EXPECT_THAT(Line(), StartsWith(R"(2026-01-02T03:04:05.678901Z error "a\nforged line" k="v\nforged=1")"));
}

TEST(LogParse, KnowsItsNamesAndNoOthers) {
  EXPECT_EQ(ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("off"), LogLevel::kOff);
  EXPECT_EQ(ParseLogLevel("INFO"), std::nullopt);
  EXPECT_EQ(ParseLogLevel(""), std::nullopt);
  EXPECT_EQ(ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(ParseLogFormat("text"), LogFormat::kText);
  EXPECT_EQ(ParseLogFormat("xml"), std::nullopt);
}

TEST_F(LogTest, APackageSaysItsNameAndMayHaveALevelOfItsOwn) {
  Logger log = Make(LogFormat::kJson);
  const Logger http = log.For("edge.http"), tls = log.For("edge.tls"), order = log.For("services.order");
  log.SetLevels({LogLevel::kWarn, *ParsePackageLevels("edge=info,edge.tls=off,services.order=debug")});
  http.Debug("no");
  tls.Error("no");
  log.Info("no");
  EXPECT_EQ(out_.str(), "");
  http.Info("a");
  EXPECT_THAT(Line(), HasSubstr(R"("level":"info","msg":"a","package":"edge.http"})"));
  order.With({{"n", 1}}).Debug("a");
  EXPECT_THAT(Line(), HasSubstr(R"("msg":"a","package":"services.order","n":1})"));
  log.SetLevels({LogLevel::kWarn, {}});
  http.Info("no");
  EXPECT_EQ(out_.str(), "");
  log.For("edge.tls").Warn("one that is made later has the level of its package");
  Line();
}

TEST_F(LogTest, LevelsOfPackagesAreRefusedWithTheReason) {
  EXPECT_EQ(ParsePackageLevels("")->size(), 0u);
  EXPECT_EQ(ParsePackageLevels("edge=warn,edge.http=debug")->size(), 2u);
  EXPECT_THAT(std::string(ParsePackageLevels("edge.htp=warn").status().message()), HasSubstr("edge.http, "));
  for (const char* wrong : {"edge.http", "edge.http=", "edge.http=loud", "=warn", "edg=warn", "edge.=warn",
                            "edge.http=warn;", "edge=warn,,", "edge.http.more=warn"}) {
    EXPECT_FALSE(ParsePackageLevels(wrong).ok()) << wrong;
  }
}

TEST_F(LogTest, WhatRepeatsIsCountedAndSaidOnce) {
  Logger log = Make(LogFormat::kJson);
  log.CountRepeated(absl::Seconds(10));
  const Logger bound = log.For("edge.http");
  log.Warn("away", {{"n", 1}});
  Line();
  for (int i = 0; i < 4; ++i) log.Warn("away", {{"n", 1}});
  EXPECT_EQ(out_.str(), "");
  log.Warn("away", {{"n", 2}});
  Line();  // it says something else
  bound.Warn("away", {{"n", 1}});
  Line();  // somebody else says it
  time_.Advance(absl::Milliseconds(9'999));
  log.SayRepeated();
  EXPECT_EQ(out_.str(), "");
  time_.Advance(absl::Milliseconds(1));
  log.SayRepeated();
  EXPECT_EQ(Line(), R"({"ts":"2026-01-02T03:04:15.678901Z","level":"warn","msg":"away","n":1,"repeated":4})");
  log.Warn("away", {{"n", 1}});
  EXPECT_THAT(Line(), ::testing::Not(HasSubstr("repeated"))) << "it is news again";
}

TEST_F(LogTest, TheCountIsSaidBeforeTheNextLineTooAndAtTheEnd) {
  Logger log = Make(LogFormat::kText);
  log.CountRepeated(absl::Seconds(10));
  for (int i = 0; i < 3; ++i) log.Info("a");
  time_.Advance(absl::Seconds(10));
  log.Info("b");
  EXPECT_THAT(
      out_.str(),
      HasSubstr(" info  a\n2026-01-02T03:04:15.678901Z info  a repeated=2\n2026-01-02T03:04:15.678901Z info  b\n"));
  log.Info("b");
  out_.str("");
  log.SayRepeated(/*all=*/true);
  EXPECT_THAT(Line(), HasSubstr("b repeated=1"));
  log.SayRepeated(/*all=*/true);
  EXPECT_EQ(out_.str(), "");
}

TEST_F(LogTest, LinesThatAreKeptInMindAreBounded) {
  Logger log = Make(LogFormat::kText);
  log.CountRepeated(absl::Seconds(10));
  log.Info("first");
  log.Info("first");
  for (int i = 0; i < 600; ++i) log.Info("other", {{"i", i}});
  EXPECT_THAT(out_.str(), HasSubstr("first repeated=1\n")) << "it was said when it was forgotten";
  out_.str("");
  const std::string long_text(5'000, 'x');
  log.Info(long_text);
  log.Info(long_text);
  EXPECT_EQ(out_.str().size(), 2 * (long_text.size() + std::string("2026-01-02T03:04:05.678901Z info  \n").size()));
}

}  // namespace
}  // namespace waybill
