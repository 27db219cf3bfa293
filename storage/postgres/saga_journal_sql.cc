#include "storage/postgres/saga_journal_sql.h"

#include <cstdlib>
#include <string_view>
#include <utility>

#include "fmt/format.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/saga_rows.h"

namespace waybill::storage {
namespace {

constexpr std::string_view kLeastId = "'00000000-0000-0000-0000-000000000000'::uuid";
constexpr std::string_view kGreatestId = "'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid";

std::string ColumnNames(const std::vector<UnnestColumn>& columns) {
  std::string names;
  for (const UnnestColumn& column : columns) {
    if (!names.empty()) names += ", ";
    names += column.name;
  }
  return names;
}

// "unnest($3::uuid[], $4::text[]) AS i(a, b)", numbering from `first`; appends the element types to `oids`.
std::string Unnest(const std::vector<UnnestColumn>& columns, std::string_view alias, int first,
                   std::vector<Oid>& oids) {
  std::string arrays;
  for (const UnnestColumn& column : columns) {
    if (!arrays.empty()) arrays += ", ";
    arrays += fmt::format("${}", first++);
    oids.push_back(column.element);
    switch (column.element) {
      case kOidUuid:
        arrays += "::uuid[]";
        break;
      case kOidText:
        arrays += "::text[]";
        break;
      case kOidBytea:
        arrays += "::bytea[]";
        break;
      case kOidInt2:
        arrays += "::smallint[]";
        break;
      case kOidInt4:
        arrays += "::integer[]";
        break;
      case kOidInt8:
        arrays += "::bigint[]";
        break;
      case kOidFloat8:
        arrays += "::double precision[]";
        break;
      case kOidBool:
        arrays += "::boolean[]";
        break;
      case kOidTimestamptz:
        arrays += "::timestamptz[]";
        break;
      default:
        std::abort();  // a column type that this list does not know yet
    }
  }
  return fmt::format("unnest({}) AS {}({})", arrays, alias, ColumnNames(columns));
}

// "i.a::cast, i.b"
std::string UnnestValues(const std::vector<UnnestColumn>& columns, std::string_view alias) {
  std::string values;
  for (const UnnestColumn& column : columns) {
    if (!values.empty()) values += ", ";
    values += fmt::format("{}.{}{}", alias, column.name, column.cast);
  }
  return values;
}

// Half a second's reading of headers, about, from memory.
constexpr int kSweptInATurn = 200'000;

// Those with a lease and without a due_at. The bound above is for the planner, which takes a range for a small part of
// the table.
std::string IsYoung(const SagaTables::Sql& t) {
  return fmt::format(
      "due_at IS NULL AND lease_until IS NOT NULL "
      "AND {id} > COALESCE((SELECT mark FROM saga_marks WHERE sagas = '{sagas}'), {least}) AND {id} <= {greatest}",
      fmt::arg("id", t.id), fmt::arg("sagas", t.sagas), fmt::arg("least", kLeastId), fmt::arg("greatest", kGreatestId));
}

// The entries of the log, booked like anything else.
Booking LogOf(const SagaTables::Sql& t) {
  Booking log;
  log.columns = {{"seq", kOidInt8, ""},
                 {"step", kOidText, ""},
                 {"attempt", kOidInt4, ""},
                 {"outcome", kOidText, ""},
                 {"state", kOidText, "::saga_state"},
                 {"detail", kOidText, ""},
                 {"at", kOidTimestamptz, ""}};
  log.text = fmt::format("INSERT INTO {} ({}, {}) SELECT i.{}, {} FROM {{rows}} WHERE {{allowed}}", t.log, t.id,
                         ColumnNames(log.columns), t.id, UnnestValues(log.columns, "i"));
  return log;
}

// What the audit keeps of some of them; without rows as a rule, and then left out of the quick form.
Booking DeedsOf() {
  Booking deeds;
  for (const std::string_view column : kDeedColumns) deeds.columns.push_back({std::string(column), kOidText, ""});
  deeds.text = fmt::format("INSERT INTO audit_deeds ({}) SELECT {} FROM {{rows}} WHERE {{allowed}}",
                           ColumnNames(deeds.columns), UnnestValues(deeds.columns, "i"));
  return deeds;
}

}  // namespace

SagaJournalSql BuildSagaJournalSql(const SagaTables::Sql& t) {
  SagaJournalSql sql;
  std::vector<Oid> unused;
  const std::string& id = t.id;
  const std::string& sagas = t.sagas;
  // Of a table that kinds share, the rows of this one.
  const std::string only = t.only.empty() ? "true" : t.only;

  std::vector<UnnestColumn> begin = {{t.id, kOidUuid, ""},
                                     {"traceparent", kOidText, ""},
                                     {"created_at", kOidTimestamptz, ""},
                                     {"version", kOidInt2, ""}};
  begin.insert(begin.end(), t.begin.begin(), t.begin.end());
  // Young by its id: above where the next sweep will go, and, since only that brings the sweep to it, not in the
  // future.
  sql.begin_quick = fmt::format(
      "INSERT INTO {sagas} (owner, lease_until, due_at, updated_at, {names}) "
      "SELECT $1::text, now() + $2::bigint * interval '1 microsecond', "
      "CASE WHEN i.{id} > (SELECT next FROM saga_marks WHERE sagas = '{sagas}') "
      "AND i.{id} < (SELECT waybill_id_at(now() + $2::bigint / 3 * interval '1 microsecond')) THEN NULL "
      "ELSE now() + $2::bigint * interval '1 microsecond' END, i.created_at, {values} FROM {rows}",
      fmt::arg("sagas", t.sagas), fmt::arg("id", t.id), fmt::arg("names", ColumnNames(begin)),
      fmt::arg("values", UnnestValues(begin, "i")), fmt::arg("rows", Unnest(begin, "i", 3, sql.begin.oids)));
  sql.number = "SELECT pg_current_xact_id() IS NOT NULL";
  sql.begin.text = fmt::format("{} ON CONFLICT ({}) DO NOTHING RETURNING {}", sql.begin_quick, t.dedupe, t.id);

  if (!t.begun.text.empty()) {
    std::vector<UnnestColumn> columns = {{t.id, kOidUuid, ""}};
    columns.insert(columns.end(), t.begun.columns.begin(), t.begun.columns.end());
    sql.begun.text = fmt::format(fmt::runtime(t.begun.text), fmt::arg("rows", Unnest(columns, "i", 1, sql.begun.oids)),
                                 fmt::arg("ids", "$1::uuid[]"));
  }

  std::vector<UnnestColumn> header = {{t.id, kOidUuid, ""},
                                      {"epoch", kOidInt8, ""},
                                      {"expected_seq", kOidInt8, ""},
                                      {"seq", kOidInt8, ""},
                                      {"state", kOidText, "::saga_state"},
                                      {"step", kOidInt2, ""},
                                      {"attempt", kOidInt4, ""},
                                      {"needs_attention", kOidBool, ""},
                                      {"failure_reason", kOidText, ""},
                                      {"failure_detail", kOidText, ""},
                                      {"updated_at", kOidTimestamptz, ""},
                                      {"write_id", kOidInt8, ""},
                                      {"waits_for", kOidText, ""},
                                      {"wakes_at", kOidTimestamptz, ""},
                                      {"branches", kOidText, ""}};
  header.insert(header.end(), t.move.begin(), t.move.end());
  const std::string input = Unnest(header, "i", 2, sql.move.oids);
  const std::string move = fmt::format(
      "UPDATE {} s SET state = i.state::saga_state, step = i.step, attempt = i.attempt, seq = i.seq, "
      "needs_attention = i.needs_attention, failure_reason = i.failure_reason, failure_detail = i.failure_detail, "
      "updated_at = i.updated_at, write_id = i.write_id, waits_for = i.waits_for, wakes_at = i.wakes_at, "
      "branches = i.branches::jsonb, {}"
      "lease_until = CASE WHEN i.waits_for IS NULL AND i.state IN ('running', 'closing', 'compensating') "
      "THEN now() + $1::bigint * interval '1 microsecond' END",
      t.sagas, t.set.empty() ? "" : t.set + ", ");
  const std::string ours =
      fmt::format("s.{id} = i.{id} AND s.{id} = ANY($2::uuid[]) AND s.epoch = i.epoch AND s.seq = i.expected_seq",
                  fmt::arg("id", id));
  sql.move.text = fmt::format(
      "WITH moved AS ({} FROM {} WHERE {} RETURNING s.{}) "
      "SELECT 1 / (count(*) = cardinality($2::uuid[]))::integer FROM moved",
      move, input, ours, id);

  // What is booked, as a statement by itself, and as a part of the careful one.
  int next = 2 + static_cast<int>(header.size());
  const auto book = [&](const Booking& booking, std::string_view allowed, std::string_view lost) {
    std::vector<UnnestColumn> columns = {{t.id, kOidUuid, ""}};
    columns.insert(columns.end(), booking.columns.begin(), booking.columns.end());
    const auto fill = [&](int first, std::string_view which, std::string_view conflict, std::vector<Oid>& oids) {
      return fmt::format(fmt::runtime(booking.text), fmt::arg("rows", Unnest(columns, "i", first, oids)),
                         fmt::arg("ids", fmt::format("${}::uuid[]", first)), fmt::arg("allowed", which),
                         fmt::arg("lost", conflict));
    };
    ArrayStatement& quick = sql.books.emplace_back();
    quick.text = fill(1, "true", "", quick.oids);
    std::string part = fill(next, allowed, lost, unused);
    next += static_cast<int>(columns.size());
    return part;
  };
  std::string claimed_part, not_lost;
  if (!t.claim.text.empty()) {
    const std::string wanted = fmt::format("${}::uuid[]", next);
    const std::string allowed =
        fmt::format("i.{id} IN (SELECT {id} FROM ok){}{}", t.claim.possible.empty() ? "" : " AND ", t.claim.possible,
                    fmt::arg("id", id));
    claimed_part =
        fmt::format("claimed AS ({}), ", book(t.claim, allowed, fmt::format("{} RETURNING {}", t.claim.lost, id)));
    not_lost = fmt::format(" WHERE i.{id} NOT IN (SELECT unnest({})) OR i.{id} IN (SELECT {id} FROM claimed)", wanted,
                           fmt::arg("id", id));
  }
  const std::string done = fmt::format("i.{id} IN (SELECT {id} FROM done)", fmt::arg("id", id));
  std::string booked;
  for (size_t n = 0; n < t.bookings.size(); ++n) {
    booked += fmt::format("booked{} AS ({}), ", n, book(t.bookings[n], done, ""));
  }
  booked += fmt::format("logged AS ({}), ", book(LogOf(t), done, ""));
  booked += fmt::format("audited AS ({}) ", book(DeedsOf(), done, ""));
  // `ok` locks the headers before anything is claimed: a claim must not be booked for a saga that is not ours. The
  // update finds them by key again: where they stand may be newer than what the statement can see.
  sql.advance = fmt::format(
      "WITH ok AS MATERIALIZED (SELECT i.* FROM {sagas} s, {input} WHERE {ours} FOR UPDATE OF s), {claimed}"
      "done AS MATERIALIZED (SELECT i.* FROM ok i{not_lost}), moved AS ({move} FROM done i WHERE s.{id} = i.{id} "
      "AND s.{id} = ANY($2::uuid[]) RETURNING s.{id}), {booked}SELECT {id} FROM moved",
      fmt::arg("sagas", sagas), fmt::arg("input", input), fmt::arg("ours", ours), fmt::arg("claimed", claimed_part),
      fmt::arg("not_lost", not_lost), fmt::arg("move", move), fmt::arg("id", id), fmt::arg("booked", booked));

  std::vector<UnnestColumn> key;
  for (const UnnestColumn& column : t.begin) {
    if (fmt::format(", {},", t.dedupe).find(fmt::format(", {},", column.name)) != std::string::npos)
      key.push_back(column);
  }
  sql.find_by_key = fmt::format("SELECT {}, epoch, {} FROM {} WHERE ({}) IN (SELECT * FROM {})", t.id, t.dedupe,
                                t.sagas, t.dedupe, Unnest(key, "k", 1, unused));
  sql.states = fmt::format("SELECT {0}, epoch, seq, write_id FROM {1} WHERE {0} = ANY($1::uuid[])", t.id, t.sagas);
  sql.load = fmt::format("{} WHERE s.{} = ANY($1::uuid[]) AND {}", t.select, t.id, only);
  sql.log = fmt::format("SELECT {2}, {0} FROM {1} WHERE {2} = $1 AND seq >= $2 ORDER BY seq", kLogColumns, t.log, t.id);
  // Both hand the ids of what they claimed to `load_claimed`, which runs in the same transaction.
  const std::string claimed =
      fmt::format("SELECT set_config('waybill.claimed', COALESCE(array_agg({id})::text, '{{}}'), true) FROM claimed",
                  fmt::arg("id", id));
  sql.load_claimed = fmt::format("{} WHERE s.{} = ANY(current_setting('waybill.claimed')::uuid[])", t.select, t.id);
  // What was set aside is marked, and stands for longer than a lease.
  const int64_t aside = absl::ToInt64Microseconds(kSetAside);
  const std::string far =
      "due_at > now() + 3 * {0}::bigint * interval '1 microsecond' AND (NOT needs_attention "
      "OR due_at > now() + greatest(3 * {0}::bigint, {0}::bigint + {1}) * interval '1 microsecond')";
  sql.far_leases = fmt::format("SELECT EXISTS (SELECT 1 FROM {} WHERE {} AND version = ANY($2::smallint[]) AND {})",
                               sagas, only, fmt::format(fmt::runtime(far), "$1", aside));
  // Claims what `due` says. Passes over rows that somebody else works on.
  auto claim = [&](std::string_view due) {
    return fmt::format(
        "WITH due AS MATERIALIZED (SELECT {id} FROM {sagas} WHERE {only} AND {due} FOR UPDATE SKIP LOCKED), "
        "claimed AS (UPDATE {sagas} s SET owner = $1::text, epoch = s.epoch + 1, "
        "lease_until = now() + $2::bigint * interval '1 microsecond', "
        "due_at = now() + $2::bigint * interval '1 microsecond' "
        "FROM due WHERE s.{id} = due.{id} RETURNING s.{id}) {claimed}",
        fmt::arg("id", id), fmt::arg("sagas", sagas), fmt::arg("only", only), fmt::arg("due", due),
        fmt::arg("claimed", claimed));
  };
  sql.claim_expired =
      claim(fmt::format("version = ANY($7::smallint[]) AND lease_until IS NOT NULL AND due_at IS NOT NULL "
                        "AND ((due_at <= now() AND lease_until < now()) OR ($6::bool AND ({})) "
                        "OR ($4::bool AND starts_with(owner, $3::text) AND owner <> $1::text)) "
                        "ORDER BY due_at LIMIT $5::bigint",
                        fmt::format(fmt::runtime(far), "$2", aside)));
  sql.claim_young = claim(fmt::format(
      "version = ANY($5::smallint[]) AND {} AND starts_with(owner, $3::text) AND owner <> $1::text LIMIT $4::bigint",
      IsYoung(t)));
  sql.claim_woken = claim(
      "version = ANY($4::smallint[]) AND lease_until IS NULL AND wakes_at <= now() "
      "AND state IN ('running', 'closing', 'compensating') ORDER BY wakes_at LIMIT $3::bigint");
  // A succeeded saga has no lease to claim; raising its epoch fences whoever claimed it before.
  sql.claim_one = fmt::format(
      "WITH claimed AS (UPDATE {sagas} s SET owner = $1::text, epoch = s.epoch + 1, "
      "lease_until = CASE WHEN s.state <> 'succeeded' THEN now() + $2::bigint * interval '1 microsecond' END "
      "WHERE s.{id} = $3::uuid AND {only} AND s.state IN ('running', 'succeeded', 'closing', 'compensating') "
      "AND CASE $4::text WHEN 'woken' THEN s.lease_until IS NULL AND s.wakes_at <= now() "
      "WHEN 'expired' THEN s.lease_until IS NULL OR s.lease_until < now() OR s.owner = $1::text ELSE true END "
      // One of a version that this process does not drive stays with the process that does.
      "AND EXISTS (SELECT FROM unnest($5::smallint[], $6::integer[]) AS known (version, steps) "
      "WHERE known.version = s.version AND s.step < known.steps) RETURNING s.{id}) {claimed}",
      fmt::arg("id", id), fmt::arg("sagas", sagas), fmt::arg("only", only), fmt::arg("claimed", claimed));
  sql.set_aside = fmt::format(
      "UPDATE {} SET needs_attention = true, lease_until = now() + $2::bigint * interval '1 microsecond' "
      "WHERE {} = ANY($1::uuid[]) AND owner = $3::text AND lease_until IS NOT NULL",
      t.sagas, t.id);
  // Answers the ids that are no longer ours; one that has come to rest meanwhile still is. A row that somebody else
  // locks is passed over, lest all others wait for it: it is being written, which extends its lease, or claimed.
  sql.renew = fmt::format(
      "WITH input AS MATERIALIZED (SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS i({id}, epoch)), "
      "held AS MATERIALIZED (SELECT s.{id} FROM {sagas} s JOIN input i ON s.{id} = i.{id} AND s.epoch = i.epoch "
      "WHERE s.{id} = ANY($1::uuid[]) AND s.lease_until IS NOT NULL ORDER BY s.{id} FOR UPDATE OF s SKIP LOCKED), "
      "renewed AS (UPDATE {sagas} s SET lease_until = now() + $3::bigint * interval '1 microsecond' FROM held "
      "WHERE s.{id} = held.{id}) SELECT {id} FROM input WHERE ({id}, epoch) NOT IN "
      "(SELECT s.{id}, s.epoch FROM {sagas} s WHERE s.{id} = ANY($1::uuid[]))",
      fmt::arg("id", id), fmt::arg("sagas", sagas));
  sql.acted_on = fmt::format(
      "DELETE FROM saga_signals g USING unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS i(saga_id, write_id, "
      "signal_id), "
      "{sagas} s WHERE s.{id} = i.saga_id AND s.{id} = ANY($1::uuid[]) AND s.write_id = i.write_id "
      "AND g.saga_id = s.{id} AND g.saga_id = ANY($1::uuid[]) AND g.id = i.signal_id",
      fmt::arg("id", id), fmt::arg("sagas", sagas));
  sql.said_already = fmt::format(
      "UPDATE {sagas} s SET lease_until = now() + $1::bigint * interval '1 microsecond' "
      "FROM unnest($2::uuid[], $3::bigint[]) AS i(id, write_id), saga_signals g "
      "WHERE s.{id} = i.id AND s.{id} = ANY($2::uuid[]) AND s.write_id = i.write_id "
      "AND g.saga_id = s.{id} AND g.saga_id = ANY($2::uuid[]) AND g.waits_for = ANY(string_to_array(s.waits_for, ' ')) "
      "AND NOT EXISTS (SELECT FROM saga_signals earlier WHERE earlier.saga_id = g.saga_id "
      "AND earlier.saga_id = ANY($2::uuid[]) AND earlier.id < g.id "
      "AND earlier.waits_for = ANY(string_to_array(s.waits_for, ' '))) "
      "RETURNING s.{id}, g.outcome, g.reason, g.detail, g.id, g.waits_for",
      fmt::arg("id", id), fmt::arg("sagas", sagas));
  sql.said_claimed = fmt::format(
      "SELECT s.{id}, g.outcome, g.reason, g.detail, g.id, g.waits_for FROM {sagas} s JOIN saga_signals g "
      "ON g.saga_id = s.{id} AND g.waits_for = ANY(string_to_array(s.waits_for, ' ')) "
      "WHERE s.{id} = ANY(current_setting('waybill.claimed')::uuid[]) ORDER BY g.id",
      fmt::arg("id", id), fmt::arg("sagas", sagas));
  sql.signal_lock = fmt::format(
      "SELECT {id}, state::text FROM {sagas} WHERE {id} = $1::uuid AND {only} AND version = ANY($2::smallint[]) "
      "FOR NO KEY UPDATE",
      fmt::arg("id", id), fmt::arg("sagas", sagas), fmt::arg("only", only));
  // What it waits for is kept whatever else is.
  sql.signal_keep = fmt::format(
      "WITH kept AS (INSERT INTO saga_signals (saga_id, waits_for, outcome, reason, detail) "
      "SELECT s.{id}, $2::text, $3::text, $4::text, $5::text FROM {sagas} s WHERE s.{id} = $1::uuid "
      "AND {only} AND s.version = ANY($7::smallint[]) "
      "AND s.state IN ('running', 'succeeded', 'closing', 'compensating') AND ($2::text = "
      "ANY(string_to_array(s.waits_for, ' ')) "
      "OR (SELECT count(*) FROM saga_signals WHERE saga_id = $1::uuid) < $6::integer) "
      "AND (NOT $8::boolean OR (s.lease_until IS NULL AND $2::text = ANY(string_to_array(s.waits_for, ' ')))) "
      "ON CONFLICT DO NOTHING RETURNING saga_id), "
      "audited AS ({deed}FROM kept WHERE $9::text IS NOT NULL) SELECT saga_id FROM kept",
      fmt::arg("id", id), fmt::arg("sagas", sagas), fmt::arg("only", only), fmt::arg("deed", InsertDeed(9)));
  // Said once more, it does not become younger.
  sql.signal_wake = fmt::format(
      "UPDATE {sagas} SET wakes_at = LEAST(wakes_at, now()) WHERE {id} = $1::uuid AND $2::text = "
      "ANY(string_to_array(waits_for, ' ')) "
      "AND {only} AND lease_until IS NULL AND EXISTS (SELECT FROM saga_signals WHERE saga_id = $1::uuid AND waits_for "
      "= $2::text) "
      "RETURNING {id}",
      fmt::arg("id", id), fmt::arg("sagas", sagas), fmt::arg("only", only));
  sql.signal_find = "SELECT saga_id FROM saga_signals WHERE saga_id = $1::uuid AND waits_for = $2::text";
  sql.release = fmt::format(
      "UPDATE {sagas} SET lease_until = now() WHERE {id} = ANY(ARRAY("
      "SELECT {id} FROM {sagas} WHERE {only} AND owner = $1::text AND due_at IS NOT NULL AND lease_until IS NOT NULL "
      "UNION ALL SELECT {id} FROM {sagas} WHERE {only} AND owner = $1::text AND {young})) "
      "AND lease_until IS NOT NULL AND owner = $1::text",
      fmt::arg("sagas", sagas), fmt::arg("id", id), fmt::arg("only", only), fmt::arg("young", IsYoung(t)));
  sql.postpone = fmt::format(
      "UPDATE {sagas} SET due_at = lease_until WHERE {id} = ANY(ARRAY(SELECT {id} FROM {sagas} WHERE {only} "
      "AND due_at <= now() AND (lease_until IS NULL OR lease_until > now()) LIMIT 1000 FOR UPDATE SKIP LOCKED))",
      fmt::arg("sagas", sagas), fmt::arg("id", id), fmt::arg("only", only));

  // What is done with the row of saga_marks, passing over it while another process does the same.
  const auto mark = [&](std::string_view when) {
    return fmt::format(
        "WITH m AS MATERIALIZED (SELECT *, waybill_id_at(now() - $1::bigint / 3 * interval '1 microsecond') AS cut, "
        "pg_snapshot_xmin(pg_current_snapshot()) > noted AS passed FROM saga_marks WHERE sagas = '{}' AND {} "
        "FOR UPDATE SKIP LOCKED)",
        sagas, when);
  };
  // Where there is nothing new nothing is written. A mark that lies in the future is of a clock that was set back
  // since: it may go back at any time, for all that is said of what is below it still is true.
  sql.note_next = fmt::format(
      "{m} UPDATE saga_marks s SET mark = LEAST(m.mark, m.cut), next = m.cut, noted = NULL, noted_at = now() FROM m "
      "WHERE s.sagas = m.sagas AND (m.mark > waybill_id_at(now()) "
      "OR EXISTS (SELECT FROM {sagas} WHERE {id} > (SELECT mark FROM m) AND {id} <= (SELECT cut FROM m)))",
      fmt::arg("m", mark("next = mark")), fmt::arg("sagas", sagas), fmt::arg("id", id));
  // A number that nobody has reached is another server's, out of a dump.
  sql.note_horizon =
      fmt::format("{} UPDATE saga_marks s SET noted = pg_current_xact_id() FROM m WHERE s.sagas = m.sagas",
                  mark("next > mark AND (noted IS NULL OR noted >= pg_snapshot_xmax(pg_current_snapshot()))"));
  // What somebody works on is passed over, and the mark stays: next time it has ended, or is given its due_at. A turn
  // looks at so many headers and no more, so that it ends in time however far there is to go; what was noted holds for
  // any part of the way. The mark stays also while a transaction of before the horizon is open, for however long; what
  // can be seen is swept then, too, round and round.
  sql.sweep = fmt::format(
      "{m}, headers AS MATERIALIZED (SELECT {id}, due_at IS NULL AND lease_until IS NOT NULL AS young FROM {sagas} "
      "WHERE {id} > (SELECT CASE WHEN passed THEN mark ELSE GREATEST(mark, swept_to) END FROM m) "
      "AND {id} <= (SELECT CASE WHEN passed THEN next ELSE GREATEST(next, cut) END FROM m) ORDER BY {id} LIMIT "
      "{turn}), "
      "looked AS MATERIALIZED (SELECT count(*) FILTER (WHERE young) AS young, CASE WHEN count(*) = {turn} "
      "THEN (SELECT {id} FROM headers ORDER BY {id} DESC LIMIT 1) END AS up_to FROM headers), "
      "held AS MATERIALIZED (SELECT {id} FROM {sagas} WHERE {id} = ANY(ARRAY(SELECT {id} FROM headers WHERE young)) "
      "AND due_at IS NULL AND lease_until IS NOT NULL FOR UPDATE SKIP LOCKED), "
      "given AS (UPDATE {sagas} SET due_at = lease_until WHERE {id} = ANY(ARRAY(SELECT {id} FROM held)) RETURNING "
      "{id}) "
      "UPDATE saga_marks s SET swept_at = now(), swept_to = CASE WHEN m.passed THEN NULL ELSE looked.up_to END, "
      "mark = CASE WHEN m.passed AND looked.young = (SELECT count(*) FROM given) "
      "THEN COALESCE(looked.up_to, m.next) ELSE m.mark END "
      "FROM m, looked WHERE s.sagas = m.sagas",
      fmt::arg("m", mark("next > mark AND noted IS NOT NULL AND (pg_snapshot_xmin(pg_current_snapshot()) > noted "
                         "OR swept_at NOT BETWEEN now() - $1::bigint / 3 * interval '1 microsecond' AND now())")),
      fmt::arg("sagas", sagas), fmt::arg("id", id), fmt::arg("turn", kSweptInATurn));
  // Nobody begins a young saga whose id is in the future: the clock was set back since, or is another server's, and the
  // sweep would come there only when this one has caught up.
  sql.sweep_ahead = fmt::format(
      "UPDATE {sagas} SET due_at = lease_until WHERE {id} = ANY(ARRAY(SELECT {id} FROM {sagas} WHERE "
      "{id} > (SELECT waybill_id_at(now() + $1::bigint / 3 * interval '1 microsecond')) AND due_at IS NULL "
      "AND lease_until IS NOT NULL ORDER BY {id} LIMIT 1000 FOR UPDATE SKIP LOCKED))",
      fmt::arg("sagas", sagas), fmt::arg("id", id));
  return sql;
}

}  // namespace waybill::storage
