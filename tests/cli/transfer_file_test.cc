#include "cli/transfer_file.h"

#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::cli {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

absl::StatusOr<std::vector<TransferLine>> Read(const std::string& text) {
  std::istringstream in(text);
  return ReadTransfers(in, "x.csv");
}

std::string Wrong(const std::string& text) {
  const auto lines = Read(text);
  EXPECT_EQ(lines.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(lines.status().message());
}

TEST(TransferFile, ColumnsAreFoundByTheirNames) {
  const auto lines = Read(
      "\xef\xbb\xbf"
      "to,id,amount,currency,from\r\n"
      "b,t-1,12.50,EUR,a\r\n"
      "\r\n"
      "\"b\",t-2,7,JPY,a\n");
  ASSERT_TRUE(lines.ok()) << lines.status();
  ASSERT_EQ(lines->size(), 2u);
  ledger::NewTransfer wanted;
  wanted.id = "t-1";
  wanted.debit_account = "a";
  wanted.credit_account = "b";
  wanted.currency = "EUR";
  wanted.code = 1;
  wanted.amount_minor = 1250;
  EXPECT_EQ((*lines)[0].transfer, wanted);
  EXPECT_EQ((*lines)[1].line, 4);
  EXPECT_EQ((*lines)[1].transfer.amount_minor, 7);
}

TEST(TransferFile, EveryWordOfATransferHasAColumn) {
  const auto lines = Read(
      "id,phase,pending_id,timeout_seconds,linked,balancing_debit,balancing_credit,corrects,code,user_data,from,to\n"
      "t-1,pending,,60,yes,yes,no,t-0,7,\"rent, May\",a,b\n"
      "t-2,post,t-1,,no,,,,,,,\n");
  ASSERT_TRUE(lines.ok()) << lines.status();
  ledger::NewTransfer first;
  first.id = "t-1";
  first.phase = ledger::Phase::kPending;
  first.timeout_seconds = 60;
  first.linked = first.balancing_debit = true;
  first.corrects = "t-0";
  first.code = 7;
  first.user_data = "rent, May";
  first.debit_account = "a";
  first.credit_account = "b";
  EXPECT_EQ((*lines)[0].transfer, first);
  ledger::NewTransfer second;
  second.id = "t-2";
  second.phase = ledger::Phase::kPost;
  second.pending_id = "t-1";
  EXPECT_EQ((*lines)[1].transfer, second) << "of what ends another, nothing has to be said twice";
}

TEST(TransferFile, MistakesAreNamedWithLineAndColumn) {
  EXPECT_THAT(Wrong(""), HasSubstr("x.csv: is empty"));
  EXPECT_THAT(Wrong("id,betrag\n"), HasSubstr("x.csv:1: there is no column \"betrag\"; there are id, from, to"));
  EXPECT_THAT(Wrong("from,to\n"), HasSubstr("x.csv:1: there is no column id"));
  EXPECT_THAT(Wrong("id,id\n"), HasSubstr("x.csv:1: id: stands there twice"));
  EXPECT_THAT(Wrong("id,from,to,amount,currency\nt-1,a,b,1,EUR\n,a,b,1,EUR\n"), HasSubstr("x.csv:3: id: is missing"));
  EXPECT_THAT(Wrong("id,amount,currency\nt-1,12.505,EUR\n"), HasSubstr("x.csv:2: amount: EUR has 2 decimals"));
  EXPECT_THAT(Wrong("id,amount,currency\nt-1,1,EURO\n"), HasSubstr("x.csv:2: currency: \"EURO\""));
  EXPECT_THAT(Wrong("id,phase\nt-1,held\n"), HasSubstr("x.csv:2: phase: \"held\" is none"));
  EXPECT_THAT(Wrong("id,linked\nt-1,true\n"), HasSubstr("x.csv:2: linked: is neither yes nor no"));
  EXPECT_THAT(Wrong("id,code\nt-1,x\n"), HasSubstr("x.csv:2: code: \"x\" is not a whole number"));
  EXPECT_THAT(Wrong("id,code\nt-1,1,2\n"), HasSubstr("x.csv:2: has 3 fields, and the header 2"));
  EXPECT_THAT(Wrong("id,from,to,amount,currency\nt-1,a,b,1\n"),
              HasSubstr("x.csv:2: has 4 fields, and the header 5: currency is the first that is missing"));
  EXPECT_THAT(Wrong("id,from,to,amount,currency\nt-1,a,,1,EUR\n"), EndsWith("x.csv:2: to: is missing"));
  EXPECT_THAT(Wrong("id,to,amount,currency\nt-1,a,1,EUR\n"),
              HasSubstr("x.csv:2: from: is missing, and the header has no such column"));
  EXPECT_THAT(Wrong("id,from,to,amount,currency\nt-1,a,b,,EUR\n"), HasSubstr("x.csv:2: amount: is missing"));
  EXPECT_THAT(Wrong("id,from,to,amount\nt-1,a,b,1\n"), HasSubstr("x.csv:2: currency: is missing; write it like EUR"));
  EXPECT_THAT(Wrong("id,phase\nt-1,void\n"), HasSubstr("x.csv:2: pending_id: is missing"));
  EXPECT_THAT(Wrong("id\n\"t-1\n"), HasSubstr("a quote is left open"));
}

TEST(TransferFile, ChainsAreNotCut) {
  std::vector<TransferLine> lines(10);
  for (const size_t linked : {2u, 3u, 6u, 7u, 8u}) lines[linked].transfer.linked = true;  // 2-4, 6-9
  EXPECT_EQ(NextRequest(lines, 0, 100), 10u);
  EXPECT_EQ(NextRequest(lines, 0, 3), 2u);
  EXPECT_EQ(NextRequest(lines, 0, 4), 2u);
  EXPECT_EQ(NextRequest(lines, 0, 5), 5u);
  EXPECT_EQ(NextRequest(lines, 2, 2), 3u) << "a chain that is longer goes as one";
  EXPECT_EQ(NextRequest(lines, 5, 3), 1u);
  EXPECT_EQ(NextRequest(lines, 6, 2), 4u);
  lines[9].transfer.linked = true;
  EXPECT_EQ(NextRequest(lines, 6, 2), 4u) << "what is left open at the end is said by the ledger";
}

}  // namespace
}  // namespace waybill::cli
