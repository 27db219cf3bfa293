#include "storage/postgres/audit_log.h"

#include <iterator>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {

namespace {

absl::StatusOr<Rows> ExecuteIn(Pool& pool, const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

}  // namespace

std::string InsertDeed(int first_parameter) {
  std::string values;
  for (size_t n = 0; n < std::size(kDeedColumns); ++n) {
    values += fmt::format("{}${}::text", n == 0 ? "" : ", ", static_cast<size_t>(first_parameter) + n);
  }
  return fmt::format("INSERT INTO audit_deeds ({}) SELECT {} ", fmt::join(kDeedColumns, ", "), values);
}

std::string DeedDetail(const domain::Deed& deed) {
  using Json = nlohmann::ordered_json;
  Json detail = Json::object();
  for (const auto& [key, value] : deed.detail) detail[key] = value;
  return detail.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void DeedRow::AddTo(std::vector<Param>& params) const {
  for (const std::string* text : {&deed_.by.client, &deed_.by.key_id, &deed_.by.operator_name, &deed_.action,
                                  &deed_.subject_kind, &deed_.subject, &detail_}) {
    params.push_back(Param::Text(*text));
  }
}

absl::Status PostgresAuditLog::Append(const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params;
  row.AddTo(params);
  return ExecuteIn(writes_, InsertDeed(1), params).status();
}

// A filter that is not set becomes a constant true when the query is planned, so each combination gets its own plan.
constexpr char kListEntries[] =
    "SELECT sequence, at, client, key_id, operator_name, action, subject_kind, subject, detail, previous_hash, hash"
    " FROM audit_entries WHERE ($1::text = '' OR client = $1::text)"
    " AND ($2::text = '' OR action = $2::text OR (right($2::text, 1) = '.' AND starts_with(action, $2::text)))"
    " AND ($3::text = '' OR subject_kind = $3::text) AND ($4::text = '' OR subject = $4::text)"
    " AND ($5::timestamptz = '-infinity' OR at >= $5) AND ($6::timestamptz = 'infinity' OR at < $6)"
    " AND ($7::bigint IS NULL OR {}) ORDER BY sequence {} LIMIT $8";

absl::StatusOr<std::vector<AuditEntry>> PostgresAuditLog::List(const AuditQuery& query) {
  const std::string sql = fmt::format(kListEntries, query.oldest_first ? "sequence > $7" : "sequence < $7",
                                      query.oldest_first ? "" : "DESC");
  absl::StatusOr<Rows> rows =
      ExecuteIn(reads_, sql,
                {Param::Text(query.client), Param::Text(query.action), Param::Text(query.subject_kind),
                 Param::Text(query.subject), Param::Time(query.from), Param::Time(query.to),
                 query.beyond ? Param::Int8(*query.beyond) : Param::Null(kOidInt8), Param::Int8(query.limit)});
  if (!rows.ok()) return TooBroadOr(rows.status(), "entries");
  std::vector<AuditEntry> entries;
  for (int row = 0; row < rows->size(); ++row) {
    AuditEntry& entry = entries.emplace_back();
    entry.sequence = rows->Int(row, 0);
    entry.at = rows->Time(row, 1);
    entry.by = {std::string(rows->Text(row, 2)), std::string(rows->Text(row, 3)), std::string(rows->Text(row, 4))};
    entry.action = rows->Text(row, 5);
    entry.subject_kind = rows->Text(row, 6);
    entry.subject = rows->Text(row, 7);
    entry.detail = rows->Text(row, 8);
    entry.previous_hash = rows->Bytes(row, 9);
    entry.hash = rows->Bytes(row, 10);
  }
  return entries;
}

absl::StatusOr<AuditHead> PostgresAuditLog::Head() {
  absl::StatusOr<Rows> rows = ExecuteIn(reads_, "SELECT sequence, hash FROM audit_head", {});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return ConnectionError("audit_head has lost its row");
  return AuditHead{rows->Int(0, 0), std::string(rows->Bytes(0, 1))};
}

}  // namespace waybill::storage
