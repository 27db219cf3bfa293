#include "cli/replay_state.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/temp_directory.h"

namespace waybill::cli {
namespace {

TEST(ParsePace, TakesWordsAndFactors) {
  EXPECT_EQ(ParsePace("max").value(), 0);
  EXPECT_EQ(ParsePace("real").value(), 1);
  EXPECT_EQ(ParsePace("10").value(), 10);
  EXPECT_EQ(ParsePace("2.5x").value(), 2.5);
  for (const char* text : {"", "x", "0", "-1", "fast", "10 ", "1e3", "nan", "inf", "99999999"}) {
    EXPECT_EQ(ParsePace(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(TimeShift, MovesAndSpeedsUpToTheMicrosecond) {
  const absl::Time from = absl::FromUnixSeconds(1'200'000'000);
  const absl::Time to = absl::FromUnixSeconds(1'800'000'000);
  TimeShift shift{from, to, 10};
  EXPECT_EQ(shift.Apply(from), to);
  EXPECT_EQ(shift.Apply(from + absl::Seconds(25)), to + absl::Milliseconds(2500));
  EXPECT_EQ(shift.Apply(from - absl::Seconds(10)), to - absl::Seconds(1));
  EXPECT_EQ(shift.Apply(from + absl::Microseconds(14)), to + absl::Microseconds(1));
  shift.to += absl::Nanoseconds(999);
  EXPECT_EQ(shift.Apply(from), to);
}

ReplayState SomeState() {
  ReplayState state;
  state.points = 4711;
  state.driver_id = "d-\"7\"";
  state.recorded_at = absl::FromUnixMicros(1'212'130'800'000'001);
  return state;
}

TEST(ReplayState, IsReadBackAsItWasSaved) {
  testing::TempDirectory directory;
  std::string path = directory.path() / "state";
  EXPECT_EQ(LoadReplayState(path).value(), std::nullopt);
  ReplayState state = SomeState();
  ASSERT_EQ(SaveReplayState(path, state), absl::OkStatus());
  EXPECT_EQ(LoadReplayState(path).value(), state);
  state.points = 4712;
  state.shift = TimeShift{absl::FromUnixMicros(1), absl::FromUnixMicros(-2), 0.5};
  ASSERT_EQ(SaveReplayState(path, state), absl::OkStatus());
  EXPECT_EQ(LoadReplayState(path).value(), state);
  // Nothing else is left lying about.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(ReplayState, WhatIsNoneIsRefused) {
  testing::TempDirectory directory;
  std::string path = directory.path() / "state";
  for (const char* text :
       {"", "{", "[]", "7", "{}", R"({"points":0,"driver_id":"d","recorded_at_unix_us":1})",
        R"({"points":1,"driver_id":7,"recorded_at_unix_us":1})", R"({"points":1,"recorded_at_unix_us":1})",
        R"({"points":"1","driver_id":"d","recorded_at_unix_us":1})",
        R"({"points":1,"driver_id":"d","recorded_at_unix_us":1,"shift":7})",
        R"({"points":1,"driver_id":"d","recorded_at_unix_us":1,"shift":{"from_unix_us":1,"to_unix_us":1,"pace":0}})"}) {
    std::ofstream(path) << text;
    EXPECT_EQ(LoadReplayState(path).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ReplayState, AFolderThatIsNotThereIsTold) {
  testing::TempDirectory directory;
  EXPECT_EQ(SaveReplayState(directory.path() / "no" / "state", SomeState()).code(), absl::StatusCode::kUnavailable);
}

// ---- when a recording was made ----

RecordingSpan::Span SpanOf(const std::vector<int64_t>& seconds) {
  RecordingSpan span;
  for (int64_t second : seconds) span.Add(absl::FromUnixSeconds(second));
  return span.Find().value();
}

TEST(RecordingSpan, GoesFromTheFirstToTheLastOfTheTimesThatBelongTogether) {
  constexpr int64_t kNow = 1'795'762'800, kDay = 86'400;
  EXPECT_FALSE(RecordingSpan().Find().has_value());
  RecordingSpan::Span span = SpanOf({kNow + 5, kNow, kNow + 25 * kDay});
  EXPECT_EQ(span.first, absl::FromUnixSeconds(kNow));
  EXPECT_EQ(span.last, absl::FromUnixSeconds(kNow + 25 * kDay)) << "a pause is none of a clock";
  EXPECT_EQ(span.outside, 0);
  // Dates of receivers that had no clock yet, and one from a later decade.
  span = SpanOf(
      {315'964'812, 0, kNow + 1, kNow - 7168 * kDay, kNow + 2, kNow + 3, kNow + 4, kNow + 5, kNow + 7168 * kDay});
  EXPECT_EQ(span.first, absl::FromUnixSeconds(kNow + 1));
  EXPECT_EQ(span.last, absl::FromUnixSeconds(kNow + 5));
  EXPECT_EQ(span.outside, 4);
  span = SpanOf({-5});
  EXPECT_EQ(span.first, span.last);
}

}  // namespace
}  // namespace waybill::cli
