// Runs a binary to its end, for tests of command lines.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/support/process.h"

namespace waybill::cli {

struct Ran {
  int code = -1;
  std::string output;                // both streams
  std::vector<nlohmann::json> json;  // the lines that are JSON objects
};

inline Ran RunBinary(const std::string& binary, std::vector<std::string> args,
                     std::vector<std::pair<std::string, std::string>> env) {
  testing::ProcessOptions options;
  options.args = std::move(args);
  options.env = std::move(env);
  auto process = testing::Process::Start(binary, options);
  if (!process.ok()) {
    ADD_FAILURE() << process.status();
    return {};
  }
  Ran ran;
  ran.code = (*process)->Wait(absl::Seconds(60)).value_or(-1);
  ran.output = (*process)->Output();
  size_t start = 0;
  for (size_t end; (end = ran.output.find('\n', start)) != std::string::npos; start = end + 1) {
    if (ran.output[start] == '{') ran.json.push_back(nlohmann::json::parse(ran.output.substr(start, end - start)));
  }
  return ran;
}

}  // namespace waybill::cli
