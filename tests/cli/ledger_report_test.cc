#include "cli/ledger_report.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

StatementView Statement() {
  StatementView view;
  view.account = "alice";
  view.owner = "Alice <A>";
  view.currency = "EUR";
  view.kind = "wallet";
  view.span = "the beginning to now";
  view.available_minor = 4'750;
  view.as_of = absl::FromUnixSeconds(1'800'000'000);
  view.lines = {{view.as_of, "t-3", "pending", "shop", true, 1'500, "held", ""},
                {view.as_of, "t-0", "pending", "shop", true, 2'000, "voided", ""},
                {view.as_of, "t-2", "single", "shop", true, 1'250, "", "=1+1"},
                {view.as_of, "t-1", "single", "external:EUR", false, 7'500, "", ""}};
  return view;
}

TEST(StatementReport, TextHasDebitsCreditsAndTheirSums) {
  const std::string text = RenderText(Statement(), {});
  EXPECT_THAT(text, HasSubstr("alice of Alice <A>, wallet in EUR\nthe beginning to now\navailable at "
                              "2027-01-15T08:00:00.000Z: 47.50 EUR\n"));
  EXPECT_THAT(text, HasSubstr("t-3       pending (held)    shop          15.00 EUR"));
  EXPECT_THAT(text, HasSubstr("t-0       pending (voided)  shop          20.00 EUR"));
  EXPECT_THAT(text, HasSubstr("posted        12.50 EUR  75.00 EUR")) << "what is held is not posted";
  StatementView none = Statement();
  none.lines.clear();
  EXPECT_THAT(RenderText(none, {}), HasSubstr("no transfers\n"));
}

TEST(StatementReport, CsvIsSafeForSpreadsheets) {
  const std::string csv = RenderCsv(Statement());
  EXPECT_THAT(csv, HasSubstr("time,transfer,phase,hold,account,counterpart,debit,credit,currency,note\r\n"));
  EXPECT_THAT(csv, HasSubstr(",t-2,single,,alice,shop,12.50,,EUR,'=1+1\r\n"));
  EXPECT_THAT(csv, HasSubstr(",t-3,pending,held,alice,shop,15.00,,EUR,\r\n"));
}

TEST(StatementReport, HtmlIsOnePage) {
  StatementView view = Statement();
  EXPECT_THAT(RenderHtml(view), AllOf(HasSubstr("<h1>Statement of alice</h1>"), HasSubstr("Alice &lt;A&gt;"),
                                      HasSubstr("Available at 2027-01-15T08:00:00.000Z: <b>47.50 EUR</b>"),
                                      HasSubstr("A hold is not in the sums"),
                                      HasSubstr("<td>Posted</td><td>12.50 EUR</td><td>75.00 EUR</td>"),
                                      Not(HasSubstr("older")), Not(HasSubstr("src=")), HasSubstr("</html>\n")));
  view.more = true;
  EXPECT_THAT(RenderHtml(view), HasSubstr("older transfers"));
}

TEST(TrialBalanceReport, AddsUpByClientAndCurrency) {
  TrialBalanceView view;
  view.as_of = absl::FromUnixSeconds(1'800'000'000);
  view.lines = {{"shop", "EUR", "external", 1, 7'500, 0, 0, 0},
                {"shop", "EUR", "wallet", 2, 1'250, 8'750, 100, 100},
                {"shop", "JPY", "wallet", 1, 5, 5, 0, 0}};
  EXPECT_THAT(view.unbalanced(), IsEmpty());
  const std::string text = RenderText(view, {});
  EXPECT_THAT(text, HasSubstr("shop    EUR       (all)            3  87.50 EUR  87.50 EUR     1.00 EUR      1.00 EUR"));
  EXPECT_THAT(RenderCsv(view), HasSubstr("shop,EUR,wallet,2,12.50,87.50,1.00,1.00\r\nshop,JPY,wallet,1,5,5,0,0\r\n"));
  EXPECT_THAT(RenderHtml(view), HasSubstr("In each currency debits equal credits."));
  view.lines[0].debits += 1;
  EXPECT_THAT(view.unbalanced(), ElementsAre("EUR: debits 87.51 EUR, credits 87.50 EUR; held 1.00 EUR and 1.00 EUR"));
  EXPECT_THAT(RenderHtml(view), HasSubstr("Debits and credits differ"));
}

}  // namespace
}  // namespace waybill::cli
