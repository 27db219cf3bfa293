#include "cli/settlement_report.h"

#include <algorithm>
#include <utility>

#include "cli/money.h"
#include "cli/sheet.h"
#include "cli/table.h"
#include "cli/values.h"
#include "fmt/format.h"
#include "runtime/text.h"

namespace waybill::cli {
namespace {

struct SumRow {
  std::string what;
  std::string currency;
  ReportView::Sum theirs, ours;
  bool compared = false;  // our books have such sums
};

std::vector<SumRow> SumsOf(const ReportView& report) {
  std::vector<SumRow> rows;
  for (const ReportView::Totals& totals : report.totals) {
    rows.push_back({"charges", totals.currency, totals.charges, totals.our_charges, true});
    rows.push_back({"refunds", totals.currency, totals.refunds, totals.our_refunds, true});
    rows.push_back({"fees", totals.currency, totals.fees, {}, false});
    rows.push_back({"chargebacks", totals.currency, totals.chargebacks, {}, false});
  }
  return rows;
}

size_t OpenOf(const ReportView& report) {
  return static_cast<size_t>(
      std::count_if(report.cases.begin(), report.cases.end(), [](const CaseView& one) { return one.closed.empty(); }));
}

}  // namespace

std::string RenderCases(const std::vector<CaseView>& cases, const Terminal& terminal) {
  constexpr Column::Align kRight = Column::Align::kRight;
  const bool closed = std::any_of(cases.begin(), cases.end(), [](const CaseView& one) { return !one.closed.empty(); });
  std::vector<Column> columns = {
      {"CASE", kRight},
      {"GATEWAY"},
      {"DIFFERENCE"},
      {"WHOSE"},
      {"OURS", kRight},
      {"THEIRS", kRight},
      {"OPENED"},
      {closed ? "WHAT TO DO, OR WHY IT IS CLOSED" : "WHAT TO DO", Column::Align::kLeft, Column::Overflow::kWrap}};
  Table table(std::move(columns));
  for (const CaseView& one : cases) {
    table.Add({fmt::format("{}", one.id), one.gateway, one.what, one.whose, one.ours.empty() ? "-" : one.ours,
               one.theirs.empty() ? "-" : one.theirs, ShowTime(one.opened),
               one.closed.empty() ? one.action : "closed " + one.closed});
  }
  return table.Render(terminal);
}

std::string RenderText(const ReportView& report, const Terminal& terminal) {
  constexpr Column::Align kRight = Column::Align::kRight;
  std::string text = fmt::format("{}: {}, {} ({} lines)\n\n", report.gateway, report.name, report.span, report.lines);
  Table sums({{""}, {"THEIRS", kRight}, {"", kRight}, {"OURS", kRight}, {"", kRight}, {"DIFFERENCE", kRight}});
  for (const SumRow& row : SumsOf(report)) {
    const auto count = [](const ReportView::Sum& sum) { return fmt::format("{}", sum.count); };
    sums.Add({row.what, count(row.theirs), ShowMoney(row.theirs.minor, row.currency),
              row.compared ? count(row.ours) : "", row.compared ? ShowMoney(row.ours.minor, row.currency) : "",
              row.compared ? ShowMoney(row.theirs.minor - row.ours.minor, row.currency) : ""});
  }
  if (!sums.empty()) text += sums.Render(terminal) + "\n";
  text += fmt::format("{} cases, {} of them open\n", report.cases.size(), OpenOf(report));
  if (!report.cases.empty()) text += RenderCases(report.cases, terminal);
  return text;
}

std::string RenderCsv(const ReportView& report) {
  std::string text = CsvLine({"sum", "currency", "theirs_count", "theirs", "ours_count", "ours"});
  const auto bare = [](int64_t minor, const std::string& currency) {
    std::string shown = ShowMoney(minor, currency);
    return shown.substr(0, shown.find(' '));
  };
  for (const SumRow& row : SumsOf(report)) {
    text += CsvLine({row.what, row.currency, fmt::format("{}", row.theirs.count), bare(row.theirs.minor, row.currency),
                     row.compared ? fmt::format("{}", row.ours.count) : "",
                     row.compared ? bare(row.ours.minor, row.currency) : ""});
  }
  text +=
      "\r\n" + CsvLine({"case", "gateway", "difference", "whose", "ours", "theirs", "opened", "closed", "what_to_do"});
  for (const CaseView& one : report.cases) {
    text += CsvLine({fmt::format("{}", one.id), one.gateway, one.what, one.whose, one.ours, one.theirs,
                     ShowTime(one.opened), one.closed, one.action});
  }
  return text;
}

std::string RenderHtml(const ReportView& report) {
  const size_t open = OpenOf(report);
  std::string page =
      HtmlHead(fmt::format("{} {}", report.gateway, report.name),
               ".bar{display:flex;height:.8rem;border-radius:.4rem;overflow:hidden;background:#1a7f37;margin:.5rem 0}"
               ".bar i{background:#cf222e}\n") +
      fmt::format("<h1>Reconciliation: {}</h1>\n<p>{}, {}, {} lines</p>\n", EscapedHtml(report.gateway),
                  EscapedHtml(report.name), EscapedHtml(report.span), report.lines);
  const double share =
      report.lines > 0 ? std::min(100.0, 100.0 * static_cast<double>(open) / static_cast<double>(report.lines)) : 0;
  page += fmt::format(
      "<p>{} of {} cases are open.</p>\n<div class=\"bar\" role=\"img\" aria-label=\"{} open cases of {} lines\">"
      "<i style=\"width:{:.2f}%\"></i></div>\n",
      open, report.cases.size(), open, report.lines, share);
  page += "<h2>Sums</h2>\n<table>\n" + HtmlRow("th", {"", "Theirs", "", "Ours", "", "Difference"});
  for (const SumRow& row : SumsOf(report)) {
    page += HtmlRow("td", {row.what, fmt::format("{}", row.theirs.count), ShowMoney(row.theirs.minor, row.currency),
                           row.compared ? fmt::format("{}", row.ours.count) : "",
                           row.compared ? ShowMoney(row.ours.minor, row.currency) : "",
                           row.compared ? ShowMoney(row.theirs.minor - row.ours.minor, row.currency) : ""});
  }
  page += "</table>\n<h2>Cases</h2>\n<table>\n" +
          HtmlRow("th", {"Case", "Difference", "Whose", "Ours", "Theirs", "Opened", "What to do, or why it is closed"});
  for (const CaseView& one : report.cases) {
    page += HtmlRow("td", {fmt::format("{}", one.id), one.what, one.whose, one.ours.empty() ? "-" : one.ours,
                           one.theirs.empty() ? "-" : one.theirs, ShowTime(one.opened),
                           one.closed.empty() ? one.action : "closed " + one.closed});
  }
  return page + "</table>\n</body></html>\n";
}

}  // namespace waybill::cli
