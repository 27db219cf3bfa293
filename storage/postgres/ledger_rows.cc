#include "storage/postgres/ledger_rows.h"

#include <optional>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::storage {
namespace {

absl::Status Unreadable(std::string_view column, std::string_view value) {
  ErrorDetail detail;
  detail.metadata.emplace_back("column", column);
  return domain::ReasonError("UNREADABLE_ROW", fmt::format("{} is {}", column, value), std::move(detail));
}

int64_t IntOr(const Rows& rows, int row, int column, int64_t none) {
  return rows.IsNull(row, column) ? none : rows.Int(row, column);
}

}  // namespace

absl::StatusOr<ledger::Account> DecodeAccount(const Rows& rows, int row) {
  ledger::Account account;
  account.client = rows.Text(row, 0);
  account.id = rows.Text(row, 1);
  account.owner = rows.Text(row, 2);
  account.currency = rows.Text(row, 3);
  account.kind = rows.Text(row, 4);
  account.code = static_cast<int32_t>(rows.Int(row, 5));
  account.flags.debits_must_not_exceed_credits = rows.Bool(row, 6);
  account.flags.credits_must_not_exceed_debits = rows.Bool(row, 7);
  account.flags.history = rows.Bool(row, 8);
  account.flags.closed = rows.Bool(row, 9);
  account.parent = rows.Text(row, 10);
  const nlohmann::json metadata = nlohmann::json::parse(rows.Json(row, 11), nullptr, false);
  if (!metadata.is_object()) return Unreadable("metadata", rows.Json(row, 11));
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string()) return Unreadable("metadata", rows.Json(row, 11));
    account.metadata[key] = value.get<std::string>();
  }
  account.created_at = rows.Time(row, 12);
  account.balance = {rows.Int(row, 13), rows.Int(row, 14), rows.Int(row, 15), rows.Int(row, 16), rows.Int(row, 17)};
  return account;
}

absl::StatusOr<TransferRecord> DecodeTransfer(const Rows& rows, int row) {
  TransferRecord transfer;
  const std::optional<ledger::Phase> phase = ledger::ParsePhase(rows.Text(row, 3));
  if (!phase) return Unreadable("phase", rows.Text(row, 3));
  transfer.number = rows.Int(row, 0);
  transfer.client = rows.Text(row, 1);
  transfer.id = rows.Text(row, 2);
  transfer.phase = *phase;
  transfer.debit_account = rows.Text(row, 4);
  transfer.credit_account = rows.Text(row, 5);
  transfer.currency = rows.Text(row, 6);
  transfer.code = static_cast<int32_t>(rows.Int(row, 7));
  transfer.amount_minor = rows.Int(row, 8);
  transfer.requested_minor = rows.Int(row, 9);
  transfer.released_minor = rows.Int(row, 10);
  transfer.pending_id = rows.Text(row, 11);
  transfer.timeout_seconds = rows.Int(row, 12);
  transfer.linked = rows.Bool(row, 13);
  transfer.balancing_debit = rows.Bool(row, 14);
  transfer.balancing_credit = rows.Bool(row, 15);
  transfer.user_data = rows.Text(row, 16);
  transfer.corrects = rows.Text(row, 17);
  transfer.created_at = rows.Time(row, 18);
  if (transfer.phase != ledger::Phase::kPending) return transfer;
  transfer.resolution = Resolution::kOpen;
  if (rows.IsNull(row, 19)) return transfer;
  const std::optional<ledger::Phase> end = ledger::ParsePhase(rows.Text(row, 19));
  if (end == ledger::Phase::kPost) {
    transfer.resolution = Resolution::kPosted;
  } else if (end == ledger::Phase::kVoid) {
    transfer.resolution = Resolution::kVoided;
  } else if (end == ledger::Phase::kExpired) {
    transfer.resolution = Resolution::kExpired;
  } else {
    return Unreadable("phase", rows.Text(row, 19));
  }
  transfer.resolved_by = rows.Text(row, 20);
  return transfer;
}

ChainRow DecodeChainRow(const Rows& rows, int row) {
  ChainRow chain;
  chain.number = rows.Int(row, 0);
  chain.debit_account = IntOr(rows, row, 1, -1);
  chain.credit_account = IntOr(rows, row, 2, -1);
  chain.amount = IntOr(rows, row, 3, -1);
  chain.requested = IntOr(rows, row, 4, -1);
  chain.released = IntOr(rows, row, 5, -1);
  chain.write = rows.Int(row, 6);
  chain.created_at = absl::ToUnixMicros(rows.Time(row, 7));
  chain.code = IntOr(rows, row, 8, -1);
  chain.timeout_seconds = IntOr(rows, row, 9, -1);
  chain.linked = rows.Bool(row, 10);
  chain.balancing_debit = rows.Bool(row, 11);
  chain.balancing_credit = rows.Bool(row, 12);
  chain.phase = rows.Text(row, 13);
  chain.currency = rows.Text(row, 14);
  chain.client = rows.Text(row, 15);
  chain.id = rows.Text(row, 16);
  chain.pending_id = rows.Text(row, 17);
  chain.corrects = rows.Text(row, 18);
  chain.user_data = rows.Text(row, 19);
  chain.refusal = rows.Text(row, 20);
  return chain;
}

ChainAccount DecodeChainAccount(const Rows& rows, int row) {
  ChainAccount account;
  account.number = rows.Int(row, 0);
  account.parent = IntOr(rows, row, 1, -1);
  account.code = rows.Int(row, 2);
  account.created_at = absl::ToUnixMicros(rows.Time(row, 3));
  account.debits_must_not_exceed_credits = rows.Bool(row, 4);
  account.credits_must_not_exceed_debits = rows.Bool(row, 5);
  account.history = rows.Bool(row, 6);
  account.currency = rows.Text(row, 7);
  account.client = rows.Text(row, 8);
  account.id = rows.Text(row, 9);
  account.kind = rows.Text(row, 10);
  account.owner = rows.Text(row, 11);
  account.metadata = rows.Text(row, 12);
  return account;
}

}  // namespace waybill::storage
