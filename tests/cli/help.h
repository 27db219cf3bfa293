// What --help prints, taken apart.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"

namespace waybill::cli {

inline std::string Help(const std::string& binary, std::vector<std::string> command) {
  command.push_back("--help");
  Ran ran = RunBinary(binary, command, {});
  EXPECT_EQ(ran.code, 0) << ran.output;
  return ran.output;
}

// The names listed under "Subcommands:".
inline std::vector<std::string> SubcommandsOf(const std::string& help) {
  std::vector<std::string> names;
  std::istringstream lines(help);
  std::string line;
  bool listing = false;
  while (std::getline(lines, line)) {
    if (line == "Subcommands:") {
      listing = true;
    } else if (listing && line.compare(0, 2, "  ") != 0) {
      listing = false;
    } else if (listing && line[2] != ' ') {
      names.push_back(line.substr(2, line.find(' ', 2) - 2));
    }
  }
  return names;
}

}  // namespace waybill::cli
