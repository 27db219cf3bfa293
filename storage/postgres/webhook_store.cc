#include "storage/postgres/webhook_store.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "storage/postgres/audit_log.h"

namespace waybill::storage {
namespace {

using DeliveryState = WebhookDelivery::State;

// Types have no blanks.
constexpr char kEndpointColumns[] =
    "e.endpoint_id, e.client, e.url, array_to_string(e.types, ' '), e.enabled, e.disabled_reason, e.failing_since, "
    "CASE WHEN e.previous_until > now() THEN e.previous_until END, e.created_at";

// $1 is the owner, or null; $2 the endpoint.
constexpr char kOwned[] = "e.endpoint_id = $2 AND ($1::text IS NULL OR e.client = $1) AND e.deleted_at IS NULL";

WebhookEndpoint DecodeEndpoint(const Rows& rows, int row) {
  WebhookEndpoint endpoint;
  endpoint.id = rows.Id(row, 0);
  endpoint.client = rows.Text(row, 1);
  endpoint.url = rows.Text(row, 2);
  const std::string_view types = rows.Text(row, 3);
  for (const absl::string_view type :
       absl::StrSplit(absl::string_view(types.data(), types.size()), ' ', absl::SkipEmpty())) {
    endpoint.types.emplace_back(type);
  }
  endpoint.enabled = rows.Bool(row, 4);
  endpoint.disabled_reason = rows.Text(row, 5);
  if (!rows.IsNull(row, 6)) endpoint.failing_since = rows.Time(row, 6);
  if (!rows.IsNull(row, 7)) endpoint.previous_until = rows.Time(row, 7);
  endpoint.created_at = rows.Time(row, 8);
  return endpoint;
}

std::string DeliveryColumns(std::string_view body) {
  return fmt::format(
      "d.endpoint_id, d.event_id, d.type, d.order_id, {}, d.created_at, d.state, d.attempts, d.next_at, d.last_at, "
      "d.last_code, d.last_answer, d.reason",
      body);
}

DeliveryState ParseState(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kDeliveryStates), std::end(kDeliveryStates),
                                         [&](DeliveryState state) { return Name(state) == name; });
  return found == std::end(kDeliveryStates) ? DeliveryState::kDead : *found;
}

WebhookDelivery DecodeDelivery(const Rows& rows, int row) {
  WebhookDelivery delivery;
  delivery.endpoint_id = rows.Id(row, 0);
  delivery.event_id = rows.Text(row, 1);
  delivery.type = rows.Text(row, 2);
  if (!rows.IsNull(row, 3)) delivery.order_id = rows.Id(row, 3);
  delivery.body = rows.Text(row, 4);
  delivery.created_at = rows.Time(row, 5);
  delivery.state = ParseState(rows.Text(row, 6));
  delivery.attempts = static_cast<int>(rows.Int(row, 7));
  delivery.next_at = rows.Time(row, 8);
  if (!rows.IsNull(row, 9)) delivery.last_at = rows.Time(row, 9);
  if (!rows.IsNull(row, 10)) delivery.last_code = static_cast<int>(rows.Int(row, 10));
  delivery.last_answer = rows.Text(row, 11);
  delivery.reason = rows.Text(row, 12);
  return delivery;
}

Param OwnerParam(const Owner& owner) { return owner ? Param::Text(*owner) : Param::Null(kOidText); }

ArrayParam TypesParam(const std::vector<std::string>& types) {
  ArrayParam array(kOidText);
  for (const std::string& type : types) array.AddText(type);
  return array;
}

absl::Status EndpointDisabled(const WebhookEndpoint& endpoint) {
  ErrorDetail detail;
  detail.metadata.emplace_back("why", endpoint.disabled_reason);
  return domain::ReasonError(
      "ENDPOINT_DISABLED", fmt::format("endpoint {} is disabled: {}", endpoint.id.ToString(), endpoint.disabled_reason),
      std::move(detail));
}

// What is due, of each endpoint for itself: one that is slow, or has much to be told, stands before nobody. Endpoints
// come in another order each time, so that none waits for ever where there is no room for all.
constexpr char kClaim[] =
    "WITH due AS MATERIALIZED ("
    "SELECT d.endpoint_id, d.event_id FROM "
    "(SELECT e.endpoint_id, $4::bigint - COALESCE(b.count, 0) AS room FROM webhook_endpoints e "
    "LEFT JOIN unnest($1::uuid[], $2::bigint[]) AS b (endpoint_id, count) ON b.endpoint_id = e.endpoint_id "
    "WHERE e.enabled AND COALESCE(b.count, 0) < $4::bigint ORDER BY random()) AS e "
    "CROSS JOIN LATERAL (SELECT w.endpoint_id, w.event_id FROM webhook_deliveries w "
    "WHERE w.endpoint_id = e.endpoint_id AND w.state = 'waiting' AND w.next_at <= now() "
    "ORDER BY w.next_at LIMIT e.room FOR UPDATE SKIP LOCKED) AS d LIMIT $3::bigint) "
    "UPDATE webhook_deliveries w SET epoch = w.epoch + 1, next_at = now() + $5::bigint * interval '1 microsecond' "
    "FROM due JOIN webhook_endpoints e ON e.endpoint_id = due.endpoint_id "
    "WHERE w.endpoint_id = due.endpoint_id AND w.event_id = due.event_id "
    "RETURNING w.endpoint_id, w.event_id, w.type, w.body, w.attempts, w.epoch, w.created_at, e.url, e.secret, "
    "CASE WHEN e.previous_until > now() THEN e.previous_secret END";

constexpr char kFinishDeliveries[] =
    "UPDATE webhook_deliveries d SET state = i.state, attempts = d.attempts + 1, last_at = now(), last_code = i.code, "
    "last_answer = i.answer, reason = i.reason, next_at = now() + i.pause * interval '1 microsecond' "
    "FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::integer[], $7::text[], "
    "$8::text[]) AS i (endpoint_id, event_id, epoch, state, pause, code, answer, reason) "
    "WHERE d.endpoint_id = i.endpoint_id AND d.event_id = i.event_id AND d.epoch = i.epoch AND d.state = 'waiting'";

// Rows that stay as they are, as nearly all do, are not written.
constexpr char kTellEndpoints[] =
    "UPDATE webhook_endpoints e SET failing_since = CASE WHEN i.succeeded THEN NULL "
    "ELSE COALESCE(e.failing_since, now()) END, "
    "enabled = NOT (i.gone OR COALESCE(NOT i.succeeded AND e.failing_since < now() - $4::bigint * interval '1 "
    "microsecond', false)), "
    "disabled_reason = CASE WHEN i.gone THEN $5::text WHEN NOT i.succeeded AND e.failing_since < now() - $4::bigint * "
    "interval '1 microsecond' THEN $6::text ELSE '' END "
    "FROM (SELECT * FROM unnest($1::uuid[], $7::text[], $2::boolean[], $3::boolean[]) "
    "AS i (endpoint_id, url, succeeded, gone) ORDER BY endpoint_id) AS i "
    "WHERE e.endpoint_id = i.endpoint_id AND e.url = i.url AND e.enabled AND (i.gone OR (i.succeeded AND "
    "e.failing_since IS NOT NULL) "
    "OR (NOT i.succeeded AND (e.failing_since IS NULL OR e.failing_since < now() - $4::bigint * interval '1 "
    "microsecond'))) "
    "RETURNING e.endpoint_id, e.client, e.enabled, e.disabled_reason";

}  // namespace

absl::StatusOr<Rows> PostgresWebhookStore::Execute(Pool& pool, const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

absl::StatusOr<WebhookEndpoint> PostgresWebhookStore::ExecuteForEndpoint(const Uuid& id, const std::string& sql,
                                                                         absl::Span<const Param> params) {
  absl::StatusOr<Rows> rows = Execute(writes_, sql, params);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return EndpointNotFound(id.ToString());
  return DecodeEndpoint(*rows, 0);
}

absl::StatusOr<bool> PostgresWebhookStore::AnyEndpoint() {
  absl::StatusOr<Rows> rows = Execute(writes_, "SELECT EXISTS (SELECT FROM webhook_endpoints WHERE enabled)", {});
  if (!rows.ok()) return rows.status();
  return rows->Bool(0, 0);
}

absl::Status PostgresWebhookStore::AddEndpoint(const WebhookEndpoint& endpoint, const std::string& secret,
                                               const domain::Deed& deed) {
  const ArrayParam types = TypesParam(endpoint.types);
  const DeedRow row(deed);
  std::vector<Param> params = {
      Param::Id(endpoint.id), Param::Text(endpoint.client),     Param::Text(endpoint.url), types,
      Param::Text(secret),    Param::Time(endpoint.created_at), Param::Int8(kEndpointsMax)};
  row.AddTo(params);
  // Two calls at once may both find room for the last one: the bound keeps the number small, and need not be exact.
  absl::StatusOr<Rows> rows =
      Execute(writes_,
              "WITH added AS (INSERT INTO webhook_endpoints (endpoint_id, client, url, types, secret, created_at) "
              "SELECT $1::uuid, $2::text, $3::text, $4::text[], $5::text, $6::timestamptz WHERE (SELECT count(*) FROM "
              "webhook_endpoints WHERE client = $2 AND deleted_at IS NULL) < $7::bigint RETURNING 1), audited AS (" +
                  InsertDeed(8) + "FROM added) SELECT 1 FROM added",
              params);
  if (!rows.ok()) return rows.status();
  if (!rows->empty()) return absl::OkStatus();
  return domain::ReasonError("ENDPOINTS_FULL", fmt::format("{} has {} endpoints", endpoint.client, kEndpointsMax));
}

absl::StatusOr<std::vector<WebhookEndpoint>> PostgresWebhookStore::ListEndpoints(const Owner& owner, const Uuid& after,
                                                                                 int limit) {
  absl::StatusOr<Rows> rows = Execute(
      reads_,
      fmt::format("SELECT {} FROM webhook_endpoints e WHERE ($1::text IS NULL OR e.client = $1) AND e.endpoint_id > $2 "
                  "AND e.deleted_at IS NULL ORDER BY e.endpoint_id LIMIT $3::bigint",
                  kEndpointColumns),
      {OwnerParam(owner), Param::Id(after), Param::Int8(limit)});
  if (!rows.ok()) return rows.status();
  std::vector<WebhookEndpoint> endpoints;
  for (int row = 0; row < rows->size(); ++row) endpoints.push_back(DecodeEndpoint(*rows, row));
  return endpoints;
}

absl::StatusOr<WebhookEndpoint> PostgresWebhookStore::GetEndpoint(const Owner& owner, const Uuid& id) {
  return ExecuteForEndpoint(id, fmt::format("SELECT {} FROM webhook_endpoints e WHERE {}", kEndpointColumns, kOwned),
                            {OwnerParam(owner), Param::Id(id)});
}

absl::StatusOr<WebhookEndpoint> PostgresWebhookStore::ChangeEndpoint(const Owner& owner, const Uuid& id,
                                                                     const Change& change, const domain::Deed& deed) {
  const ArrayParam types = TypesParam(change.types);
  const DeedRow row(deed);
  std::vector<Param> params = {OwnerParam(owner),
                               Param::Id(id),
                               change.url ? Param::Text(*change.url) : Param::Null(kOidText),
                               types,
                               change.enabled ? Param::Bool(*change.enabled) : Param::Null(kOidBool),
                               Param::Text(kDisabledByClient)};
  row.AddTo(params);
  // Enabled again, or elsewhere now, it begins anew.
  return ExecuteForEndpoint(
      id,
      fmt::format("WITH e AS (UPDATE webhook_endpoints e SET url = COALESCE($3::text, e.url), "
                  "types = CASE WHEN cardinality($4::text[]) > 0 THEN $4::text[] ELSE e.types END, "
                  "enabled = COALESCE($5::boolean, e.enabled), "
                  "disabled_reason = CASE WHEN $5::boolean THEN '' WHEN NOT $5::boolean AND e.enabled THEN $6::text "
                  "ELSE e.disabled_reason END, "
                  "failing_since = CASE WHEN $5::boolean OR $3::text <> e.url THEN NULL ELSE e.failing_since END "
                  "WHERE {} RETURNING e.*), audited AS ({}FROM e) SELECT {} FROM e",
                  kOwned, InsertDeed(7), kEndpointColumns),
      params);
}

absl::Status PostgresWebhookStore::DeleteEndpoint(const Owner& owner, const Uuid& id, const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params = {OwnerParam(owner), Param::Id(id)};
  row.AddTo(params);
  return ExecuteForEndpoint(
             id,
             fmt::format(
                 "WITH e AS (UPDATE webhook_endpoints e SET deleted_at = now(), enabled = false, "
                 "disabled_reason = 'deleted', url = '', secret = '', previous_secret = NULL, previous_until = NULL "
                 "WHERE {} RETURNING e.*), audited AS ({}FROM e) SELECT {} FROM e",
                 kOwned, InsertDeed(3), kEndpointColumns),
             params)
      .status();
}

absl::StatusOr<WebhookEndpoint> PostgresWebhookStore::RotateSecret(const Owner& owner, const Uuid& id,
                                                                   const std::string& secret, absl::Duration overlap,
                                                                   const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params = {OwnerParam(owner), Param::Id(id), Param::Text(secret),
                               Param::Int8(absl::ToInt64Microseconds(overlap))};
  row.AddTo(params);
  return ExecuteForEndpoint(
      id,
      fmt::format("WITH e AS (UPDATE webhook_endpoints e SET secret = $3::text, "
                  "previous_secret = CASE WHEN $4::bigint > 0 THEN e.secret END, "
                  "previous_until = CASE WHEN $4::bigint > 0 THEN now() + $4::bigint * interval '1 microsecond' END "
                  "WHERE {} RETURNING e.*), audited AS ({}FROM e) SELECT {} FROM e",
                  kOwned, InsertDeed(5), kEndpointColumns),
      params);
}

absl::StatusOr<std::vector<WebhookDelivery>> PostgresWebhookStore::ListDeliveries(const DeliveryQuery& query) {
  // States stand in the text, so that the index of those that are dead serves. Of each endpoint no more is read than a
  // page.
  const std::string state = query.state ? fmt::format(" AND w.state = '{}'", Name(*query.state)) : "";
  absl::StatusOr<Rows> rows = Execute(
      reads_,
      fmt::format("SELECT {} FROM webhook_endpoints e CROSS JOIN LATERAL (SELECT w.* FROM webhook_deliveries w "
                  "WHERE w.endpoint_id = e.endpoint_id{} AND (e.endpoint_id > $3::uuid OR w.event_id > $4::text) "
                  "ORDER BY w.event_id LIMIT $5::bigint) AS d "
                  "WHERE ($1::text IS NULL OR e.client = $1) AND ($2::uuid IS NULL OR e.endpoint_id = $2) "
                  "AND e.endpoint_id >= $3::uuid AND e.deleted_at IS NULL "
                  "ORDER BY d.endpoint_id, d.event_id LIMIT $5::bigint",
                  DeliveryColumns("''::text"), state),
      {OwnerParam(query.owner), query.endpoint_id ? Param::Id(*query.endpoint_id) : Param::Null(kOidUuid),
       Param::Id(query.after_endpoint), Param::Text(query.after_event), Param::Int8(query.limit)});
  if (!rows.ok()) return rows.status();
  std::vector<WebhookDelivery> deliveries;
  for (int row = 0; row < rows->size(); ++row) deliveries.push_back(DecodeDelivery(*rows, row));
  return deliveries;
}

absl::StatusOr<WebhookDelivery> PostgresWebhookStore::GetDelivery(const Owner& owner, const Uuid& endpoint_id,
                                                                  const std::string& event_id) {
  absl::StatusOr<Rows> rows =
      Execute(writes_,
              fmt::format("SELECT {} FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id) "
                          "WHERE {} AND d.event_id = $3::text",
                          DeliveryColumns("d.body"), kOwned),
              {OwnerParam(owner), Param::Id(endpoint_id), Param::Text(event_id)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return DeliveryNotFound(event_id);
  return DecodeDelivery(*rows, 0);
}

absl::Status PostgresWebhookStore::CheckEnabled(const Owner& owner, const Uuid& id) {
  absl::StatusOr<WebhookEndpoint> endpoint = GetEndpoint(owner, id);
  if (!endpoint.ok()) return endpoint.status();
  return endpoint->enabled ? absl::OkStatus() : EndpointDisabled(*endpoint);
}

absl::StatusOr<WebhookDelivery> PostgresWebhookStore::AddTest(const Owner& owner, const Uuid& endpoint_id,
                                                              const std::string& event_id, const std::string& type,
                                                              const std::string& body) {
  if (absl::Status status = CheckEnabled(owner, endpoint_id); !status.ok()) return status;
  absl::StatusOr<Rows> rows = Execute(
      writes_,
      fmt::format("WITH d AS (INSERT INTO webhook_deliveries (endpoint_id, event_id, type, body, created_at, next_at) "
                  "SELECT e.endpoint_id, $3::text, $4::text, $5::text, now(), now() FROM webhook_endpoints e WHERE {} "
                  "AND e.enabled RETURNING *) SELECT {} FROM d",
                  kOwned, DeliveryColumns("d.body")),
      {OwnerParam(owner), Param::Id(endpoint_id), Param::Text(event_id), Param::Text(type), Param::Text(body)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return EndpointNotFound(endpoint_id.ToString());
  return DecodeDelivery(*rows, 0);
}

absl::StatusOr<WebhookDelivery> PostgresWebhookStore::Replay(const Owner& owner, const Uuid& endpoint_id,
                                                             const std::string& event_id) {
  if (absl::Status status = CheckEnabled(owner, endpoint_id); !status.ok()) return status;
  absl::StatusOr<Rows> rows = Execute(
      writes_,
      fmt::format("WITH d AS (UPDATE webhook_deliveries d SET state = 'waiting', attempts = 0, reason = '', "
                  "epoch = d.epoch + 1, next_at = now() "
                  "FROM webhook_endpoints e WHERE d.endpoint_id = e.endpoint_id AND {} AND d.event_id = $3::text "
                  "RETURNING d.*) SELECT {} FROM d",
                  kOwned, DeliveryColumns("d.body")),
      {OwnerParam(owner), Param::Id(endpoint_id), Param::Text(event_id)});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return DeliveryNotFound(event_id);
  return DecodeDelivery(*rows, 0);
}

absl::StatusOr<int64_t> PostgresWebhookStore::ReplayDead(const Owner& owner, const Uuid& endpoint_id,
                                                         absl::Duration apart) {
  if (absl::Status status = CheckEnabled(owner, endpoint_id); !status.ok()) return status;
  absl::StatusOr<Rows> rows =
      Execute(writes_,
              "WITH dead AS MATERIALIZED (SELECT endpoint_id, event_id FROM webhook_deliveries WHERE endpoint_id = "
              "$1::uuid AND "
              "state = 'dead' ORDER BY event_id LIMIT $2::bigint FOR UPDATE), "
              "numbered AS (SELECT *, row_number() OVER (ORDER BY event_id) - 1 AS n FROM dead) "
              "UPDATE webhook_deliveries d SET state = 'waiting', attempts = 0, reason = '', epoch = d.epoch + 1, "
              "next_at = now() + n * $3::bigint * interval '1 microsecond' FROM numbered "
              "WHERE d.endpoint_id = numbered.endpoint_id AND d.event_id = numbered.event_id",
              {Param::Id(endpoint_id), Param::Int8(kDeliveriesChanged), Param::Int8(absl::ToInt64Microseconds(apart))});
  if (!rows.ok()) return rows.status();
  return rows->affected();
}

absl::StatusOr<WebhookDelivery> PostgresWebhookStore::Discard(const Owner& owner, const Uuid& endpoint_id,
                                                              const std::string& event_id, const std::string& reason) {
  absl::StatusOr<Rows> rows = Execute(
      writes_,
      fmt::format("WITH d AS (UPDATE webhook_deliveries d SET state = 'discarded', reason = $4::text, "
                  "epoch = d.epoch + 1 FROM webhook_endpoints e WHERE d.endpoint_id = e.endpoint_id AND {} "
                  "AND d.event_id = $3::text AND d.state IN ('waiting', 'dead') RETURNING d.*) SELECT {} FROM d",
                  kOwned, DeliveryColumns("d.body")),
      {OwnerParam(owner), Param::Id(endpoint_id), Param::Text(event_id), Param::Text(reason)});
  if (!rows.ok()) return rows.status();
  if (!rows->empty()) return DecodeDelivery(*rows, 0);
  absl::StatusOr<WebhookDelivery> there = GetDelivery(owner, endpoint_id, event_id);
  if (!there.ok()) return there.status();
  return domain::ReasonError("DELIVERY_OVER", fmt::format("{} is {}", event_id, Name(there->state)));
}

absl::StatusOr<std::vector<ClaimedDelivery>> PostgresWebhookStore::Claim(const std::vector<Busy>& busy, int each,
                                                                         int limit, absl::Duration lease) {
  ArrayParam ids(kOidUuid), counts(kOidInt8);
  for (const Busy& endpoint : busy) {
    ids.AddId(endpoint.endpoint_id);
    counts.AddInt(endpoint.count);
  }
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  constexpr char kName[] = "webhooks.claim";
  if (absl::Status prepared = (*connection)->Prepare(kName, kClaim); !prepared.ok()) return prepared;
  absl::StatusOr<Rows> rows = (*connection)
                                  ->ExecutePrepared(kName, {ids, counts, Param::Int8(limit), Param::Int8(each),
                                                            Param::Int8(absl::ToInt64Microseconds(lease))});
  if (!rows.ok()) return rows.status();
  std::vector<ClaimedDelivery> claimed;
  for (int row = 0; row < rows->size(); ++row) {
    ClaimedDelivery& delivery = claimed.emplace_back();
    delivery.endpoint_id = rows->Id(row, 0);
    delivery.event_id = rows->Text(row, 1);
    delivery.type = rows->Text(row, 2);
    delivery.body = rows->Text(row, 3);
    delivery.attempts = static_cast<int>(rows->Int(row, 4));
    delivery.epoch = rows->Int(row, 5);
    delivery.created_at = rows->Time(row, 6);
    delivery.url = rows->Text(row, 7);
    delivery.secrets.emplace_back(rows->Text(row, 8));
    if (!rows->IsNull(row, 9)) delivery.secrets.emplace_back(rows->Text(row, 9));
  }
  if (!claimed.empty()) {
    WAYBILL_FAILPOINT("webhook.after_claim");
  }
  return claimed;
}

absl::StatusOr<std::vector<DisabledEndpoint>> PostgresWebhookStore::Finish(const std::vector<DeliveryResult>& results,
                                                                           absl::Duration failing_max) {
  std::vector<DisabledEndpoint> disabled;
  if (results.empty()) return disabled;
  // In one order, so that two processes do not wait for each other.
  std::vector<const DeliveryResult*> sorted;
  for (const DeliveryResult& result : results) sorted.push_back(&result);
  std::sort(sorted.begin(), sorted.end(), [](const DeliveryResult* a, const DeliveryResult* b) {
    return std::pair(a->endpoint_id, std::string_view(a->event_id)) <
           std::pair(b->endpoint_id, std::string_view(b->event_id));
  });
  ArrayParam endpoints(kOidUuid), events(kOidText), epochs(kOidInt8), states(kOidText), pauses(kOidInt8),
      codes(kOidInt4), answers(kOidText), reasons(kOidText);
  struct Told {
    bool succeeded = false, gone = false;
  };
  std::map<std::pair<Uuid, std::string>, Told> told;  // by endpoint and URL
  for (const DeliveryResult* result : sorted) {
    endpoints.AddId(result->endpoint_id);
    events.AddText(result->event_id);
    epochs.AddInt(result->epoch);
    states.AddText(Name(result->state));
    pauses.AddInt(absl::ToInt64Microseconds(result->pause));
    codes.AddInt(result->code ? std::optional<int64_t>(*result->code) : std::nullopt);
    answers.AddText(result->answer);
    reasons.AddText(result->reason);
    Told& endpoint = told[{result->endpoint_id, result->url}];
    endpoint.succeeded = endpoint.succeeded || result->state == DeliveryState::kDelivered;
    endpoint.gone = endpoint.gone || result->endpoint_gone;
  }
  ArrayParam ids(kOidUuid), urls(kOidText), succeeded(kOidBool), gone(kOidBool);
  for (const auto& [at, endpoint] : told) {
    ids.AddId(at.first);
    urls.AddText(at.second);
    succeeded.AddBool(endpoint.succeeded);
    gone.AddBool(endpoint.gone);
  }
  absl::StatusOr<Pool::Lease> connection = writes_.Acquire();
  if (!connection.ok()) return connection.status();
  constexpr char kFinishName[] = "webhooks.finish", kTellName[] = "webhooks.tell";
  if (absl::Status prepared = (*connection)->Prepare(kFinishName, kFinishDeliveries); !prepared.ok()) return prepared;
  if (absl::Status prepared = (*connection)->Prepare(kTellName, kTellEndpoints); !prepared.ok()) return prepared;
  const std::vector<Param> finish = {endpoints, events, epochs, states, pauses, codes, answers, reasons};
  const std::vector<Param> tell = {ids,
                                   succeeded,
                                   gone,
                                   Param::Int8(absl::ToInt64Microseconds(failing_max)),
                                   Param::Text(kDisabledGone),
                                   Param::Text(kDisabledFailing),
                                   urls};
  WAYBILL_FAILPOINT("webhook.before_finish");
  absl::StatusOr<std::vector<Rows>> rows = (*connection)->Pipeline({{kFinishName, finish}, {kTellName, tell}});
  if (!rows.ok()) return rows.status();
  WAYBILL_FAILPOINT("webhook.after_finish");
  const Rows& changed = (*rows)[1];
  for (int row = 0; row < changed.size(); ++row) {
    if (changed.Bool(row, 2)) continue;
    disabled.push_back({changed.Id(row, 0), std::string(changed.Text(row, 1)), std::string(changed.Text(row, 3))});
  }
  return disabled;
}

absl::StatusOr<int64_t> PostgresWebhookStore::Bury() {
  absl::StatusOr<Rows> rows = Execute(
      writes_,
      "WITH waiting AS MATERIALIZED (SELECT d.endpoint_id, d.event_id, e.disabled_reason AS why, e.deleted_at "
      "FROM webhook_endpoints e JOIN webhook_deliveries d ON d.endpoint_id = e.endpoint_id AND d.state = 'waiting' "
      "WHERE NOT e.enabled LIMIT $1::bigint FOR UPDATE OF d SKIP LOCKED) "
      "UPDATE webhook_deliveries d SET state = CASE WHEN waiting.deleted_at IS NULL THEN 'dead' ELSE 'discarded' END, "
      "reason = 'the endpoint is disabled: ' || waiting.why, epoch = d.epoch + 1 FROM waiting "
      "WHERE d.endpoint_id = waiting.endpoint_id AND d.event_id = waiting.event_id",
      {Param::Int8(kDeliveriesChanged)});
  if (!rows.ok()) return rows.status();
  return rows->affected();
}

absl::StatusOr<int64_t> PostgresWebhookStore::Forget(absl::Duration age) {
  absl::StatusOr<Rows> rows =
      Execute(writes_,
              "WITH gone AS (DELETE FROM webhook_endpoints e "
              "WHERE e.deleted_at < now() - $1::bigint * interval '1 microsecond' "
              "AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.endpoint_id)), "
              "old AS MATERIALIZED (SELECT endpoint_id, event_id FROM webhook_deliveries "
              "WHERE created_at < now() - $1::bigint * interval '1 microsecond' AND state <> 'waiting' "
              "LIMIT $2::bigint FOR UPDATE SKIP LOCKED) "
              "DELETE FROM webhook_deliveries d USING old "
              "WHERE d.endpoint_id = old.endpoint_id AND d.event_id = old.event_id",
              {Param::Int8(absl::ToInt64Microseconds(age)), Param::Int8(kDeliveriesChanged)});
  if (!rows.ok()) return rows.status();
  return rows->affected();
}

absl::StatusOr<WebhookStats> PostgresWebhookStore::Count() {
  absl::StatusOr<Rows> rows = Execute(
      reads_,
      fmt::format("SELECT (SELECT count(*) FROM webhook_endpoints WHERE enabled), "
                  "(SELECT count(*) FROM webhook_endpoints WHERE NOT enabled AND deleted_at IS NULL AND "
                  "disabled_reason <> '{}'), "
                  "(SELECT count(*) FROM webhook_deliveries WHERE state = 'waiting'), "
                  "(SELECT count(*) FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id) WHERE "
                  "d.state = 'dead' AND e.deleted_at IS NULL), "
                  "COALESCE((SELECT (extract(epoch FROM now() - min(d.next_at)) * 1000000)::bigint "
                  "FROM webhook_deliveries d JOIN webhook_endpoints e USING (endpoint_id) "
                  "WHERE d.state = 'waiting' AND e.enabled), 0)",
                  kDisabledByClient),
      {});
  if (!rows.ok()) return rows.status();
  WebhookStats stats;
  stats.endpoints = rows->Int(0, 0);
  stats.disabled = rows->Int(0, 1);
  stats.waiting = rows->Int(0, 2);
  stats.dead = rows->Int(0, 3);
  stats.overdue = std::max(absl::ZeroDuration(), absl::Microseconds(rows->Int(0, 4)));
  return stats;
}

}  // namespace waybill::storage
