#include "storage/postgres/risk_store.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/failpoint.h"
#include "storage/postgres/params.h"
#include "storage/postgres/saga_rows.h"

namespace waybill::storage {
namespace {

using risk::Facts;
using risk::History;
using risk::Questions;
using risk::Trait;

// Of each trait a lock of its own: the same for all that share it, and for hardly anybody else.
constexpr char kLock[] = R"sql(
SELECT pg_advisory_xact_lock(sorted.key) FROM (
    SELECT DISTINCT hashtextextended(concat_ws(E'\n', 'waybill.risk', $1::text, trait.name, trait.value), 0) AS key
    FROM unnest($2::text[], $3::text[]) AS trait (name, value) ORDER BY key) AS sorted)sql";

std::string_view ColumnOf(Trait trait) {
  constexpr std::string_view kColumns[] = {"user_id", "card", "device", "address"};
  return kColumns[static_cast<size_t>(trait)];
}
int ParamOf(Trait trait) { return 2 + static_cast<int>(trait); }  // $2 to $5; $1 is the client

// A text for each trait, `one` with {column} and {param}, and `between` them.
std::string EachTrait(std::string_view one, std::string_view between) {
  std::string text;
  for (const Trait trait : risk::kTraits) {
    if (!text.empty()) text += between;
    text += fmt::format(fmt::runtime(one), fmt::arg("name", risk::Name(trait)), fmt::arg("column", ColumnOf(trait)),
                        fmt::arg("param", fmt::format("${}::text", ParamOf(trait))),
                        fmt::arg("number", static_cast<int>(trait)));
  }
  return text;
}

// $6: the moment; null: now, but later than everything that is known of these traits, so that a clock that was set back
// hides nothing. $7 to $10, $14: the windows. $11, $12: whether the first sight, and the last position by each trait,
// of the kind $13, is asked for.
//
// The first row is the moment and those; the others are the windows. A branch whose trait is not asked for is not
// entered.
const std::string& ReadHistory() {
  static const std::string& sql = *new std::string(
      "WITH moment AS MATERIALIZED (SELECT COALESCE($6::timestamptz, greatest(clock_timestamp(), " +
      EachTrait("(SELECT max(a.at) + interval '1 microsecond' FROM risk_assessments a "
                "WHERE a.client = $1::text AND a.{column} = {param})",
                ", ") +
      ")) AS at) "
      "SELECT 0 AS number, 0::bigint AS orders, 0::bigint AS amount_minor, m.at, "
      "CASE WHEN $11::bool THEN (SELECT a.at FROM risk_assessments a WHERE a.client = $1 AND a.user_id = $2 "
      "AND a.kind = $13::text AND a.at < m.at ORDER BY a.at LIMIT 1) END AS first_seen" +
      EachTrait(", last_{name}.at, last_{name}.position_lat, last_{name}.position_long", "") + " FROM moment m" +
      EachTrait(" LEFT JOIN LATERAL (SELECT a.at, a.position_lat, a.position_long FROM risk_assessments a "
                "WHERE ($12::bool[])[{number} + 1] AND a.client = $1 AND a.{column} = {param} AND a.at < m.at "
                "AND a.kind = $13 AND a.position_lat IS NOT NULL ORDER BY a.at DESC LIMIT 1) AS last_{name} ON true",
                "") +
      // From the window's open end, which is out, up to the moment: what is there was before it.
      " UNION ALL SELECT w.number::integer, s.orders, s.amount_minor, NULL, NULL" +
      EachTrait(", NULL, NULL, NULL", "") +
      " FROM moment m, unnest($7::text[], $8::bigint[], $9::text[], $10::bool[], $14::text[]) "
      "WITH ORDINALITY AS w (trait, within_us, currency, declined, kinds, number) CROSS JOIN LATERAL ("
      "SELECT count(*) AS orders, least(COALESCE(sum(f.amount_minor), 0), 9223372036854775807)::bigint AS amount_minor "
      "FROM (" +
      EachTrait(
          "SELECT a.order_id, a.kind, a.currency, a.amount_minor FROM risk_assessments a WHERE w.trait = '{name}' "
          "AND a.client = $1 AND a.{column} = {param} "
          "AND a.at > m.at - w.within_us * interval '1 microsecond' AND a.at < m.at",
          " UNION ALL ") +
      ") AS f WHERE (w.currency = '' OR f.currency = w.currency) AND f.kind = ANY (string_to_array(w.kinds, ',')) "
      // A decline is its order's end; one that came later than the moment was not known.
      "AND (NOT w.declined OR CASE f.kind WHEN 'order' THEN EXISTS (SELECT 1 FROM order_sagas o "
      "WHERE o.order_id = f.order_id AND o.failure_reason = 'PAYMENT_DECLINED' "
      "AND ($6::timestamptz IS NULL OR o.updated_at <= m.at)) ELSE EXISTS (SELECT 1 FROM sagas p "
      "WHERE p.saga_id = f.order_id AND p.failure_reason = 'PAYMENT_DECLINED' "
      "AND ($6::timestamptz IS NULL OR p.updated_at <= m.at)) END)) AS s "
      "ORDER BY number");
  return sql;
}

constexpr std::string_view kColumns =
    "order_id, client, user_id, card, device, address, amount_minor, currency, position_lat, position_long, "
    "account_at, "
    "at, rules_version, decision, score, rule, shadow_decision, shadow_score, shadow_rule, reasons, review_until, "
    "after_review, kind";
constexpr int kColumnCount = 23;

constexpr std::string_view kInsert =
    "INSERT INTO risk_assessments ({}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, "
    "$17, "
    "$18, $19, $20::text::jsonb, $21, $22, $23) ON CONFLICT (order_id) DO NOTHING";

Param OptionalText(const std::string& text) { return text.empty() ? Param::Null(kOidText) : Param::Text(text); }

std::string EncodeReasons(const std::vector<risk::Reason>& reasons) {
  nlohmann::json all = nlohmann::json::array();
  for (const risk::Reason& reason : reasons) {
    nlohmann::json one = {{"rule", reason.rule}, {"score", reason.score}, {"detail", reason.detail}};
    if (reason.decides) one["decides"] = risk::Name(*reason.decides);
    if (reason.shadow) one["shadow"] = true;
    all.push_back(std::move(one));
  }
  return all.dump();
}

// nullopt: it is not what this version writes.
std::optional<std::vector<risk::Reason>> DecodeReasons(std::string_view text) {
  const nlohmann::json all = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!all.is_array()) return std::nullopt;
  std::vector<risk::Reason> reasons;
  for (const nlohmann::json& one : all) {
    if (!one.is_object()) return std::nullopt;
    const auto text_of = [&](const char* field) {
      const auto found = one.find(field);
      return found != one.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    risk::Reason& reason = reasons.emplace_back();
    reason.rule = text_of("rule");
    reason.detail = text_of("detail");
    reason.decides = risk::ParseDecision(text_of("decides"));
    if (const auto score = one.find("score"); score != one.end() && score->is_number_integer()) {
      reason.score = score->get<int>();
    }
    if (const auto shadow = one.find("shadow"); shadow != one.end()) reason.shadow = *shadow == true;
  }
  return reasons;
}

absl::StatusOr<RiskAssessment> Decode(const Rows& rows, int at) {
  RowReader row(rows, at);
  RiskAssessment kept;
  kept.order_id = rows.Id(at, 0);
  kept.facts.client = row.Text(1);
  for (const Trait trait : risk::kTraits) kept.facts.Of(trait) = row.Text(2 + static_cast<int>(trait));
  kept.facts.amount_minor = row.IntFrom(1, 6, "amount_minor");
  kept.facts.currency = row.Text(7);
  if (!row.IsNull(8)) {
    kept.facts.position = domain::GeoPoint{row.Double(8, "position_lat"), row.Double(9, "position_long")};
  }
  if (!row.IsNull(10)) kept.facts.account = row.Time(10, "account_at");
  kept.at = row.Time(11, "at");
  const auto decision = [&](int column, std::string_view name) {
    const std::optional<risk::Decision> known = risk::ParseDecision(row.Text(column));
    if (!known) row.Refuse(name, fmt::format("is '{}'", row.Text(column)));
    return known.value_or(risk::Decision::kDeny);
  };
  kept.assessment.version = row.Text(12);
  kept.assessment.verdict = {decision(13, "decision"), static_cast<int>(row.Int(14, "score")), row.Text(15)};
  kept.assessment.shadow = {decision(16, "shadow_decision"), static_cast<int>(row.Int(17, "shadow_score")),
                            row.Text(18)};
  std::optional<std::vector<risk::Reason>> reasons = DecodeReasons(row.Json(19, "reasons"));
  if (!reasons) row.Refuse("reasons", "is no list of reasons");
  kept.assessment.reasons = std::move(reasons).value_or(std::vector<risk::Reason>());
  if (!row.IsNull(20)) kept.review_until = row.Time(20, "review_until");
  if (!row.IsNull(21)) kept.after_review = decision(21, "after_review");
  const std::optional<risk::Subject> subject = risk::ParseSubject(row.Text(22));
  if (!subject) row.Refuse("kind", fmt::format("is '{}'", row.Text(22)));
  kept.facts.subject = subject.value_or(risk::Subject::kOrder);
  if (!row.status().ok()) return row.status();
  return kept;
}

// What was said of the past at a moment.
struct AsOf {
  absl::Time at;
  History history;
};

absl::StatusOr<AsOf> Read(Connection& connection, const Facts& facts, const Questions& questions,
                          std::optional<absl::Time> at) {
  ArrayParam by(kOidText), within(kOidInt8), currencies(kOidText), declined(kOidBool), previous(kOidBool),
      kinds(kOidText);
  for (const risk::Window& window : questions.windows) {
    by.AddText(risk::Name(window.by));
    within.AddInt(absl::ToInt64Microseconds(window.within));
    currencies.AddText(window.currency);
    declined.AddBool(window.declined);
    std::string of;
    for (const risk::Subject subject : window.of) of += fmt::format("{}{}", of.empty() ? "" : ",", risk::Name(subject));
    kinds.AddText(of);
  }
  for (const bool asked : questions.previous) previous.AddBool(asked);
  std::vector<Param> params = {Param::Text(facts.client)};
  for (const Trait trait : risk::kTraits) params.push_back(OptionalText(facts.Of(trait)));
  params.push_back(at ? Param::Time(*at) : Param::Null(kOidTimestamptz));
  params.insert(params.end(), {by, within, currencies, declined, Param::Bool(questions.first_seen), previous,
                               Param::Text(risk::Name(facts.subject)), kinds});
  absl::StatusOr<Rows> rows = connection.Execute(ReadHistory(), params);
  if (!rows.ok()) return rows.status();
  AsOf as_of;
  as_of.at = rows->Time(0, 3);
  if (!rows->IsNull(0, 4)) as_of.history.first_seen = rows->Time(0, 4);
  for (const Trait trait : risk::kTraits) {
    const int column = 5 + 3 * static_cast<int>(trait);
    if (rows->IsNull(0, column)) continue;
    as_of.history.previous[static_cast<size_t>(trait)] =
        risk::Sighting{rows->Time(0, column), {rows->Double(0, column + 1), rows->Double(0, column + 2)}};
  }
  for (int row = 1; row < rows->size(); ++row) as_of.history.windows.push_back({rows->Int(row, 1), rows->Int(row, 2)});
  return as_of;
}

}  // namespace

ConnectionOptions RiskConnectionOptions() {
  ConnectionOptions options = WriteConnectionOptions();
  options.statement_timeout = absl::Seconds(1);
  return options;
}

absl::StatusOr<RiskStore::Assessed> PostgresRiskStore::FindOn(Connection& connection, const Uuid& order_id) {
  absl::StatusOr<Rows> rows = connection.Execute(
      fmt::format(
          "SELECT {}, COALESCE(review_until <= clock_timestamp(), false) FROM risk_assessments WHERE order_id = $1",
          kColumns),
      {Param::Id(order_id)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return domain::ReasonError("ORDER_NOT_FOUND", "it was not assessed");
  absl::StatusOr<RiskAssessment> kept = Decode(*rows, 0);
  if (!kept.ok()) return kept.status();
  return Assessed{*std::move(kept), false, rows->Bool(0, kColumnCount)};
}

absl::StatusOr<std::optional<RiskAssessment>> PostgresRiskStore::AssessLocked(Connection& connection,
                                                                              const Uuid& order_id, const Facts& facts,
                                                                              const risk::Rules& rules) {
  ArrayParam names(kOidText), values(kOidText);
  for (const Trait trait : risk::kTraits) {
    if (facts.Of(trait).empty()) continue;
    names.AddText(risk::Name(trait, facts.subject));
    values.AddText(facts.Of(trait));
  }
  if (absl::Status locked = connection.Execute(kLock, {Param::Text(facts.client), names, values}).status();
      !locked.ok()) {
    return locked;
  }
  // A statement of its own: what it reads is as of now, when nobody else of these traits is being assessed.
  absl::StatusOr<AsOf> as_of = Read(connection, facts, risk::QuestionsOf(rules, facts), std::nullopt);
  if (!as_of.ok()) return as_of.status();
  RiskAssessment kept{order_id,     facts,
                      as_of->at,    risk::Assess(rules, facts, as_of->history, as_of->at),
                      std::nullopt, rules.after_review};
  const risk::Assessment& said = kept.assessment;
  const bool review = said.verdict.decision == risk::Decision::kReview;
  if (review) kept.review_until = kept.at + rules.review_for;
  const std::string reasons = EncodeReasons(said.reasons);
  std::vector<Param> params = {Param::Id(order_id), Param::Text(facts.client)};
  for (const Trait trait : risk::kTraits) params.push_back(OptionalText(facts.Of(trait)));
  const auto number = [](std::optional<double> value) {
    return value ? Param::Double(*value) : Param::Null(kOidFloat8);
  };
  params.insert(params.end(), {Param::Int8(facts.amount_minor), Param::Text(facts.currency),
                               number(facts.position ? std::optional(facts.position->latitude) : std::nullopt),
                               number(facts.position ? std::optional(facts.position->longitude) : std::nullopt),
                               facts.account ? Param::Time(*facts.account) : Param::Null(kOidTimestamptz),
                               Param::Time(kept.at), Param::Text(said.version),
                               Param::Text(risk::Name(said.verdict.decision)), Param::Int4(said.verdict.score),
                               OptionalText(said.verdict.rule), Param::Text(risk::Name(said.shadow.decision)),
                               Param::Int4(said.shadow.score), OptionalText(said.shadow.rule), Param::Text(reasons),
                               review ? Param::Time(*kept.review_until) : Param::Null(kOidTimestamptz),
                               review ? Param::Text(risk::Name(rules.after_review)) : Param::Null(kOidText),
                               Param::Text(risk::Name(facts.subject))});
  absl::StatusOr<Rows> inserted = connection.Execute(fmt::format(kInsert, kColumns), params);
  if (!inserted.ok()) return inserted.status();
  if (inserted->affected() == 0) return std::nullopt;
  return kept;
}

absl::StatusOr<RiskStore::Assessed> PostgresRiskStore::Assess(const Uuid& order_id, const Facts& facts,
                                                              const risk::Rules& rules) {
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  if (absl::Status begun = (*connection)->Execute("BEGIN").status(); !begun.ok()) return begun;
  absl::StatusOr<std::optional<RiskAssessment>> kept = AssessLocked(**connection, order_id, facts, rules);
  const bool wrote = kept.ok() && kept->has_value();
  WAYBILL_FAILPOINT("risk.before_commit");
  absl::Status ended = (*connection)->Execute(wrote ? "COMMIT" : "ROLLBACK").status();
  if (!kept.ok()) return kept.status();
  if (!wrote) return FindOn(**connection, order_id);
  if (!ended.ok()) return ended;
  WAYBILL_FAILPOINT("risk.after_commit");
  return Assessed{**std::move(kept), true, false};
}

absl::StatusOr<RiskStore::Assessed> PostgresRiskStore::Find(const Uuid& order_id) {
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  return FindOn(**connection, order_id);
}

absl::StatusOr<History> PostgresRiskStore::HistoryAt(const Facts& facts, const Questions& questions, absl::Time at) {
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<AsOf> as_of = Read(**connection, facts, questions, at);
  if (!as_of.ok()) return as_of.status();
  return std::move(as_of->history);
}

absl::StatusOr<std::vector<RiskAssessment>> PostgresRiskStore::List(const RiskQuery& query) {
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> rows = (*connection)
                                  ->Execute(fmt::format("SELECT {} FROM risk_assessments WHERE at >= $1 AND at < $2 "
                                                        "AND ($3::uuid IS NULL OR (at, order_id) > ($1, $3)) "
                                                        "ORDER BY at, order_id LIMIT $4",
                                                        kColumns),
                                            {Param::Time(query.from), Param::Time(query.to),
                                             query.after ? Param::Id(*query.after) : Param::Null(kOidUuid),
                                             Param::Int8(static_cast<int64_t>(query.limit))});
  if (!rows.ok()) return rows.status();
  std::vector<RiskAssessment> all;
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<RiskAssessment> kept = Decode(*rows, row);
    if (!kept.ok()) return kept.status();
    all.push_back(*std::move(kept));
  }
  return all;
}

}  // namespace waybill::storage
