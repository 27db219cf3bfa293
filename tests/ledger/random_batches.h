// Batches that meet every corner often: few accounts, few ids, small amounts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ledger/transfer.h"
#include "rapidcheck.h"
#include "tests/support/even_ranges.h"

namespace waybill::ledger::testing {

struct RandomAccount {
  const char* id;
  const char* currency;
  AccountFlags flags;
  const char* parent;
};

inline constexpr RandomAccount kRandomAccounts[] = {
    {"bank", "EUR", {}, ""},
    {"shop", "EUR", {.history = true}, ""},
    {"wallet", "EUR", {.debits_must_not_exceed_credits = true, .history = true}, ""},
    {"purse", "EUR", {.debits_must_not_exceed_credits = true}, ""},
    {"debt", "EUR", {.credits_must_not_exceed_debits = true}, ""},
    {"card", "EUR", {}, "wallet"},
    {"savings", "EUR", {.debits_must_not_exceed_credits = true, .history = true}, "wallet"},
    {"yen", "JPY", {}, ""},
};

// Ids repeat within `ids`; posts and voids are, as a rule, of one of `pendings`.
inline rc::Gen<NewTransfer> RandomTransfer(int ids, std::vector<std::string> pendings) {
  using waybill::testing::Below;
  return rc::gen::exec([ids, pendings = std::move(pendings)] {
    const auto one_in = [](int n) { return *Below(n) == 0; };
    const auto some_id = [ids] { return "t" + std::to_string(*Below(ids)); };
    const auto account = [&one_in]() -> std::string {
      if (one_in(40)) return "nobody";
      return kRandomAccounts[*Below<int>(std::size(kRandomAccounts) - (one_in(10) ? 0 : 1))].id;
    };
    NewTransfer transfer;
    transfer.id = one_in(80) ? "bad id" : some_id();
    const int phase = *Below(10);
    transfer.phase = phase < 5 ? Phase::kSingle : phase < 7 ? Phase::kPending : phase < 9 ? Phase::kPost : Phase::kVoid;
    const bool ends = transfer.phase == Phase::kPost || transfer.phase == Phase::kVoid;
    if (ends) {
      transfer.pending_id = pendings.empty() || one_in(4) ? some_id() : pendings[*Below(pendings.size())];
      if (one_in(8)) transfer.debit_account = account();
      if (one_in(2)) transfer.amount_minor = *Below<int64_t>(30);
    } else {
      // Money comes from the bank, as a rule.
      transfer.debit_account = one_in(3) ? "bank" : account();
      transfer.credit_account = account();
      transfer.currency = transfer.debit_account == "yen" ? "JPY" : "EUR";
      transfer.code = one_in(60) ? 0 : 1;
      transfer.amount_minor = *Below<int64_t>(40);
      if (transfer.phase == Phase::kPending && !one_in(3)) transfer.timeout_seconds = 1 + *Below<int64_t>(2);
      if (one_in(6)) transfer.balancing_debit = true;
      if (one_in(8)) transfer.balancing_credit = true;
    }
    if (one_in(12)) transfer.corrects = some_id();
    transfer.linked = one_in(4);
    return transfer;
  });
}

}  // namespace waybill::ledger::testing
