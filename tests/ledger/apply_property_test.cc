#include <map>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "tests/ledger/book_fixture.h"
#include "tests/ledger/random_batches.h"
#include "tests/ledger/reference_ledger.h"

namespace waybill::ledger {
namespace {

using testing::kRandomAccounts;
using waybill::testing::Below;
using waybill::testing::Within;

std::string Names(const std::vector<TransferResult>& results) {
  std::string names;
  for (const TransferResult result : results) names += std::string(Name(result)) + " ";
  return names;
}

struct Worlds {
  testing::MemoryLedger ledger;
  testing::ReferenceLedger reference;

  Worlds() {
    for (const testing::RandomAccount& account : kRandomAccounts) {
      ledger.Open(account.id, account.flags, account.parent, account.currency);
      reference.accounts[account.id] = {account.currency, account.flags, account.parent};
    }
  }
};

TEST(LedgerApplyProperty, DoesWhatTheReferenceDoes) {
  std::map<TransferResult, int> met;
  EXPECT_TRUE(rc::check("random batches", [&met] {
    Worlds worlds;
    const int ids = *Within(20, 150);
    const int batches = *Within(5, 40);
    std::vector<NewTransfer> sent;
    for (int n = 0; n < batches; ++n) {
      if (*Below(2) == 0) {
        worlds.ledger.now += absl::Seconds(1);
        worlds.reference.now += absl::Seconds(1);
      }
      if (*Below(12) == 0) {
        for (const Transfer& held : std::vector<Transfer>(worlds.reference.made())) {
          if (held.phase != Phase::kPending) continue;
          worlds.ledger.Post({testing::End(ExpiryId(held.id), Phase::kExpired, held.id)}, 0, true);
        }
        worlds.reference.Expire();
      }
      if (*Below(10) == 0) {
        const char* id = kRandomAccounts[*Below<int>(std::size(kRandomAccounts))].id;
        bool& closed = worlds.reference.accounts[id].flags.closed;
        closed = !closed;
        worlds.ledger.book().FindAccount(testing::MemoryLedger::kClient, id)->flags.closed = closed;
      }
      std::vector<std::string> pendings;
      for (const Transfer& row : worlds.reference.made()) {
        if (row.phase == Phase::kPending) pendings.push_back(row.id);
      }
      auto batch =
          *rc::gen::container<std::vector<NewTransfer>>(*Within(1, 12), testing::RandomTransfer(ids, pendings));
      if (!sent.empty() && *Below(3) == 0)
        batch.push_back(sent[*Below(sent.size())]);  // by chance hardly any is the same
      sent.insert(sent.end(), batch.begin(), batch.end());
      const auto expected = worlds.reference.Post(batch);
      const auto results = worlds.ledger.Results(batch);
      RC_ASSERT(Names(results) == Names(expected));
      for (const TransferResult result : results) ++met[result];
      for (const auto& account : kRandomAccounts) {
        Balance has = worlds.ledger.Of(account.id);
        has.version = 0;
        RC_ASSERT(has == worlds.reference.Of(account.id));
      }
    }
    size_t made = 0, refused = 0;
    for (const BookTransfer& row : worlds.ledger.kept()) ++(row.refusal ? refused : made);
    RC_ASSERT(made == worlds.reference.made().size());
    RC_ASSERT(refused == worlds.reference.refused().size());
  }));
  // The batches are worth something only while they meet what there is to meet.
  for (const TransferResult result :
       {TransferResult::kCreated, TransferResult::kExists, TransferResult::kExceedsCredits,
        TransferResult::kExceedsDebits, TransferResult::kLinkedTransferFailed, TransferResult::kLinkedIdRepeated,
        TransferResult::kPendingTransferAlreadyPosted, TransferResult::kPendingTransferAlreadyVoided,
        TransferResult::kPendingTransferExpired, TransferResult::kDebitAccountClosed,
        TransferResult::kCorrectedTransferNotFound, TransferResult::kExistsWithDifferentAmount}) {
    EXPECT_GT(met[result], 0) << Name(result);
  }
}

}  // namespace
}  // namespace waybill::ledger
