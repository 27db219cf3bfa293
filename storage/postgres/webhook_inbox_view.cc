#include "storage/postgres/webhook_inbox_view.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/postgres/audit_log.h"

namespace waybill::storage {
namespace {

constexpr std::string_view kKeptColumns =
    "gateway, event_id, event_type, payment_key, payment_token, amount_minor, currency, state, reason, order_id, "
    "attempts, received_at, due_at, settled_at, octet_length(body)";
constexpr int kBodyColumn = 15;  // behind them

// A filter that is not set becomes a constant true when the query is planned, so each combination gets its own plan.
constexpr std::string_view kListKept =
    "SELECT {} FROM webhook_inbox WHERE ($1::text IS NULL OR state = $1) AND ($2::text = '' OR gateway = $2) "
    "AND ($3::text = '' OR event_id = $3) AND ($4::uuid IS NULL OR order_id = $4) "
    "AND ($5::timestamptz IS NULL OR received_at <= $5) "
    "AND ($5::timestamptz IS NULL OR (received_at, gateway, event_id) < ($5, $6::text COLLATE \"C\", $7::text COLLATE "
    "\"C\")) ORDER BY received_at DESC, gateway DESC, event_id DESC LIMIT $8::bigint";

constexpr std::string_view kShowKept =
    "WITH e AS (SELECT {}, body FROM webhook_inbox WHERE gateway = $1::text AND event_id = $2::text), "
    "audited AS ({}FROM e) SELECT * FROM e";

KeptWebhook ReadKept(const Rows& rows, int row) {
  const auto time = [&](int column) {
    return rows.IsNull(row, column) ? std::optional<absl::Time>() : rows.Time(row, column);
  };
  KeptWebhook kept;
  kept.event = {std::string(rows.Text(row, 0)), std::string(rows.Text(row, 1)), std::string(rows.Text(row, 2)),
                std::string(rows.Text(row, 3)), std::string(rows.Text(row, 4)), std::nullopt,
                std::string(rows.Text(row, 6))};
  if (!rows.IsNull(row, 5)) kept.event.amount_minor = rows.Int(row, 5);
  const std::string_view state = rows.Text(row, 7);
  const InboxState* const known = std::find_if(std::begin(kInboxStates), std::end(kInboxStates),
                                               [&](InboxState each) { return Name(each) == state; });
  kept.state = known == std::end(kInboxStates) ? InboxState::kAttention : *known;  // the check lets no other in
  kept.reason = rows.Text(row, 8);
  if (!rows.IsNull(row, 9)) kept.order_id = rows.Id(row, 9);
  kept.attempts = static_cast<int>(rows.Int(row, 10));
  kept.received_at = rows.Time(row, 11);
  kept.due_at = time(12);
  kept.settled_at = time(13);
  kept.body_bytes = rows.Int(row, 14);
  return kept;
}

absl::StatusOr<Rows> ExecuteHere(Pool& pool, const std::string& sql, const std::vector<Param>& params) {
  absl::StatusOr<Pool::Lease> connection = pool.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

}  // namespace

absl::StatusOr<std::vector<KeptWebhook>> PostgresWebhookInboxView::List(const InboxQuery& query) {
  const std::vector<Param> params = {
      query.state ? Param::Text(Name(*query.state)) : Param::Null(kOidText),
      Param::Text(query.gateway),
      Param::Text(query.event_id),
      query.order_id ? Param::Id(*query.order_id) : Param::Null(kOidUuid),
      query.after ? Param::Time(query.after->received_at) : Param::Null(kOidTimestamptz),
      query.after ? Param::Text(query.after->gateway) : Param::Null(kOidText),
      query.after ? Param::Text(query.after->event_id) : Param::Null(kOidText),
      Param::Int8(query.limit),
  };
  absl::StatusOr<Rows> rows = ExecuteHere(reads_, fmt::format(kListKept, kKeptColumns), params);
  if (!rows.ok()) return rows.status();
  std::vector<KeptWebhook> kept;
  for (int row = 0; row < rows->size(); ++row) kept.push_back(ReadKept(*rows, row));
  return kept;
}

absl::StatusOr<KeptWebhook> PostgresWebhookInboxView::Show(const std::string& gateway, const std::string& event_id,
                                                           const domain::Deed& deed) {
  const DeedRow deed_row(deed);
  std::vector<Param> params = {Param::Text(gateway), Param::Text(event_id)};
  deed_row.AddTo(params);
  absl::StatusOr<Rows> rows = ExecuteHere(writes_, fmt::format(kShowKept, kKeptColumns, InsertDeed(3)), params);
  if (!rows.ok()) return rows.status();
  if (rows->empty()) {
    return domain::ReasonError("EVENT_NOT_FOUND", fmt::format("there is no event {} of {}", event_id, gateway));
  }
  KeptWebhook kept = ReadKept(*rows, 0);
  kept.body = rows->Bytes(0, kBodyColumn);
  return kept;
}

}  // namespace waybill::storage
