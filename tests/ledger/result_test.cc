#include "ledger/result.h"

#include <set>
#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "ledger/account.h"
#include "ledger/transfer.h"

namespace waybill::ledger {
namespace {

TEST(LedgerResult, EachHasANameOfItsOwnAndAMeaning) {
  std::set<std::string_view> names;
  for (const ResultRow& row : kTransferResults) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.meaning.empty()) << row.name;
  }
  names.clear();
  for (const ResultRow& row : kAccountResults) EXPECT_TRUE(names.insert(row.name).second) << row.name;
}

TEST(LedgerResult, NamesAreReadBack) {
  EXPECT_EQ(ParseTransferResult("exceeds_debits"), TransferResult::kExceedsDebits);
  EXPECT_EQ(ParseTransferResult("exists"), TransferResult::kExists);
  EXPECT_EQ(ParseTransferResult("timeout_out_of_range"), TransferResult::kTimeoutOutOfRange);
  EXPECT_EQ(ParseAccountResult("parent_closed"), AccountResult::kParentClosed);
  EXPECT_EQ(ParseTransferResult("nothing"), std::nullopt);
}

// The rows stand in the order of the enum: by a sample of each stretch of it.
TEST(LedgerResult, RowsStandAtTheirNumbers) {
  EXPECT_EQ(Name(TransferResult::kLinkedIdRepeated), "linked_id_repeated");
  EXPECT_EQ(Name(TransferResult::kExistsWithDifferentCorrects), "exists_with_different_corrects");
  EXPECT_EQ(Name(TransferResult::kPhaseReserved), "phase_reserved");
  EXPECT_EQ(Name(TransferResult::kCorrectsMustBeDifferent), "corrects_must_be_different");
  EXPECT_EQ(Name(TransferResult::kPendingTransferHasDifferentCode), "pending_transfer_has_different_code");
  EXPECT_EQ(Name(TransferResult::kOverflowsDebits), "overflows_debits");
  EXPECT_EQ(Name(AccountResult::kFlagsAreMutuallyExclusive), "flags_are_mutually_exclusive");
  EXPECT_EQ(Name(AccountResult::kExists), "exists");
}

TEST(LedgerResult, WhatIsThereIsDone) {
  EXPECT_TRUE(Done(TransferResult::kCreated));
  EXPECT_TRUE(Done(TransferResult::kExists));
  EXPECT_FALSE(Done(TransferResult::kExistsWithDifferentAmount));
  EXPECT_FALSE(Done(AccountResult::kParentNotFound));
}

TEST(LedgerWords, IdsAndKinds) {
  EXPECT_TRUE(IsId("a-Z_0:9.x"));
  EXPECT_TRUE(IsId(std::string(64, 'x')));
  EXPECT_FALSE(IsId(std::string(65, 'x')));
  EXPECT_FALSE(IsId(""));
  EXPECT_FALSE(IsId("a/b"));
  EXPECT_FALSE(IsId("\xc3\xa4"));
  EXPECT_TRUE(IsKind("driver_2"));
  EXPECT_FALSE(IsKind("2driver"));
  EXPECT_FALSE(IsKind("Driver"));
  for (const Phase phase : {Phase::kSingle, Phase::kPending, Phase::kPost, Phase::kVoid, Phase::kExpired}) {
    EXPECT_EQ(ParsePhase(Name(phase)), phase);
  }
}

}  // namespace
}  // namespace waybill::ledger
