// How the ledger's rows are read.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "ledger/account.h"
#include "ledger/apply.h"
#include "storage/ledger_chain.h"
#include "storage/ledger_store.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

// Columns of an account `a` with its parent `p`, for DecodeAccount.
inline constexpr char kAccountColumns[] =
    "a.client, a.id, a.owner, a.currency, a.kind, a.code, a.debits_must_not_exceed_credits, "
    "a.credits_must_not_exceed_debits, a.history, a.closed, p.id, a.metadata, a.created_at, a.debits_posted, "
    "a.credits_posted, a.debits_pending, a.credits_pending, a.version, a.number";
absl::StatusOr<ledger::Account> DecodeAccount(const Rows& rows, int row);

// Columns of a transfer `t`, its accounts `d` and `c`, and what ended it, `e`, for DecodeTransfer.
inline constexpr char kTransferColumns[] =
    "t.number, t.client, t.id, t.phase, d.id, c.id, t.currency, t.code, t.amount, COALESCE(t.requested, t.amount), "
    "COALESCE(t.released, 0), COALESCE(t.pending_id, ''), COALESCE(t.timeout_seconds, 0), t.linked, t.balancing_debit, "
    "t.balancing_credit, COALESCE(t.user_data, ''), COALESCE(t.corrects, ''), t.created_at, e.phase, COALESCE(e.id, "
    "'')";
inline constexpr char kTransferJoins[] =
    " LEFT JOIN ledger_accounts d ON d.number = t.debit_account LEFT JOIN ledger_accounts c ON c.number = "
    "t.credit_account LEFT JOIN ledger_transfers e ON t.phase = 'pending' AND e.client = t.client AND e.pending_id = "
    "t.id";
// UNREADABLE_ROW
absl::StatusOr<TransferRecord> DecodeTransfer(const Rows& rows, int row);

// Columns of a transfer or refusal `t` for DecodeChainRow.
inline constexpr char kChainColumns[] =
    "t.number, t.debit_account, t.credit_account, t.amount, t.requested, t.released, t.write, t.created_at, t.code, "
    "t.timeout_seconds, t.linked, t.balancing_debit, t.balancing_credit, t.phase, t.currency, t.client, t.id, "
    "t.pending_id, t.corrects, t.user_data, t.refusal";
ChainRow DecodeChainRow(const Rows& rows, int row);  // its texts live as long as the rows

// Columns of an account `a` for DecodeChainAccount.
inline constexpr char kChainAccountColumns[] =
    "a.number, a.parent, a.code, a.created_at, a.debits_must_not_exceed_credits, a.credits_must_not_exceed_debits, "
    "a.history, a.currency, a.client, a.id, a.kind, a.owner, a.metadata::text";
ChainAccount DecodeChainAccount(const Rows& rows, int row);  // the same

}  // namespace waybill::storage
