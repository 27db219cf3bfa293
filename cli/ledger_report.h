// What the ledger holds, for people: on a terminal, in a spreadsheet, as a page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/terminal.h"

namespace waybill::cli {

// One account's transfers.
struct StatementView {
  struct Line {
    absl::Time at;
    std::string transfer;
    std::string phase;        // "single"
    std::string counterpart;  // the other account
    bool debit = false;       // out of this account, or into it
    int64_t minor = 0;
    std::string hold;  // of a pending transfer, what became of it: held, posted, voided or expired; it is in no sum
    std::string note;  // the client's words, and what a transfer ends or corrects
  };
  std::string account, owner, currency, kind;
  std::string span;         // "2026-01-01T00:00:00.000Z to now"
  std::vector<Line> lines;  // the newest first
  bool more = false;        // there are older ones
  int64_t available_minor = 0;
  absl::Time as_of;
};

std::string RenderText(const StatementView& statement, const Terminal& terminal);
std::string RenderCsv(const StatementView& statement);
std::string RenderHtml(const StatementView& statement);  // one page that needs no other file

struct TrialBalanceView {
  struct Line {
    std::string client, currency, kind;
    int64_t accounts = 0;
    int64_t debits = 0, credits = 0;  // posted
    int64_t debits_pending = 0, credits_pending = 0;
  };
  std::vector<Line> lines;  // by client, currency and kind
  absl::Time as_of;

  // By client and currency, whose debits are not their credits: never, in a ledger that is whole.
  std::vector<std::string> unbalanced() const;
};

std::string RenderText(const TrialBalanceView& balance, const Terminal& terminal);
std::string RenderCsv(const TrialBalanceView& balance);
std::string RenderHtml(const TrialBalanceView& balance);

}  // namespace waybill::cli
