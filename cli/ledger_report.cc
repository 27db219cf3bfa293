#include "cli/ledger_report.h"

#include <map>
#include <utility>

#include "cli/money.h"
#include "cli/sheet.h"
#include "cli/table.h"
#include "cli/values.h"
#include "fmt/format.h"
#include "runtime/text.h"

namespace waybill::cli {
namespace {

constexpr Column::Align kRight = Column::Align::kRight;

std::string BareMoney(int64_t minor, const std::string& currency) {
  const std::string shown = ShowMoney(minor, currency);
  return shown.substr(0, shown.find(' '));
}

struct Sums {
  int64_t debits = 0, credits = 0, holds = 0;
};

// Within int64, as the account's own sums are.
Sums SumsOf(const StatementView& statement) {
  Sums sums;
  for (const StatementView::Line& line : statement.lines) {
    if (!line.hold.empty()) {
      ++sums.holds;
    } else {
      (line.debit ? sums.debits : sums.credits) += line.minor;
    }
  }
  return sums;
}

std::string KindOf(const StatementView::Line& line) {
  return line.hold.empty() ? line.phase : fmt::format("{} ({})", line.phase, line.hold);
}

// Of one client and currency.
using Totals = std::map<std::pair<std::string, std::string>, TrialBalanceView::Line>;

Totals TotalsOf(const TrialBalanceView& balance) {
  Totals totals;
  for (const TrialBalanceView::Line& line : balance.lines) {
    TrialBalanceView::Line& total = totals[{line.client, line.currency}];
    total.client = line.client;
    total.currency = line.currency;
    total.accounts += line.accounts;
    total.debits += line.debits;
    total.credits += line.credits;
    total.debits_pending += line.debits_pending;
    total.credits_pending += line.credits_pending;
  }
  return totals;
}

// Numbers are right-aligned from that column on.
std::string NumbersFrom(int column) {
  return fmt::format(
      "td:nth-child(n+{0}),th:nth-child(n+{0}){{text-align:right;"
      "font-variant-numeric:tabular-nums}}\n",
      column);
}

constexpr char kTotalRow[] = "tr.total td{font-weight:600;border-top:2px solid #57606a}\n";

std::string TotalRow(const std::vector<std::string>& fields) {
  std::string row = HtmlRow("td", fields);
  return "<tr class=\"total\">" + row.substr(4);
}

}  // namespace

std::string RenderText(const StatementView& statement, const Terminal& terminal) {
  std::string text = fmt::format("{}{}, {} in {}\n", Printable(statement.account),
                                 statement.owner.empty() ? "" : fmt::format(" of {}", Printable(statement.owner)),
                                 statement.kind, statement.currency);
  text += fmt::format("{}\navailable at {}: {}\n\n", statement.span, ShowTime(statement.as_of),
                      ShowMoney(statement.available_minor, statement.currency));
  Table table({{"TIME"},
               {"TRANSFER"},
               {"PHASE"},
               {"COUNTERPART"},
               {"DEBIT", kRight},
               {"CREDIT", kRight},
               {"NOTE", Column::Align::kLeft, Column::Overflow::kCut}});
  for (const StatementView::Line& line : statement.lines) {
    const std::string money = ShowMoney(line.minor, statement.currency);
    table.Add({ShowTime(line.at), line.transfer, KindOf(line), line.counterpart, line.debit ? money : "",
               line.debit ? "" : money, line.note});
  }
  if (table.empty()) return text + "no transfers\n";
  const Sums sums = SumsOf(statement);
  table.Add({"", "", "", "posted", ShowMoney(sums.debits, statement.currency),
             ShowMoney(sums.credits, statement.currency), ""});
  return text + table.Render(terminal);
}

std::string RenderCsv(const StatementView& statement) {
  std::string text =
      CsvLine({"time", "transfer", "phase", "hold", "account", "counterpart", "debit", "credit", "currency", "note"});
  for (const StatementView::Line& line : statement.lines) {
    const std::string money = BareMoney(line.minor, statement.currency);
    text += CsvLine({ShowTime(line.at), line.transfer, line.phase, line.hold, statement.account, line.counterpart,
                     line.debit ? money : "", line.debit ? "" : money, statement.currency, line.note});
  }
  return text;
}

std::string RenderHtml(const StatementView& statement) {
  const Sums sums = SumsOf(statement);
  std::string page = HtmlHead(fmt::format("Statement of {}", statement.account),
                              "td:nth-child(5),td:nth-child(6),th:nth-child(5),th:nth-child(6){text-align:right;"
                              "font-variant-numeric:tabular-nums}\n" +
                                  std::string(kTotalRow));
  page +=
      fmt::format("<h1>Statement of {}</h1>\n<p>{}{} in {}</p>\n<p>{}</p>\n<p>Available at {}: <b>{}</b></p>\n",
                  EscapedHtml(statement.account), statement.owner.empty() ? "" : EscapedHtml(statement.owner) + ", ",
                  EscapedHtml(statement.kind), EscapedHtml(statement.currency), EscapedHtml(statement.span),
                  ShowTime(statement.as_of), ShowMoney(statement.available_minor, statement.currency));
  page += "<table>\n" + HtmlRow("th", {"Time", "Transfer", "Phase", "Counterpart", "Debit", "Credit", "Note"});
  for (const StatementView::Line& line : statement.lines) {
    const std::string money = ShowMoney(line.minor, statement.currency);
    page += HtmlRow("td", {ShowTime(line.at), line.transfer, KindOf(line), line.counterpart, line.debit ? money : "",
                           line.debit ? "" : money, line.note});
  }
  page += TotalRow({"", "", "", "Posted", ShowMoney(sums.debits, statement.currency),
                    ShowMoney(sums.credits, statement.currency), ""});
  page += "</table>\n";
  if (sums.holds > 0) page += "<p>A hold is not in the sums; what posts it is a transfer of its own.</p>\n";
  if (statement.more) page += "<p>There are older transfers, which are not on this page.</p>\n";
  return page + "</body></html>\n";
}

std::vector<std::string> TrialBalanceView::unbalanced() const {
  std::map<std::string, Line> by_currency;
  for (const Line& line : lines) {
    Line& total = by_currency[line.currency];
    total.debits += line.debits;
    total.credits += line.credits;
    total.debits_pending += line.debits_pending;
    total.credits_pending += line.credits_pending;
  }
  std::vector<std::string> found;
  for (const auto& [currency, total] : by_currency) {
    if (total.debits == total.credits && total.debits_pending == total.credits_pending) continue;
    found.push_back(fmt::format("{}: debits {}, credits {}; held {} and {}", currency,
                                ShowMoney(total.debits, currency), ShowMoney(total.credits, currency),
                                ShowMoney(total.debits_pending, currency), ShowMoney(total.credits_pending, currency)));
  }
  return found;
}

std::string RenderText(const TrialBalanceView& balance, const Terminal& terminal) {
  Table table({{"CLIENT"},
               {"CURRENCY"},
               {"KIND"},
               {"ACCOUNTS", kRight},
               {"DEBITS", kRight},
               {"CREDITS", kRight},
               {"DEBITS HELD", kRight},
               {"CREDITS HELD", kRight}});
  const auto add = [&table](const TrialBalanceView::Line& line, const std::string& kind) {
    const auto money = [&](int64_t minor) { return ShowMoney(minor, line.currency); };
    table.Add({line.client, line.currency, kind, fmt::format("{}", line.accounts), money(line.debits),
               money(line.credits), money(line.debits_pending), money(line.credits_pending)});
  };
  for (const TrialBalanceView::Line& line : balance.lines) add(line, line.kind);
  for (const auto& [of, total] : TotalsOf(balance)) add(total, "(all)");
  if (table.empty()) return "no accounts\n";
  return table.Render(terminal);
}

std::string RenderCsv(const TrialBalanceView& balance) {
  std::string text =
      CsvLine({"client", "currency", "kind", "accounts", "debits", "credits", "debits_held", "credits_held"});
  for (const TrialBalanceView::Line& line : balance.lines) {
    const auto money = [&](int64_t minor) { return BareMoney(minor, line.currency); };
    text += CsvLine({line.client, line.currency, line.kind, fmt::format("{}", line.accounts), money(line.debits),
                     money(line.credits), money(line.debits_pending), money(line.credits_pending)});
  }
  return text;
}

std::string RenderHtml(const TrialBalanceView& balance) {
  std::string page = HtmlHead("Trial balance", NumbersFrom(4) + kTotalRow);
  page += fmt::format("<h1>Trial balance</h1>\n<p>At {}</p>\n", ShowTime(balance.as_of));
  const std::vector<std::string> wrong = balance.unbalanced();
  page +=
      wrong.empty() ? "<p>In each currency debits equal credits.</p>\n" : "<p><b>Debits and credits differ:</b></p>\n";
  for (const std::string& one : wrong) page += fmt::format("<p>{}</p>\n", EscapedHtml(one));
  page += "<table>\n" +
          HtmlRow("th", {"Client", "Currency", "Kind", "Accounts", "Debits", "Credits", "Debits held", "Credits held"});
  const auto cells = [](const TrialBalanceView::Line& line, const std::string& kind) {
    const auto money = [&](int64_t minor) { return ShowMoney(minor, line.currency); };
    return std::vector<std::string>{line.client,
                                    line.currency,
                                    kind,
                                    fmt::format("{}", line.accounts),
                                    money(line.debits),
                                    money(line.credits),
                                    money(line.debits_pending),
                                    money(line.credits_pending)};
  };
  for (const TrialBalanceView::Line& line : balance.lines) page += HtmlRow("td", cells(line, line.kind));
  for (const auto& [of, total] : TotalsOf(balance)) page += TotalRow(cells(total, "All"));
  return page + "</table>\n</body></html>\n";
}

}  // namespace waybill::cli
