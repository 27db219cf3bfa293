#include "storage/postgres/webhook_inbox.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "storage/postgres/saga_rows.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

// In the order of the key, so that two writers with the same events wait for each other one way only.
constexpr char kKeepEvents[] =
    "INSERT INTO webhook_inbox (gateway, event_id, event_type, payment_key, payment_token, amount_minor, currency, "
    "body, "
    "state, reason, due_at, settled_at) "
    "SELECT i.gateway, i.event_id, i.event_type, i.payment_key, i.payment_token, i.amount_minor, i.currency, i.body, "
    "i.state, i.reason, CASE WHEN i.state = 'new' THEN now() + $1::bigint * interval '1 microsecond' END, "
    "CASE WHEN i.state <> 'new' THEN now() END "
    "FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::bytea[], "
    "$10::text[], $11::text[]) AS i (gateway, event_id, event_type, payment_key, payment_token, amount_minor, "
    "currency, "
    "body, state, reason) ORDER BY i.gateway COLLATE \"C\", i.event_id COLLATE \"C\" "
    "ON CONFLICT (gateway, event_id) DO NOTHING RETURNING gateway, event_id";

constexpr char kClaimEvents[] =
    "UPDATE webhook_inbox w SET due_at = now() + $2::bigint * interval '1 microsecond', attempts = w.attempts + 1 "
    "FROM (SELECT gateway, event_id FROM webhook_inbox WHERE due_at <= now() ORDER BY due_at LIMIT $1::integer "
    "FOR UPDATE SKIP LOCKED) d WHERE w.gateway = d.gateway AND w.event_id = d.event_id AND w.due_at IS NOT NULL "
    "RETURNING w.gateway, w.event_id, w.event_type, w.payment_key, w.payment_token, w.amount_minor, w.currency, "
    "w.attempts, (extract(epoch FROM now() - w.received_at) * 1000)::bigint";

// A routed order waits for the gateway of its last attempt, and for no other's token; any other order for the only
// gateway. Of a token that two orders have, the younger counts: a gateway names each payment by itself. One that waits
// comes before one whose gateway gave it that token and has decided: many a gateway says more of a payment than that it
// was paid, and names it by its token alone. An attempt keeps its token; of one that was decided before it did, only
// its order has it, and of an order that went on to another gateway it is not known whose that was. A payment without
// an order is found as an order is, by its saga's id.
constexpr char kFindOrders[] =
    "SELECT s.order_id, e.at, s.amount_minor, s.currency, s.state, "
    "EXISTS (SELECT FROM payments p WHERE p.order_id = s.order_id), c.token, "
    "EXISTS (SELECT FROM payment_attempts d WHERE d.order_id = s.order_id AND d.gateway = e.gateway "
    "AND d.decided_at IS NOT NULL AND d.state <> 'not_sent') "
    "FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY AS e (order_id, token, gateway, at) "
    "LEFT JOIN LATERAL (SELECT w.order_id, w.token FROM ("
    "  SELECT t.order_id, CASE WHEN t.state = 'pending' THEN t.pending_token END AS token FROM payment_attempts t "
    "  WHERE t.gateway = e.gateway AND t.pending_token IS NOT NULL AND "
    "  ((e.order_id IS NOT NULL AND t.order_id = e.order_id) OR (e.order_id IS NULL AND t.pending_token = e.token)) "
    "  UNION ALL "
    "  SELECT c.order_id, c.token FROM pending_charges c "
    "  WHERE ((e.order_id IS NOT NULL AND c.order_id = e.order_id) OR (e.order_id IS NULL AND c.token = e.token)) "
    "  AND NOT EXISTS (SELECT FROM payment_attempts t WHERE t.order_id = c.order_id) "
    "  UNION ALL "
    "  SELECT c.order_id, NULL FROM pending_charges c JOIN payment_attempts t ON t.order_id = c.order_id "
    "  WHERE e.order_id IS NULL AND c.token = e.token AND t.gateway = e.gateway AND t.pending_token IS NULL "
    "  AND NOT EXISTS (SELECT FROM payment_attempts o WHERE o.order_id = t.order_id AND o.number <> t.number)"
    "  ) w ORDER BY w.token IS NULL, w.order_id DESC LIMIT 1) c ON true "
    "CROSS JOIN LATERAL ("
    "  SELECT o.order_id, o.amount_minor, o.currency, o.state::text AS state FROM order_sagas o "
    "  WHERE o.order_id = COALESCE(e.order_id, c.order_id) "
    "  UNION ALL "
    "  SELECT g.saga_id, (g.payload->>'amount_minor')::bigint, g.payload->>'currency', g.state::text FROM sagas g "
    "  WHERE g.saga_id = COALESCE(e.order_id, c.order_id) AND g.kind = 'take_payment') s";

constexpr char kSettleEvents[] =
    "UPDATE webhook_inbox w SET state = CASE WHEN i.state = 'new' THEN w.state ELSE i.state END, reason = i.reason, "
    "order_id = i.order_id, "
    "due_at = CASE WHEN i.state IN ('new', 'unmatched') THEN now() + i.again * interval '1 microsecond' END, "
    "settled_at = CASE WHEN i.state NOT IN ('new', 'unmatched') THEN now() END "
    "FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bigint[]) "
    "AS u (gateway, event_id, state, reason, order_id, again)) i "
    "WHERE w.gateway = i.gateway AND w.event_id = i.event_id AND w.state IN ('new', 'unmatched')";

constexpr char kDeleteEvents[] =
    "DELETE FROM webhook_inbox WHERE (gateway, event_id) IN (SELECT gateway, event_id FROM webhook_inbox "
    "WHERE received_at < now() - $1::bigint * interval '1 microsecond' AND state IN ('signalled', 'late', 'ignored') "
    "ORDER BY received_at LIMIT $2::integer FOR UPDATE SKIP LOCKED)";

constexpr char kCountEvents[] =
    "SELECT (SELECT count(*) FROM (SELECT FROM webhook_inbox WHERE state = 'attention' LIMIT 10000) a), "
    "(SELECT count(*) FROM (SELECT FROM webhook_inbox WHERE due_at IS NOT NULL LIMIT 10000) o), "
    "COALESCE(extract(epoch FROM now() - (SELECT min(due_at) FROM webhook_inbox WHERE due_at IS NOT NULL)), 0)"
    "::double precision";

void AddTextOrNull(ArrayParam& column, const std::string& text) {
  if (text.empty()) {
    column.AddNull();
  } else {
    column.AddText(text);
  }
}

Param MicrosOf(absl::Duration duration) { return Param::Int8(absl::ToInt64Microseconds(duration)); }

ConnectionOptions InboxConnectionOptions(const WebhookInboxOptions& options) {
  ConnectionOptions connection = WriteConnectionOptions();
  connection.application_name = "waybill-webhooks";
  connection.statement_timeout = options.statement_timeout;
  connection.connect_timeout = options.connect_timeout;
  return connection;
}

}  // namespace

// A store that is away is answered as such, and not waited for: whoever sent an event sends it again.
class PostgresWebhookInbox::Writer final : public BatchWriter<WebhookArrival> {
 public:
  Writer(const std::string& url, const WebhookInboxOptions& options) : url_(url), options_(options) {}

  BatchResult Write(std::span<WebhookArrival> batch) override {
    WAYBILL_FAILPOINT("inbox.before_commit");
    fresh_.clear();
    status_ = Insert(batch);
    if (status_.ok()) WAYBILL_FAILPOINT("inbox.after_commit");
    return ToBatchResult(status_) == BatchResult::kBadData ? BatchResult::kBadData : BatchResult::kWritten;
  }
  void Complete(WebhookArrival& arrival, const absl::Status& status) override {
    const absl::Status& why = status.ok() ? status_ : status;
    if (!why.ok()) {
      arrival.done(why);
    } else {
      // Of two alike in one batch the first is the fresh one.
      arrival.done(fresh_.erase({arrival.event.gateway, arrival.event.id}) > 0);
    }
  }
  absl::Status BadDataError() override { return status_; }

 private:
  absl::Status Insert(std::span<WebhookArrival> batch) {
    for (ArrayParam* column :
         {&gateway_, &id_, &type_, &key_, &token_, &amount_, &currency_, &body_, &state_, &reason_})
      column->Clear();
    for (const WebhookArrival& arrival : batch) {
      gateway_.AddText(arrival.event.gateway);
      id_.AddText(arrival.event.id);
      type_.AddText(arrival.event.type);
      AddTextOrNull(key_, arrival.event.key);
      AddTextOrNull(token_, arrival.event.token);
      amount_.AddInt(arrival.event.amount_minor);
      AddTextOrNull(currency_, arrival.event.currency);
      body_.AddBytes(arrival.body);
      state_.AddText(Name(arrival.state));
      AddTextOrNull(reason_, arrival.reason);
    }
    if (!connection_) {
      absl::StatusOr<std::unique_ptr<Connection>> opened = Connection::Open(url_, InboxConnectionOptions(options_));
      if (!opened.ok()) return opened.status();
      connection_ = *std::move(opened);
    }
    if (absl::Status connected = connection_->EnsureConnected(); !connected.ok()) return connected;
    if (absl::Status prepared = connection_->Prepare("keep_events", kKeepEvents); !prepared.ok()) return prepared;
    const std::vector<Param> params = {
        MicrosOf(kInboxLease), gateway_, id_, type_, key_, token_, amount_, currency_, body_, state_, reason_};
    absl::StatusOr<Rows> rows = connection_->ExecutePrepared("keep_events", params);
    // A connection that was closed while it was idle.
    if (!rows.ok() && connection_->Broken() && connection_->EnsureConnected().ok()) {
      rows = connection_->ExecutePrepared("keep_events", params);
    }
    if (!rows.ok()) return rows.status();
    for (int row = 0; row < rows->size(); ++row) {
      fresh_.emplace(std::string(rows->Text(row, 0)), std::string(rows->Text(row, 1)));
    }
    return absl::OkStatus();
  }

  const std::string url_;
  const WebhookInboxOptions options_;
  std::unique_ptr<Connection> connection_;
  absl::Status status_;  // of the last write
  std::set<std::pair<std::string, std::string>> fresh_;
  ArrayParam gateway_{kOidText}, id_{kOidText}, type_{kOidText}, key_{kOidText}, token_{kOidText}, amount_{kOidInt8},
      currency_{kOidText}, body_{kOidBytea}, state_{kOidText}, reason_{kOidText};
};

PostgresWebhookInbox::PostgresWebhookInbox(const std::string& url, Pool& pool, const WebhookInboxOptions& options,
                                           const Loops& loops)
    : pool_(pool) {
  std::vector<BatchWriter<WebhookArrival>*> writers;
  for (int i = 0; i < options.writers; ++i) {
    writers_.push_back(std::make_unique<Writer>(url, options));
    writers.push_back(writers_.back().get());
  }
  BatcherOptions batching;
  batching.queue_max = options.queue_max;
  batching.batch_max = 4 << 10;
  batching.join_min = 32;
  batcher_ = std::make_unique<Batcher<WebhookArrival>>(std::move(writers), batching, loops);
}

PostgresWebhookInbox::~PostgresWebhookInbox() { Stop(); }

absl::StatusOr<Rows> PostgresWebhookInbox::Run(const std::string& name, const std::string& sql,
                                               const std::vector<Param>& params) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  if (absl::Status prepared = (*connection)->Prepare(name, sql); !prepared.ok()) return prepared;
  return (*connection)->ExecutePrepared(name, params);
}

absl::StatusOr<std::vector<WebhookDue>> PostgresWebhookInbox::ClaimDue(int limit) {
  absl::StatusOr<Rows> rows = Run("claim_events", kClaimEvents, {Param::Int4(limit), MicrosOf(kInboxLease)});
  if (!rows.ok()) return rows.status();
  std::vector<WebhookDue> due;
  for (int row = 0; row < rows->size(); ++row) {
    WebhookDue one;
    one.event = {std::string(rows->Text(row, 0)), std::string(rows->Text(row, 1)), std::string(rows->Text(row, 2)),
                 std::string(rows->Text(row, 3)), std::string(rows->Text(row, 4)), std::nullopt,
                 std::string(rows->Text(row, 6))};
    if (!rows->IsNull(row, 5)) one.event.amount_minor = rows->Int(row, 5);
    one.attempts = static_cast<int>(rows->Int(row, 7));
    one.age = absl::Milliseconds(rows->Int(row, 8));
    due.push_back(std::move(one));
  }
  return due;
}

absl::StatusOr<std::vector<std::optional<WebhookOrder>>> PostgresWebhookInbox::FindOrders(
    std::span<const WebhookEvent> events, std::span<const std::optional<Uuid>> order_ids) {
  ArrayParam ids(kOidUuid), tokens(kOidText), gateways(kOidText);
  for (size_t at = 0; at < events.size(); ++at) {
    ids.AddId(order_ids[at]);
    AddTextOrNull(tokens, events[at].token);
    gateways.AddText(events[at].gateway);
  }
  absl::StatusOr<Rows> rows = Run("find_orders_of_events", kFindOrders, {ids, tokens, gateways});
  if (!rows.ok()) return rows.status();
  std::vector<std::optional<WebhookOrder>> orders(events.size());
  for (int at = 0; at < rows->size(); ++at) {
    RowReader row(*rows, at);
    WebhookOrder order;
    order.order_id = row.id();
    order.amount_minor = rows->Int(at, 2);
    order.currency = rows->Text(at, 3);
    order.state = row.State(4);
    order.charged = rows->Bool(at, 5);
    order.token = rows->Text(at, 6);
    order.attempt_decided = rows->Bool(at, 7);
    if (!row.status().ok()) continue;  // of a newer version: looked at again, perhaps by it
    orders[static_cast<size_t>(rows->Int(at, 1) - 1)] = std::move(order);
  }
  return orders;
}

absl::Status PostgresWebhookInbox::Settle(std::span<const WebhookSettlement> settled) {
  ArrayParam gateways(kOidText), ids(kOidText), states(kOidText), reasons(kOidText), orders(kOidUuid), again(kOidInt8);
  for (const WebhookSettlement& one : settled) {
    gateways.AddText(one.gateway);
    ids.AddText(one.id);
    states.AddText(Name(one.state));
    AddTextOrNull(reasons, one.reason);
    orders.AddId(one.order_id);
    again.AddInt(absl::ToInt64Microseconds(one.again));
  }
  return Run("settle_events", kSettleEvents, {gateways, ids, states, reasons, orders, again}).status();
}

absl::StatusOr<int64_t> PostgresWebhookInbox::DeleteOld(absl::Duration keep, int limit) {
  absl::StatusOr<Rows> rows = Run("delete_events", kDeleteEvents, {MicrosOf(keep), Param::Int4(limit)});
  if (!rows.ok()) return rows.status();
  return rows->affected();
}

absl::StatusOr<InboxStats> PostgresWebhookInbox::Stats() {
  absl::StatusOr<Rows> rows = Run("count_events", kCountEvents, {});
  if (!rows.ok()) return rows.status();
  InboxStats stats;
  stats.attention = rows->Int(0, 0);
  stats.open = rows->Int(0, 1);
  stats.overdue = std::max(absl::Seconds(rows->Double(0, 2)), absl::ZeroDuration());
  return stats;
}

}  // namespace waybill::storage
