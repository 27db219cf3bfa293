#include "storage/postgres/key_store.h"

#include "absl/strings/str_split.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

// Neither scopes nor patterns of drivers have spaces.
constexpr char kKeyColumns[] =
    "k.key_id, k.name, k.client, array_to_string(k.scopes, ' '), array_to_string(k.drivers, ' '), k.secret_hash, "
    "k.certificate, k.created_at, k.created_by, k.expires_at, k.revoked_at, u.used_at";

std::string SelectKeys(std::string_view where) {
  return fmt::format("SELECT {} FROM access_keys k LEFT JOIN access_key_uses u USING (key_id) {}", kKeyColumns, where);
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (const absl::string_view word :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ' ', absl::SkipEmpty())) {
    words.emplace_back(word);
  }
  return words;
}

AccessKey DecodeKey(const Rows& rows, int row) {
  AccessKey key;
  key.id = rows.Text(row, 0);
  key.name = rows.Text(row, 1);
  key.client = rows.Text(row, 2);
  for (const std::string& name : Words(rows.Text(row, 3))) {
    // One that this version does not know is as one that was not given: no method asks for it.
    if (const std::optional<domain::Scope> scope = domain::ParseScope(name)) key.scopes.Add(*scope);
  }
  key.drivers = Words(rows.Text(row, 4));
  key.secret_hash = rows.Bytes(row, 5);
  key.certificate = rows.Text(row, 6);
  key.created_at = rows.Time(row, 7);
  key.created_by = rows.Text(row, 8);
  key.expires_at = rows.Time(row, 9);
  key.revoked_at = rows.Time(row, 10);
  if (!rows.IsNull(row, 11)) key.used_at = rows.Time(row, 11);
  return key;
}

absl::StatusOr<std::vector<AccessKey>> DecodeKeys(const absl::StatusOr<Rows>& rows) {
  if (!rows.ok()) return rows.status();
  std::vector<AccessKey> keys;
  for (int row = 0; row < rows->size(); ++row) keys.push_back(DecodeKey(*rows, row));
  return keys;
}

ArrayParam Texts(const std::vector<std::string>& texts) {
  ArrayParam array(kOidText);
  for (const std::string& text : texts) array.AddText(text);
  return array;
}

Param BytesOrNull(const std::string& bytes) { return bytes.empty() ? Param::Null(kOidBytea) : Param::Bytes(bytes); }
Param TextOrNull(const std::string& text) { return text.empty() ? Param::Null(kOidText) : Param::Text(text); }

}  // namespace

absl::StatusOr<Rows> PostgresKeyStore::Execute(const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

absl::StatusOr<AccessKey> PostgresKeyStore::ExecuteForOne(const std::string& id, const std::string& sql,
                                                          absl::Span<const Param> params) {
  absl::StatusOr<Rows> rows = Execute(sql, params);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return KeyNotFound(id);
  return DecodeKey(*rows, 0);
}

absl::StatusOr<int64_t> PostgresKeyStore::Version() {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  constexpr char kName[] = "access_version";
  if (absl::Status prepared = (*connection)->Prepare(kName, "SELECT version FROM access_version"); !prepared.ok())
    return prepared;
  absl::StatusOr<Rows> rows = (*connection)->ExecutePrepared(kName);
  if (!rows.ok()) return rows.status();
  // Nobody has a reason to delete the row; without it no change would ever be seen.
  if (rows->empty()) return ConnectionError("access_version has lost its row");
  return rows->Int(0, 0);
}

absl::StatusOr<std::vector<AccessKey>> PostgresKeyStore::Recent(absl::Time now, absl::Duration over_for) {
  return DecodeKeys(Execute(SelectKeys("WHERE LEAST(k.expires_at, k.revoked_at) > $1"), {Param::Time(now - over_for)}));
}

absl::Status PostgresKeyStore::Add(const AccessKey& key, const domain::Deed& deed) {
  const ArrayParam scopes = Texts(key.scopes.Names()), drivers = Texts(key.drivers);
  const DeedRow row(deed);
  std::vector<Param> params = {Param::Text(key.id),
                               Param::Text(key.name),
                               Param::Text(key.client),
                               scopes,
                               drivers,
                               BytesOrNull(key.secret_hash),
                               TextOrNull(key.certificate),
                               Param::Time(key.created_at),
                               Param::Text(key.created_by),
                               Param::Time(key.expires_at)};
  row.AddTo(params);
  const absl::Status added =
      Execute(
          "WITH added AS (INSERT INTO access_keys (key_id, name, client, scopes, drivers, secret_hash, certificate, "
          "created_at, created_by, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING 1) " +
              InsertDeed(11) + "FROM added",
          params)
          .status();
  if (IsUniqueViolation(added) && !key.certificate.empty()) return CertificateInUse(key.certificate);
  return added;
}

absl::StatusOr<std::vector<AccessKey>> PostgresKeyStore::List(const std::string& after, int limit) {
  return DecodeKeys(
      Execute(SelectKeys("WHERE k.key_id > $1 ORDER BY k.key_id LIMIT $2"), {Param::Text(after), Param::Int8(limit)}));
}

absl::StatusOr<AccessKey> PostgresKeyStore::Get(const std::string& id) {
  return ExecuteForOne(id, SelectKeys("WHERE k.key_id = $1"), {Param::Text(id)});
}

absl::StatusOr<AccessKey> PostgresKeyStore::Rotate(const std::string& id, const AccessKey& fresh, absl::Time now,
                                                   absl::Time old_expires_at, const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params = {Param::Text(id),
                               Param::Time(now),
                               Param::Time(old_expires_at),
                               Param::Text(fresh.id),
                               Param::Bytes(fresh.secret_hash),
                               Param::Time(fresh.created_at),
                               Param::Text(fresh.created_by),
                               Param::Time(fresh.expires_at)};
  row.AddTo(params);
  return ExecuteForOne(
      id,
      fmt::format(
          "WITH old AS (UPDATE access_keys SET expires_at = LEAST(expires_at, $3),"
          " revoked_at = CASE WHEN $3 > $2 THEN revoked_at ELSE $2 END"
          " WHERE key_id = $1 AND secret_hash IS NOT NULL AND LEAST(expires_at, revoked_at) > $2"
          " RETURNING name, client, scopes, drivers),"
          " k AS (INSERT INTO access_keys (key_id, name, client, scopes, drivers, secret_hash, created_at, created_by,"
          " expires_at) SELECT $4, name, client, scopes, drivers, $5, $6, $7, $8 FROM old RETURNING *),"
          " audited AS ({}FROM k) SELECT {} FROM k LEFT JOIN access_key_uses u USING (key_id)",
          InsertDeed(9), kKeyColumns),
      params);
}

absl::StatusOr<AccessKey> PostgresKeyStore::Revoke(const std::string& id, absl::Time now, const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params = {Param::Text(id), Param::Time(now)};
  row.AddTo(params);
  return ExecuteForOne(
      id,
      fmt::format("WITH old AS (SELECT key_id, revoked_at FROM access_keys WHERE key_id = $1 FOR UPDATE),"
                  " k AS (UPDATE access_keys a SET revoked_at = LEAST(old.revoked_at, $2) FROM old"
                  " WHERE a.key_id = old.key_id RETURNING a.*, old.revoked_at AS before),"
                  " audited AS ({}FROM k WHERE before > revoked_at)"
                  " SELECT {} FROM k LEFT JOIN access_key_uses u USING (key_id)",
                  InsertDeed(3), kKeyColumns),
      params);
}

absl::Status PostgresKeyStore::WriteUses(const std::vector<std::pair<std::string, absl::Time>>& uses) {
  ArrayParam ids(kOidText), times(kOidTimestamptz);
  for (const auto& [id, time] : uses) {
    ids.AddText(id);
    times.AddTime(time);
  }
  // In one order, so that two processes do not wait for each other.
  return Execute(
             "INSERT INTO access_key_uses AS u (key_id, used_at)"
             " SELECT k.key_id, used.at FROM unnest($1::text[], $2::timestamptz[]) AS used (key_id, at)"
             " JOIN access_keys k ON k.key_id = used.key_id ORDER BY k.key_id"
             " ON CONFLICT (key_id) DO UPDATE SET used_at = EXCLUDED.used_at WHERE u.used_at < EXCLUDED.used_at",
             {ids, times})
      .status();
}

}  // namespace waybill::storage
