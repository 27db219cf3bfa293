// The documentation says what the code says. WAYBILL_UPDATE_DOCS=1 writes the printed parts anew.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "domain/currency.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ledger/result.h"
#include "saga/transition.h"
#include "storage/postgres/order_tables.h"
#include "storage/postgres/saga_journal_sql.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"

namespace waybill {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kRoot = WAYBILL_SOURCE_DIR;

std::string Read(const fs::path& path) {
  std::ifstream in(kRoot / path);
  EXPECT_TRUE(in.good()) << path;
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// What `pattern`'s first group matches in `text`.
std::set<std::string> FindAll(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) found.insert((*it)[1]);
  return found;
}

// The part of `path` between <!-- name:begin --> and <!-- name:end --> is `printed`.
void ExpectPrinted(const fs::path& path, std::string_view name, const std::string& printed) {
  std::string text = Read(path);
  const std::string begin = fmt::format("<!-- {}:begin -->\n", name), end = fmt::format("<!-- {}:end -->", name);
  size_t from = text.find(begin);
  size_t to = text.find(end);
  ASSERT_NE(from, std::string::npos) << path << " lacks " << begin;
  ASSERT_NE(to, std::string::npos) << path << " lacks " << end;
  from += begin.size();
  if (std::getenv("WAYBILL_UPDATE_DOCS") != nullptr) {
    text.replace(from, to - from, printed);
    std::ofstream(kRoot / path) << text;
    return;
  }
  EXPECT_EQ(text.substr(from, to - from), printed) << "WAYBILL_UPDATE_DOCS=1 writes it anew";
}

// A statement as one reads it: a line for each part, indented by its parentheses, none longer than 116.
std::string Layout(std::string_view statement) {
  constexpr std::string_view kBreakBefore[] = {"WITH ",    "SELECT ",    "INSERT ",    "UPDATE ",
                                               "SET ",     "FROM ",      "WHERE ",     "AND ",
                                               "ORDER BY", "RETURNING ", "FOR UPDATE", "ON CONFLICT"};
  std::vector<std::pair<size_t, std::string>> lines = {{0, ""}};
  size_t depth = 0, kept_together = 0;
  for (size_t at = 0; at < statement.size(); ++at) {
    const char c = statement[at];
    const std::string_view before = statement.substr(0, at);
    auto follows = [&](std::string_view word) { return statement.substr(at, word.size()) == word; };
    // The parts of a WITH are parts of the statement; in other parentheses, and in a CASE, nothing is broken.
    const bool part = c == '(' && (before.ends_with("AS ") || before.ends_with("AS MATERIALIZED "));
    if (c == '(') part ? ++depth : ++kept_together;
    if (c == ')') kept_together > 0 ? --kept_together : --depth;
    if (follows("CASE ")) ++kept_together;
    const bool begins = at > 0 && (statement[at - 1] == ' ' || statement[at - 1] == '(');
    const bool belongs =
        before.ends_with("FOR ") || (follows("WHERE ") && lines.back().second.starts_with("ON CONFLICT"));
    const bool breaks = !belongs && std::any_of(std::begin(kBreakBefore), std::end(kBreakBefore), follows);
    const bool next_part = depth == 0 && lines.back().second.ends_with("), ");
    if (begins && kept_together == 0 && (breaks || next_part)) {
      lines.push_back({4 * depth + (follows("AND ") ? 2 : 0), ""});
    }
    if (before.ends_with(" END") && kept_together > 0) --kept_together;
    lines.back().second += c;
  }
  std::string text;
  for (auto& [indent, line] : lines) {
    std::string from(indent, ' ');
    while (!line.empty()) {
      while (!line.empty() && line.back() == ' ') line.pop_back();
      size_t end = line.size();
      if (const size_t room = 116 - from.size(); end > room) {
        const size_t comma = line.rfind(", ", room - 2);
        end = comma != std::string::npos ? comma + 1 : line.rfind(' ', room);
      }
      text += from + line.substr(0, end) + "\n";
      line.erase(0, std::min(end + 1, line.size()));
      from.assign(indent + 6, ' ');
    }
  }
  return text;
}

std::string WithoutSpaces(std::string text) {
  text.erase(std::remove_if(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\n'; }), text.end());
  return text;
}

std::string SourcesUnder(const fs::path& folder) {
  std::string text;
  for (const auto& entry : fs::directory_iterator(kRoot / folder)) {
    if (entry.path().extension() == ".cc") text += Read(fs::relative(entry.path(), kRoot));
  }
  return text;
}

// The part of docs/operations.md under `heading`, up to the next of its level.
std::string OperationsOf(const std::string& heading) {
  const std::string text = Read("docs/operations.md");
  const size_t from = text.find(fmt::format("\n### {}\n", heading));
  EXPECT_NE(from, std::string::npos) << heading;
  if (from == std::string::npos) return "";
  return text.substr(from, std::min(text.find("\n### ", from + 1), text.find("\n## ", from + 1)) - from);
}

// Behind a document's "## Entry points": each word in backticks stands in the file named before it.
void ExpectEntryPoints(const fs::path& path) {
  const std::string text = Read(path);
  const size_t at = text.find("## Entry points");
  ASSERT_NE(at, std::string::npos);
  std::string source;
  int checked = 0;
  const std::regex quoted("`([^`]+)`");
  for (std::sregex_iterator it(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), quoted), end; it != end;
       ++it) {
    const std::string word = (*it)[1];
    if (word.find('/') != std::string::npos) {
      source = Read(word);
    } else {
      EXPECT_THAT(source, HasSubstr(word));
      ++checked;
    }
  }
  EXPECT_GT(checked, 30);
}

TEST(LifeOfAnOrder, HoldsTheTransitionTableAsADiagram) {
  ExpectPrinted("docs/life-of-an-order.md", "transition-table",
                fmt::format("```mermaid\n{}```\n", saga::TransitionDiagram()));
}

TEST(LifeOfAnOrder, EntryPointsAreWhereItSays) { ExpectEntryPoints("docs/life-of-an-order.md"); }

TEST(LifeOfALocation, EntryPointsAreWhereItSays) { ExpectEntryPoints("docs/life-of-a-location.md"); }

TEST(LifeOfALocation, TellsOfEveryFailpoint) {
  const std::string life = Read("docs/life-of-a-location.md");
  const std::string sources = SourcesUnder("services/ingest") + SourcesUnder("storage/postgres");
  const std::set<std::string> failpoints = FindAll(sources, "WAYBILL_FAILPOINT\\(\"(ingest\\.[a-z_]+)\"");
  EXPECT_GE(failpoints.size(), 8u);
  for (const std::string& failpoint : failpoints) EXPECT_THAT(life, HasSubstr(fmt::format("`{}`", failpoint)));
}

TEST(LifeOfALocation, TellsOfEveryRejection) {
  const std::string life = Read("docs/life-of-a-location.md");
  const std::string proto = Read("proto/waybill/location/v1/location.proto");
  const size_t from = proto.find("enum RejectReason");
  ASSERT_NE(from, std::string::npos);
  const std::set<std::string> reasons =
      FindAll(proto.substr(from, proto.find('}', from) - from), "\n  ([A-Z_]+) = [1-9]");
  EXPECT_GE(reasons.size(), 8u);
  for (const std::string& reason : reasons) EXPECT_THAT(life, HasSubstr(fmt::format("`{}`", reason)));
}

TEST(Errors, HoldEveryReason) {
  std::string table = "| reason | code | means | what to do |\n| --- | --- | --- | --- |\n";
  for (const domain::Reason& reason : domain::kReasons) {
    table += fmt::format("| `{}` | {} | {} | {} |\n", reason.name, absl::StatusCodeToString(reason.code),
                         reason.meaning, reason.what_to_do);
  }
  ExpectPrinted("docs/errors.md", "reasons", table);
}

template <size_t kCount>
std::string ResultTable(const ledger::ResultRow (&rows)[kCount]) {
  constexpr std::string_view kClasses[] = {"done", "conflict", "malformed", "refused"};
  std::string table = "| result | class | means |\n| --- | --- | --- |\n";
  for (const ledger::ResultRow& row : rows) {
    table += fmt::format("| `{}` | {} | {} |\n", row.name, kClasses[static_cast<size_t>(row.of)], row.meaning);
  }
  return table;
}

TEST(Ledger, HoldsEveryResult) {
  ExpectPrinted("docs/ledger.md", "transfer-results", ResultTable(ledger::kTransferResults));
  ExpectPrinted("docs/ledger.md", "account-results", ResultTable(ledger::kAccountResults));
}

TEST(Currencies, HoldEveryCode) {
  std::string table = "| code | decimals | new orders |\n| --- | --- | --- |\n";
  for (const domain::Currency& currency : domain::Currencies()) {
    table += fmt::format("| {} | {} | {} |\n", currency.code, currency.exponent,
                         currency.last_day.empty() ? "" : fmt::format("until {}", currency.last_day));
  }
  ExpectPrinted("docs/currencies.md", "currencies", table);
}

TEST(Operations, ExplainEveryAlert) {
  std::string operations = Read("docs/operations.md");
  std::set<std::string> alerts = FindAll(Read("deploy/alerts.yml"), "- alert: (\\w+)");
  EXPECT_THAT(alerts, Not(IsEmpty()));
  for (const std::string& alert : alerts) EXPECT_THAT(operations, HasSubstr(fmt::format("### {}\n", alert)));
}

TEST(Operations, ListEveryRightThatAServiceNeeds) {
  const std::string operations = Read("docs/operations.md");
  const std::string source = Read("storage/postgres/rights.cc");
  const std::regex right("\\{\"(\\w+)\", \"([A-Z, ]+)\"\\}");
  int checked = 0;
  for (std::sregex_iterator it(source.begin(), source.end(), right), end; it != end; ++it) {
    const std::regex row(fmt::format("\\n\\|[^\\n]*`{}`[^\\n]*\\| {} \\|\\n", (*it)[1].str(), (*it)[2].str()));
    EXPECT_TRUE(std::regex_search(operations, row)) << (*it)[0];
    ++checked;
  }
  EXPECT_GE(checked, 8);
}

TEST(Operations, ListEveryMetric) {
  constexpr char kMetric[] = "\"((waybill|grpc_server|process)_[a-z_]+)\"";
  const std::string shared = OperationsOf("Of waybill-order");
  const std::string ingest = OperationsOf("Of waybill-ingest");
  const std::set<std::string> metrics =
      FindAll(SourcesUnder("services/order") + SourcesUnder("edge/rpc") + SourcesUnder("edge/limits") +
                  SourcesUnder("edge/otlp") + SourcesUnder("runtime"),
              kMetric);
  EXPECT_THAT(metrics, Not(IsEmpty()));
  for (const std::string& metric : metrics) EXPECT_THAT(shared, HasSubstr(fmt::format("| `{}` |", metric)));
  const std::set<std::string> own = FindAll(SourcesUnder("services/ingest"), kMetric);
  EXPECT_GT(own.size(), 20u);
  for (const std::string& metric : own) {
    if (metrics.contains(metric)) continue;
    EXPECT_THAT(ingest, HasSubstr(fmt::format("| `{}` |", metric)));
  }
  const std::string ledger = OperationsOf("Of waybill-ledger");
  for (const std::string& metric : FindAll(SourcesUnder("services/ledger"), kMetric)) {
    EXPECT_THAT(ledger, HasSubstr(fmt::format("| `{}` |", metric)));
  }
}

// CI with a ./dev that fails at one of its verbs; what it printed, and its exit code.
class CiWith {
 public:
  explicit CiWith(const std::string& failing) {
    const waybill::testing::TempDirectory folder;
    fs::create_directory(folder.path() / ".ci");
    fs::copy_file(kRoot / ".ci/run", folder.path() / ".ci/run");
    const fs::path dev = folder.path() / "dev";
    std::ofstream(dev) << fmt::format("#!/bin/sh\necho \"ran $*\"\n[ \"$*\" != \"{}\" ]\n", failing);
    fs::permissions(dev, fs::perms::owner_all);
    auto run = waybill::testing::Process::Start(folder.path() / ".ci/run", {});
    EXPECT_TRUE(run.ok()) << run.status();
    if (!run.ok()) return;
    code = (*run)->Wait(absl::Minutes(1)).value_or(-1);
    output = (*run)->Output();
  }

  int code = -1;
  std::string output;
};

// An empty script succeeds too, and then nothing is tested.
TEST(ContinuousIntegration, RunsTheTestsTheChecksAndBothSanitizers) {
  const CiWith ci("nothing");
  EXPECT_EQ(ci.code, 0);
  for (const char* step : {"test", "check --shipped", "test --tsan", "test --asan"}) {
    EXPECT_THAT(ci.output, HasSubstr(fmt::format("\nran {}\n", step)));
  }
}

TEST(ContinuousIntegration, GoesOnAfterAFailureAndEndsWithIt) {
  const CiWith ci("test");
  EXPECT_EQ(ci.code, 1);
  EXPECT_THAT(ci.output, HasSubstr("\nran test --asan\n"));
  EXPECT_THAT(ci.output, EndsWith("=== ./dev test failed; its end:\nran test\nfailed: ./dev test\n"));
}

// As gtest names them, or Python's unittest.
std::set<std::string> AllTests() {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "tests")) {
    const fs::path path = fs::relative(entry.path(), kRoot);
    if (path.extension() != ".cc" && path.extension() != ".py") continue;
    const std::string text = Read(path);
    std::string suite;
    const std::regex test(path.extension() == ".cc" ? "TEST(?:_F|_P)?\\((\\w+),\\s*(\\w+)\\)"
                                                    : "\nclass (\\w+)\\(|\n    def (test_\\w+)\\(");
    for (std::sregex_iterator it(text.begin(), text.end(), test), end; it != end; ++it) {
      if ((*it)[1].matched) suite = (*it)[1];
      if ((*it)[2].matched) names.insert(fmt::format("{}.{}", suite, (*it)[2].str()));
    }
  }
  return names;
}

TEST(Security, NamesOnlyTestsThatExist) {
  const std::set<std::string> named = FindAll(Read("SECURITY.md"), "`([A-Z]\\w+\\.\\w+)`");
  EXPECT_GT(named.size(), 25u);
  const std::set<std::string> all = AllTests();
  for (const std::string& test : named) EXPECT_TRUE(all.contains(test)) << test;
}

TEST(Security, EachThreatHasATestOrSaysWhatIsMissing) {
  const std::regex row("\n\\| ([^|\n]+) \\|([^|\n]*)\\|([^|\n]*)\\|([^|\n]*)\\|");
  const std::string text = Read("SECURITY.md");
  int rows = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it, ++rows) {
    const bool shown = (*it)[3].str().find('`') != std::string::npos;
    const bool missing = (*it)[4].str().find("**not yet") != std::string::npos;
    const bool head = (*it)[1] == "threat" || (*it)[1] == "---";
    EXPECT_TRUE(shown || missing || head) << (*it)[1];
  }
  EXPECT_GT(rows, 20);
}

// Files in backticks and links; a path may leave its extension out.
TEST(Docs, NameOnlyFilesThatExist) {
  std::vector<fs::path> documents = {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"};
  std::erase_if(documents, [](const fs::path& path) { return !fs::exists(kRoot / path); });
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "docs")) {
    if (entry.path().extension() == ".md") documents.push_back(fs::relative(entry.path(), kRoot));
  }
  int checked = 0;
  for (const fs::path& document : documents) {
    std::string text = Read(document);
    for (const std::string& path :
         FindAll(text,
                 "`((runtime|domain|saga|storage|tracks|services|cli|bench|examples|proto|migrations|"
                 "deploy|tests|docs|scripts|cmake)/[A-Za-z0-9_./-]*)`")) {
      EXPECT_TRUE(fs::exists(kRoot / path) || fs::exists(kRoot / (path + ".h"))) << document << " names " << path;
      ++checked;
    }
    for (const std::string& link : FindAll(text, "\\]\\(([^)#:]+)(#[^)]*)?\\)")) {
      EXPECT_TRUE(fs::exists(kRoot / document.parent_path() / link)) << document << " links to " << link;
      ++checked;
    }
  }
  EXPECT_GT(checked, 50);
}

TEST(Statements, StandInTheDocumentAsPostgresGetsThem) {
  const storage::OrderTables orders;
  const storage::SagaJournalSql sql = storage::BuildSagaJournalSql(orders.sql());
  std::vector<std::pair<std::string, std::string>> statements = {
      {"begin", sql.begin.text}, {"begun", sql.begun.text}, {"move", sql.move.text}, {"advance", sql.advance}};
  const std::vector<std::string> books = {"claim",         "pending", "charge", "refund", "attempt_changed",
                                          "attempt_begun", "release", "tell",   "log",    "audit"};
  ASSERT_EQ(sql.books.size(), books.size());
  for (size_t n = 0; n < books.size(); ++n) statements.emplace_back(books[n], sql.books[n].text);
  for (const auto& [name, statement] : statements) {
    const std::string text = Layout(statement);
    EXPECT_EQ(WithoutSpaces(text), WithoutSpaces(statement)) << "nothing is lost on the way";
    ExpectPrinted("docs/statements.md", name, "```sql\n" + text + "```\n");
  }
}

}  // namespace
}  // namespace waybill
