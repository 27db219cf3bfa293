// docs/cli.md says what --help says, and docs/configuration.md what --list-settings says. WAYBILL_UPDATE_DOCS=1 writes
// those parts anew.
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/cli/help.h"
#include "tests/support/process.h"

namespace waybill::cli {
namespace {

// What stands in the document between these two lines.
void ExpectPrinted(const std::string& document, const std::string& begin, const std::string& end,
                   const std::string& printed) {
  const std::string path = WAYBILL_SOURCE_DIR "/" + document;
  std::ifstream in(path);
  ASSERT_TRUE(in.good()) << path;
  std::stringstream read;
  read << in.rdbuf();
  std::string text = read.str();
  size_t from = text.find(begin);
  size_t to = text.find(end);
  ASSERT_NE(from, std::string::npos) << begin;
  ASSERT_NE(to, std::string::npos) << end;
  from = std::min(from + begin.size(), to);
  if (std::getenv("WAYBILL_UPDATE_DOCS") != nullptr) {
    std::ofstream(path) << text.replace(from, to - from, printed);
    return;
  }
  EXPECT_EQ(text.substr(from, to - from), printed) << "WAYBILL_UPDATE_DOCS=1 writes it anew";
}

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
  std::string printed;
  Print({}, printed);
  ExpectPrinted("docs/cli.md", "<!-- help:begin -->\n", "\n<!-- help:end -->", printed);
}

// Some defaults follow the cores: what is documented are those of one.
class OnOneCore {
 public:
  OnOneCore() {
    sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; CPU_COUNT(&one) == 0 && core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &before_)) CPU_SET(core, &one);
    }
    sched_setaffinity(0, sizeof one, &one);
  }
  ~OnOneCore() { sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};

TEST(ConfigurationDocument, ListsEverySetting) {
  const OnOneCore one;
  for (const std::string binary : {WAYBILL_ORDER_BINARY, WAYBILL_INGEST_BINARY, WAYBILL_LEDGER_BINARY,
                                   WAYBILL_RACE_BINARY, WAYBILL_REALTIME_BINARY, WAYBILL_SANDBOX_BINARY}) {
    const std::string name = binary.substr(binary.rfind('/') + 1);
    auto process = testing::Process::Start(binary, {.args = {"--list-settings"}});
    ASSERT_TRUE(process.ok()) << process.status();
    ASSERT_EQ((*process)->Wait(absl::Seconds(30)), 0) << (*process)->Output();
    // Kubernetes sets such variables for a service of that name.
    EXPECT_FALSE(std::regex_search((*process)->Output(), std::regex("_(PORT(_[0-9]\\w*)?|SERVICE_\\w+)`"))) << name;
    ExpectPrinted("docs/configuration.md", fmt::format("<!-- {}:begin -->\n", name),
                  fmt::format("<!-- {}:end -->", name), (*process)->Output());
  }
}

}  // namespace
}  // namespace waybill::cli
