// docs/cli.md says what --help says. WAYBILL_UPDATE_DOCS=1 writes that part anew.
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/cli/help.h"

namespace waybill::cli {
namespace {

constexpr char kDocument[] = WAYBILL_SOURCE_DIR "/docs/cli.md";

void Print(const std::vector<std::string>& command, std::string& out) {
  std::string help = Help(WAYBILL_BINARY, command);
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
