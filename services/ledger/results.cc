#include "services/ledger/results.h"

#include <initializer_list>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::ledger {
namespace {

// The first of the table whose beginning the name has, "exists_with_different_" before it or not.
std::string_view Field(const ResultRow& row,
                       std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
  if (row.of == ResultClass::kDone) return "";
  constexpr std::string_view kExists = "exists_with_different_";
  std::string_view name = row.name;
  if (name.starts_with(kExists)) name.remove_prefix(kExists.size());
  for (const auto& [beginning, field] : fields) {
    if (name.starts_with(beginning)) return field;
  }
  return "";
}

struct Reasons {
  std::string_view conflict, refused;
};

absl::Status Status(const ResultRow& row, std::string_view what, const std::string& id, std::string_view field,
                    const Reasons& reasons) {
  if (row.of == ResultClass::kDone) return absl::OkStatus();
  ErrorDetail detail;
  detail.metadata.emplace_back("result", row.name);
  if (row.of == ResultClass::kMalformed) {
    detail.violations.emplace_back(field, row.meaning);
    return domain::ReasonError("BAD_REQUEST", fmt::format("{}: {}", field, row.meaning), std::move(detail));
  }
  if (!field.empty()) detail.metadata.emplace_back("field", field);
  const std::string_view reason = row.of == ResultClass::kConflict ? reasons.conflict : reasons.refused;
  return domain::ReasonError(reason, fmt::format("{} {}: {} ({})", what, id, row.meaning, row.name), std::move(detail));
}

}  // namespace

std::string_view FieldOf(AccountResult result) {
  return Field(Row(result), {{"id_malformed", "account_id"},
                             {"owner", "owner"},
                             {"currency", "currency"},
                             {"kind", "kind"},
                             {"code", "code"},
                             {"flags", "flags"},
                             {"metadata", "metadata"},
                             {"parent", "parent_id"}});
}

std::string_view FieldOf(TransferResult result) {
  return Field(Row(result), {{"linked", "linked"},
                             {"id_malformed", "transfer_id"},
                             {"phase", "phase"},
                             {"balancing", "balancing_debit"},
                             {"timeout", "timeout_seconds"},
                             {"accounts_must_be_different", "credit_account_id"},
                             {"pending_transfer_has_different_debit_account", "debit_account_id"},
                             {"pending_transfer_has_different_credit_account", "credit_account_id"},
                             {"pending_transfer_has_different_currency", "currency"},
                             {"pending_transfer_has_different_code", "code"},
                             {"pending_transfer_has_different_amount", "amount_minor"},
                             {"pending", "pending_id"},
                             {"debit_account_has_different_currency", "currency"},
                             {"credit_account_has_different_currency", "currency"},
                             {"debit_account", "debit_account_id"},
                             {"credit_account", "credit_account_id"},
                             {"amount", "amount_minor"},
                             {"exceeds", "amount_minor"},
                             {"overflows", "amount_minor"},
                             {"currency", "currency"},
                             {"code", "code"},
                             {"user_data", "user_data"},
                             {"correct", "corrects_id"}});
}

absl::Status StatusOf(AccountResult result, const std::string& account_id) {
  return Status(Row(result), "account", account_id, FieldOf(result), {"ACCOUNT_ID_REUSED", "ACCOUNT_REFUSED"});
}

absl::Status StatusOf(TransferResult result, const std::string& transfer_id, std::string_view field) {
  return Status(Row(result), "transfer", transfer_id, field.empty() ? FieldOf(result) : field,
                {"TRANSFER_ID_REUSED", "TRANSFER_REFUSED"});
}

}  // namespace waybill::ledger
