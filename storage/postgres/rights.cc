#include "storage/postgres/rights.h"

#include <algorithm>
#include <iterator>

#include "fmt/format.h"

namespace waybill::storage {
namespace {

// Everybody may execute a function, unless its owner has taken that back.
constexpr Rights kOrderRights[] = {
    {"schema_migrations", "SELECT"},
    {"access_keys", "SELECT, INSERT, UPDATE"},
    {"access_key_uses", "SELECT, INSERT, UPDATE"},
    {"access_version", "SELECT, UPDATE"},
    {"audit_deeds", "INSERT"},
    {"audit_entries", "SELECT"},
    {"audit_head", "SELECT"},
    {"order_sagas", "SELECT, INSERT, UPDATE"},
    {"order_saga_steps", "SELECT, INSERT"},
    {"sagas", "SELECT, INSERT, UPDATE"},
    {"saga_steps", "SELECT, INSERT"},
    {"saga_definitions", "SELECT, INSERT"},
    {"saga_signals", "SELECT, INSERT, DELETE"},
    {"saga_marks", "SELECT, INSERT, UPDATE"},
    {"all_sagas", "SELECT"},
    {"all_saga_steps", "SELECT"},
    {"leased_sagas", "SELECT"},
    {"payments", "SELECT, INSERT, UPDATE"},
    {"partial_refunds", "SELECT, INSERT, UPDATE"},
    {"payment_attempts", "SELECT, INSERT, UPDATE"},
    {"gateway_settings", "SELECT, INSERT, UPDATE"},
    {"gateway_probes", "SELECT, INSERT, UPDATE"},
    {"gateway_books", "SELECT"},
    {"gateway_refunds", "SELECT"},
    {"settlements", "SELECT, INSERT, UPDATE, DELETE"},
    {"settlement_lines", "SELECT, INSERT, UPDATE, DELETE"},
    {"reconciliation_cases", "SELECT, INSERT, UPDATE"},
    {"payment_entries", "SELECT, DELETE"},
    {"payment_sums", "SELECT, INSERT, UPDATE"},
    {"payment_sums_rest", "SELECT, UPDATE, DELETE"},
    {"unsummed_payments", "SELECT"},
    {"unsummed_attempts", "SELECT"},
    {"pending_charges", "SELECT, INSERT, UPDATE"},
    {"payouts", "SELECT, INSERT, UPDATE"},
    {"risk_assessments", "SELECT, INSERT"},
    {"webhook_inbox", "SELECT, INSERT, UPDATE, DELETE"},
    {"drivers", "SELECT, INSERT, UPDATE"},
    {"order_assignments", "SELECT, INSERT, UPDATE"},
    {"webhook_endpoints", "SELECT, INSERT, UPDATE, DELETE"},
    {"webhook_deliveries", "SELECT, INSERT, UPDATE, DELETE"},
    {"order_assignments_move_down(text)", "EXECUTE"},
    {"waybill_id_at(timestamptz)", "EXECUTE"},
    {"waybill_fee(bigint, integer)", "EXECUTE"},
    {"payouts_available(text, text, text)", "EXECUTE"},
    {"ledger_lock_accounts(uuid[], text[], text[])", "EXECUTE"},
};

constexpr Rights kRealtimeRights[] = {
    {"schema_migrations", "SELECT"}, {"order_sagas", "SELECT"},       {"order_saga_steps", "SELECT"},
    {"payments", "SELECT"},          {"partial_refunds", "SELECT"},   {"payment_attempts", "SELECT"},
    {"pending_charges", "SELECT"},   {"order_assignments", "SELECT"},
};

constexpr Rights kIngestRights[] = {
    {"schema_migrations", "SELECT"},
    {"access_keys", "SELECT"},
    {"access_key_uses", "SELECT, INSERT, UPDATE"},
    {"access_version", "SELECT"},
    {"audit_deeds", "INSERT"},
    {"driver_locations", "SELECT, INSERT, DELETE"},
    // They ask for INSERT and DELETE themselves.
    {"waybill_attach_day(date)", "EXECUTE"},
    {"waybill_drop_day(date)", "EXECUTE"},
    {"waybill_trim_default(timestamptz, integer)", "EXECUTE"},
};

// Balances and history are written by the tables' owner, on behalf of whoever inserts transfers, and numbers are drawn.
// A column that stands here may be set; of the others not even a trigger of the role's own changes one.
constexpr Rights kLedgerRights[] = {
    {"schema_migrations", "SELECT"},
    {"access_keys", "SELECT"},
    {"access_key_uses", "SELECT, INSERT, UPDATE"},
    {"access_version", "SELECT"},
    {"audit_deeds", "INSERT"},
    {"ledger_accounts",
     "SELECT, UPDATE (closed), INSERT (parent,code,debits_must_not_exceed_credits,credits_must_not_exceed_debits,"
     "history,closed,currency,client,id,kind,owner,metadata,created_at,changed_at)"},
    {"ledger_transfers",
     "SELECT, INSERT (debit_account,credit_account,amount,requested,released,write,created_at,code,timeout_seconds,"
     "linked,balancing_debit,balancing_credit,phase,currency,client,id,pending_id,corrects,user_data,refusal)"},
    {"ledger_expiries", "SELECT"},
    {"ledger_account_history", "SELECT"},
    {"ledger_batches", "SELECT, INSERT"},
    {"ledger_seal", "SELECT, UPDATE"},
};

struct RightsColumns {
  ArrayParam on{kOidText}, may{kOidText};
  explicit RightsColumns(std::span<const Rights> rights) {
    for (const Rights& each : rights) {
      on.AddText(each.on);
      may.AddText(each.may);
    }
  }
};

// has_table_privilege would be content with any one of a list.
constexpr char kMissing[] = R"sql(
SELECT COALESCE($3, current_user::text), string_agg(missing, '; ')
FROM (SELECT string_agg(u.right, ', ' ORDER BY u.place) || ' on ' || r.on_what AS missing
      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (on_what, may, place),
           unnest(string_to_array(r.may, ', ')) WITH ORDINALITY AS u ("right", place)
      WHERE CASE WHEN r.on_what LIKE '%(%' THEN has_function_privilege(COALESCE($3, current_user::text), to_regprocedure(r.on_what), u.right)
                 WHEN u.right LIKE '%(%' THEN (SELECT bool_and(COALESCE(has_column_privilege(COALESCE($3, current_user::text), to_regclass(r.on_what), c.name,
                     split_part(u.right, ' ', 1)), false)) FROM unnest(string_to_array(substring(u.right FROM '\((.*)\)'), ',')) AS c (name))
                 ELSE has_table_privilege(COALESCE($3, current_user::text), to_regclass(r.on_what), u.right) END IS NOT TRUE
      GROUP BY r.on_what, r.place ORDER BY r.place) AS each)sql";

constexpr char kGrants[] = R"sql(
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), $3)
UNION ALL
SELECT CASE WHEN r.on_what LIKE '%(%' THEN format('GRANT %s ON FUNCTION %s TO %I', r.may, r.on_what, $3)
            ELSE format('GRANT %s ON %I TO %I', r.may, r.on_what, $3) END
FROM unnest($1::text[], $2::text[]) AS r (on_what, may))sql";

// `role` is a text, or null: the session's own.
absl::Status CheckRightsOf(Connection& connection, std::span<const Rights> rights, const Param& role) {
  RightsColumns columns(rights);
  absl::StatusOr<Rows> rows = connection.Execute(kMissing, {columns.on, columns.may, role});
  if (!rows.ok()) return rows.status();
  if (rows->IsNull(0, 1)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("role {0} lacks {1}: run `waybill migrate --grant {0}` as the owner of the tables", rows->Text(0, 0),
                  rows->Text(0, 1)));
}

}  // namespace

std::span<const Rights> OrderRights() { return kOrderRights; }
std::span<const Rights> RealtimeRights() { return kRealtimeRights; }

std::span<const Rights> IngestRights() { return kIngestRights; }

std::span<const Rights> LedgerRights() { return kLedgerRights; }

absl::Status CheckRights(Connection& connection, std::span<const Rights> rights) {
  return CheckRightsOf(connection, rights, Param::Null(kOidText));
}

absl::StatusOr<std::vector<std::string>> GrantRights(Connection& connection, const std::string& role) {
  std::vector<std::string> statements;
  std::vector<Rights> all(std::begin(kOrderRights), std::end(kOrderRights));
  // What several use, waybill-order has at least the same rights on.
  for (const std::span<const Rights> others : {IngestRights(), LedgerRights()}) {
    std::copy_if(others.begin(), others.end(), std::back_inserter(all), [](const Rights& rights) {
      return std::none_of(std::begin(kOrderRights), std::end(kOrderRights),
                          [&](const Rights& order) { return order.on == rights.on; });
    });
  }
  RightsColumns columns(all);
  absl::StatusOr<Rows> rows = connection.Execute(kGrants, {columns.on, columns.may, Param::Text(role)});
  if (!rows.ok()) return rows.status();
  std::string script;
  for (int row = 0; row < rows->size(); ++row) {
    statements.emplace_back(rows->Text(row, 0));
    script += statements.back() + "; ";
  }
  if (absl::Status granted = connection.ExecuteScript(script); !granted.ok()) return granted;
  // Who may not grant is told so by a warning only.
  if (absl::Status has = CheckRightsOf(connection, all, Param::Text(role)); !has.ok()) return has;
  return statements;
}

}  // namespace waybill::storage
