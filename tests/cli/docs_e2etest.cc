// docs/cli.md says what --help says. WAYBILL_UPDATE_DOCS=1 writes that part anew.
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"

namespace waybill::cli {
namespace {

constexpr char kDocument[] = WAYBILL_SOURCE_DIR "/docs/cli.md";

std::string Help(std::vector<std::string> command) {
  command.push_back("--help");
  Ran ran = RunBinary(WAYBILL_BINARY, command, {});
  EXPECT_EQ(ran.code, 0) << ran.output;
  return ran.output;
}

// The names listed under "Subcommands:".
std::vector<std::string> SubcommandsOf(const std::string& help) {
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

void Print(const std::vector<std::string>& command, std::string& out) {
  std::string help = Help(command);
  out += fmt::format("\n## waybill{}{}\n\n```text\n{}```\n", command.empty() ? "" : " ", fmt::join(command, " "), help);
  for (const std::string& name : SubcommandsOf(help)) {
    std::vector<std::string> below = command;
    below.push_back(name);
    Print(below, out);
  }
}

TEST(CliDocument, SaysWhatHelpSays) {
  std::ifstream in(kDocument);
  ASSERT_TRUE(in.good());
  std::stringstream read;
  read << in.rdbuf();
  std::string text = read.str();
  const std::string begin = "<!-- help:begin -->\n", end = "\n<!-- help:end -->";
  size_t from = text.find(begin);
  size_t to = text.find(end);
  ASSERT_NE(from, std::string::npos);
  ASSERT_NE(to, std::string::npos);
  from = std::min(from + begin.size(), to);
  std::string printed;
  Print({}, printed);
  if (std::getenv("WAYBILL_UPDATE_DOCS") != nullptr) {
    std::ofstream(kDocument) << text.replace(from, to - from, printed);
    return;
  }
  EXPECT_EQ(text.substr(from, to - from), printed) << "WAYBILL_UPDATE_DOCS=1 writes it anew";
}

}  // namespace
}  // namespace waybill::cli
