// What the log of a saga tells, in short.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "saga/record.h"

namespace waybill::saga::testing {

// "charge succeeded" of a step, "cancelled" of the saga.
inline std::vector<std::string> StoryOf(const std::vector<LogEntry>& log) {
  std::vector<std::string> story;
  int64_t seq = 0;
  for (const LogEntry& entry : log) {
    EXPECT_EQ(entry.seq, ++seq) << "the log has a gap";
    story.push_back(entry.step.empty() ? std::string(Name(entry.outcome))
                                       : fmt::format("{} {}", entry.step, Name(entry.outcome)));
  }
  return story;
}

}  // namespace waybill::saga::testing
