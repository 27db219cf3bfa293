#include "cli/settlement_file.h"

#include <fstream>
#include <string>
#include <vector>

#include "cli/settlement_report.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_directory.h"

namespace waybill::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class SettlementFileTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& text) {
    const std::string path = folder_.path().string() + "/day.csv";
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  // "1 charge ORDER/ch_1 1250-36 EUR 2026-01-31T12:00:00Z po_1", and at last the error, if there is one.
  std::vector<std::string> Read(const std::string& text, const SettlementFormat& format = {}) {
    std::vector<std::string> shown;
    auto file = SettlementFile::Open(Write(text), format);
    if (!file.ok()) return {std::string(file.status().message())};
    while (true) {
      auto row = file->Next();
      if (!row.ok()) shown.emplace_back(row.status().message());
      if (!row.ok() || !*row) break;
      const SettlementRow& one = **row;
      shown.push_back(fmt::format("{} {} {}/{} {}-{} {} {} {}", one.number, storage::Name(one.kind), one.reference,
                                  one.gateway_reference, one.amount_minor, one.fee_minor, one.currency,
                                  absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", one.booked_at, absl::UTCTimeZone()),
                                  one.payout));
    }
    skipped_ = file->skipped();
    return shown;
  }

  testing::TempDirectory folder_;
  int skipped_ = 0;
};

TEST_F(SettlementFileTest, ReadsTheUsualNames) {
  EXPECT_THAT(Read("kind,reference,gateway_reference,amount,fee,currency,booked_at,payout\n"
                   "charge,o1,ch_1,12.50,0.36,EUR,2026-01-31T12:00:00Z,po_1\r\n"
                   "\"refund\",\"o1\",re_1,12.5,,EUR,2026-01-31T13:00:00+01:00,\"po, \"\"2\"\"\"\r\n"
                   "\n"
                   "FEE,,,0.05,0,EUR,2026-01-31,\n"),
              ElementsAre("1 charge o1/ch_1 1250-36 EUR 2026-01-31T12:00:00Z po_1",
                          "2 refund o1/re_1 1250-0 EUR 2026-01-31T12:00:00Z po, \"2\"",
                          "3 fee / 5-0 EUR 2026-01-31T00:00:00Z "));
  EXPECT_EQ(skipped_, 1);
}

TEST_F(SettlementFileTest, ReadsWhatGatewaysCallIt) {
  SettlementFormat format;
  format.columns = {
      {"kind", "Art"}, {"amount", "Betrag"}, {"booked_at", "Datum"}, {"reference", "Zweck"}, {"fee", "Gebuehr"}};
  format.decimal_comma = true;
  format.negate_fees = true;
  format.currency = "EUR";
  format.skip = {"auszahlung"};
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &format.zone));
  EXPECT_THAT(Read("\xef\xbb\xbf"
                   "Art;Zweck;Betrag;Gebuehr;Datum\n"
                   "Payment;o1;1.234,50;-3,10;2026-07-01 00:30:00\n"
                   "Payment;o1;-1.234,50;0;2026-07-01\n"
                   "Auszahlung;;0,00;;2026-07-01\n",
                   format),
              ElementsAre("1 charge o1/ 123450-310 EUR 2026-06-30T22:30:00Z ",
                          "2 refund o1/ 123450-0 EUR 2026-06-30T22:00:00Z "));
  EXPECT_EQ(skipped_, 1);
}

TEST_F(SettlementFileTest, KindsMayHaveNamesOfTheirOwn) {
  SettlementFormat format;
  format.kinds = {{"zahlung", storage::LineKind::kCharge}, {"erstattung", storage::LineKind::kRefund}};
  EXPECT_THAT(
      Read("type,order_id,amount,currency,date\nZahlung,o,1.00,EUR,2026-01-31\nErstattung,o,-1.00,EUR,2026-01-31\n",
           format),
      ElementsAre(HasSubstr("charge o/ 100-0"), HasSubstr("refund o/ 100-0")));
}

// One of them was taken back, and which way that goes nobody says.
TEST_F(SettlementFileTest, RefundsThatGoEitherWayAreNotTaken) {
  const std::string header = "type,order_id,amount,currency,date\n";
  EXPECT_THAT(Read(header + "refund,o,-1.00,EUR,2026-01-31\nrefund,o,1.00,EUR,2026-01-31\n").back(),
              HasSubstr("day.csv:3: amount: goes the other way than the refunds before"));
  EXPECT_THAT(Read(header + "chargeback,o,1.00,EUR,2026-01-31\nrefund,o,-1.00,EUR,2026-01-31\n"),
              ElementsAre(HasSubstr("chargeback"), HasSubstr("refund")));
}

TEST_F(SettlementFileTest, CountsInTheCurrencysMinorUnit) {
  EXPECT_THAT(Read("type,order_id,amount,currency,date\ncharge,o,100,JPY,2026-01-31\ncharge,o,1.001,KWD,2026-01-"
                   "31\ncharge,o,0.00,eur,2026-01-31\n"),
              ElementsAre(HasSubstr(" 100-0 JPY"), HasSubstr(" 1001-0 KWD"), HasSubstr(" 0-0 EUR")));
  SettlementFormat minor;
  minor.minor_units = true;
  EXPECT_THAT(Read("type,order_id,amount,currency,date\ncharge,o,100,EUR,2026-01-31\n", minor),
              ElementsAre(HasSubstr(" 100-0 EUR")));
}

TEST_F(SettlementFileTest, SaysWhereItIsWrongAndWhy) {
  const std::string header = "kind,reference,amount,fee,currency,booked_at\n";
  const auto wrong = [&](const std::string& row, const SettlementFormat& format = {}) {
    return Read(header + "charge,o,1,0,EUR,2026-01-31\n" + row + "\n", format).back();
  };
  EXPECT_THAT(wrong("charge,o,1.005,0,EUR,2026-01-31"),
              EndsWith("day.csv:3: amount: EUR has 2 decimals, \"1.005\" has 3"));
  EXPECT_THAT(wrong("charge,o,1e3,0,EUR,2026-01-31"), HasSubstr("day.csv:3: amount: \"1e3\" is not an amount"));
  EXPECT_THAT(wrong("charge,o,,0,EUR,2026-01-31"), HasSubstr("day.csv:3: amount: \"\" is not an amount"));
  EXPECT_THAT(wrong("charge,o,--1,0,EUR,2026-01-31"), HasSubstr("is not an amount"));
  EXPECT_THAT(wrong("charge,o,99999999999999999999,0,EUR,2026-01-31"), HasSubstr("is too large"));
  EXPECT_THAT(wrong("charge,o,1,-0.10,EUR,2026-01-31"),
              HasSubstr("fee: is negative: if the file writes fees so, say --negate-fees"));
  EXPECT_THAT(wrong("charge,o,1,0,BTC,2026-01-31"), HasSubstr("currency: \"BTC\" is not an ISO 4217 currency"));
  EXPECT_THAT(wrong("charge,o,1,0,EUR,31.01.2026"), HasSubstr("booked_at: \"31.01.2026\" is no time"));
  EXPECT_THAT(wrong("payout,o,1,0,EUR,2026-01-31"), HasSubstr("kind: \"payout\" is neither charge"));
  EXPECT_THAT(wrong("charge,o,1,234.50,0,EUR,2026-01-31"), HasSubstr("day.csv:3: has 7 fields, and the header 6"));
  SettlementFormat comma;
  comma.decimal_comma = true;
  EXPECT_THAT(Read("kind;reference;amount;currency;time\ncharge;o;12.50;EUR;2026-01-31\n", comma).back(),
              HasSubstr("amount: \"12.50\" has a point that parts no thousands"));
  EXPECT_THAT(wrong("charge,,1,0,EUR,2026-01-31"), HasSubstr("neither our reference nor the gateway's"));
  EXPECT_THAT(wrong("charge,\"o\"x,1,0,EUR,2026-01-31"), HasSubstr("day.csv:3: text follows a closing quote"));
  EXPECT_THAT(wrong("charge,\"o,1,0,EUR,2026-01-31"), HasSubstr("a quote is left open"));
  EXPECT_THAT(Read("a,b\n").back(),
              HasSubstr("day.csv:1: no column is the kind: name it with --column kind=NAME; there are a, b"));
  EXPECT_THAT(Read("").back(), HasSubstr("is empty"));
  EXPECT_THAT(Read("kind,amount,booked_at,currency\n").back(), HasSubstr("no column says whose the money is"));
  EXPECT_THAT(Read("kind,amount,booked_at,reference\n").back(), HasSubstr("--currency"));
  SettlementFormat named;
  named.columns = {{"amount", "sum"}};
  EXPECT_THAT(Read(header, named).back(), HasSubstr("there is no column sum"));
  named.columns = {{"total", "amount"}};
  EXPECT_THAT(Read(header, named).back(), HasSubstr("--column: there is no total"));
  EXPECT_EQ(SettlementFile::Open("/nowhere/day.csv", {}).status().code(), absl::StatusCode::kNotFound);
}

ReportView SomeReport() {
  ReportView report;
  report.gateway = "north";
  report.name = "<day>.csv";
  report.span = "a day";
  report.lines = 3;
  report.totals = {{"EUR", {2, 2'000}, {0, 0}, {2, 40}, {0, 0}, {1, 1'000}, {0, 0}}};
  CaseView open, closed;
  open = {1,  "north",           "missing here (charge)", "=cmd|' /C calc'!A0", "", "10.00 EUR", absl::UnixEpoch(),
          "", "Look, \"there\"."};
  closed = {2, "north", "amount (charge)", "o2", "1.00 EUR", "2.00 EUR", absl::UnixEpoch(), "ada: told so", ""};
  report.cases = {open, closed};
  return report;
}

// What the disk does not give is not the end of the file. A folder opens, and cannot be read.
TEST_F(SettlementFileTest, WhatCannotBeReadIsNoEnd) {
  const auto file = SettlementFile::Open(folder_.path().string(), {});
  EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(file.status().message()), EndsWith("cannot be read beyond line 0"));
}

TEST(SettlementReport, AsTextHasSumsBesideOursAndWhatToDo) {
  const std::string text = RenderText(SomeReport(), Terminal());
  EXPECT_THAT(text, HasSubstr("charges"));
  EXPECT_THAT(text, HasSubstr("20.00 EUR"));
  EXPECT_THAT(text, HasSubstr("10.00 EUR"));
  EXPECT_THAT(text, HasSubstr("2 cases, 1 of them open"));
  EXPECT_THAT(text, HasSubstr("closed ada: told so"));
}

TEST(SettlementReport, AsCsvHasNoFormulas) {
  const std::string csv = RenderCsv(SomeReport());
  EXPECT_THAT(csv, HasSubstr("charges,EUR,2,20.00,1,10.00\r\n"));
  EXPECT_THAT(csv, HasSubstr(",'=cmd|' /C calc'!A0,"));
  EXPECT_THAT(csv, HasSubstr("\"Look, \"\"there\"\".\""));
}

TEST(SettlementReport, AsHtmlTakesNoMarkupFromOthers) {
  const std::string page = RenderHtml(SomeReport());
  EXPECT_THAT(page, HasSubstr("&lt;day&gt;.csv"));
  EXPECT_THAT(page, Not(HasSubstr("<day>")));
  EXPECT_THAT(page, HasSubstr("aria-label=\"1 open cases of 3 lines\""));
}

}  // namespace
}  // namespace waybill::cli
