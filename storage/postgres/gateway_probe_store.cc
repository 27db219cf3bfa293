#include "storage/postgres/gateway_probe_store.h"

#include <algorithm>

namespace waybill::storage {
namespace {

constexpr ProbeOutcome kProbeOutcomes[] = {ProbeOutcome::kHealthy, ProbeOutcome::kFailing, ProbeOutcome::kNoAnswer,
                                           ProbeOutcome::kLimited, ProbeOutcome::kNotServed};

// A newer version's outcome says nothing to this one.
ProbeOutcome ParseProbeOutcome(std::string_view text) {
  const auto* const found = std::find_if(std::begin(kProbeOutcomes), std::end(kProbeOutcomes),
                                         [&](ProbeOutcome outcome) { return ToString(outcome) == text; });
  return found == std::end(kProbeOutcomes) ? ProbeOutcome::kNoAnswer : *found;
}

constexpr char kReadProbes[] = R"sql(
SELECT gateway, holder, extract(epoch FROM next_at - clock_timestamp())::float8, outcome, min_response_ms, asked_at,
       extract(epoch FROM clock_timestamp() - asked_at)::float8
FROM gateway_probes ORDER BY gateway)sql";

// clock_timestamp(), and not the transaction's time: a claim may have waited for another one's row. In one order
// everywhere, so that two claims wait for each other in turn.
constexpr char kClaimProbes[] = R"sql(
INSERT INTO gateway_probes AS p (gateway, holder, claimed_at, next_at)
SELECT each.gateway, $2::text, clock_timestamp(), clock_timestamp() + $3::float8 * interval '1 second'
FROM unnest($1::text[]) AS each (gateway) ORDER BY each.gateway COLLATE "C"
ON CONFLICT (gateway) DO UPDATE SET epoch = p.epoch + 1, holder = EXCLUDED.holder, claimed_at = clock_timestamp(),
    next_at = clock_timestamp() + $3::float8 * interval '1 second'
WHERE p.next_at <= clock_timestamp()
RETURNING p.gateway, p.epoch)sql";

constexpr char kAnsweredProbe[] = R"sql(
UPDATE gateway_probes SET outcome = $3::text, min_response_ms = $4::integer, asked_at = claimed_at,
    next_at = clock_timestamp() + $5::float8 * interval '1 second'
WHERE gateway = $1::text AND epoch = $2::bigint)sql";

}  // namespace

absl::StatusOr<std::vector<GatewayProbe>> PostgresGatewayProbeStore::Probes() {
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> rows = (*connection)->Execute(kReadProbes, {});
  if (!rows.ok()) return rows.status();
  std::vector<GatewayProbe> probes;
  for (int row = 0; row < rows->size(); ++row) {
    GatewayProbe& probe = probes.emplace_back();
    probe.gateway = rows->Text(row, 0);
    probe.holder = rows->Text(row, 1);
    probe.due_in = absl::Seconds(rows->Double(row, 2));
    if (rows->IsNull(row, 3)) continue;
    probe.answer.emplace().outcome = ParseProbeOutcome(rows->Text(row, 3));
    if (!rows->IsNull(row, 4)) probe.answer->min_response = absl::Milliseconds(rows->Int(row, 4));
    probe.asked_at = rows->Time(row, 5);
    probe.age = absl::Seconds(rows->Double(row, 6));
  }
  return probes;
}

absl::StatusOr<std::vector<GatewayProbeStore::Claim>> PostgresGatewayProbeStore::ClaimProbes(
    const std::vector<std::string>& gateways, const std::string& holder, absl::Duration hold_for) {
  ArrayParam names(kOidText);
  for (const std::string& gateway : gateways) names.AddText(gateway);
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> rows =
      (*connection)
          ->Execute(kClaimProbes, {names, Param::Text(holder), Param::Double(absl::ToDoubleSeconds(hold_for))});
  if (!rows.ok()) return rows.status();
  std::vector<Claim> claims;
  for (int row = 0; row < rows->size(); ++row) {
    claims.push_back({std::string(rows->Text(row, 0)), rows->Int(row, 1)});
  }
  return claims;
}

absl::Status PostgresGatewayProbeStore::Answered(const Claim& claim, const ProbeAnswer& answer, absl::Duration pause) {
  const Param min_response = answer.min_response
                                 ? Param::Int4(static_cast<int32_t>(absl::ToInt64Milliseconds(*answer.min_response)))
                                 : Param::Null(kOidInt4);
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)
      ->Execute(kAnsweredProbe,
                {Param::Text(claim.gateway), Param::Int8(claim.epoch), Param::Text(ToString(answer.outcome)),
                 min_response, Param::Double(absl::ToDoubleSeconds(pause))})
      .status();
}

}  // namespace waybill::storage
