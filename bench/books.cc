#include "bench/books.h"

#include <memory>
#include <string_view>
#include <unordered_map>

#include "fmt/format.h"
#include "storage/postgres/connection.h"

namespace waybill::bench {
namespace {

using storage::Connection;
using storage::Rows;

// Orders by the status their caller is told, see OrderStatus in order.proto. The books of earlier builds are read by
// the same statements: their states lack some of ours.
constexpr char kCountByStatus[] = R"sql(
SELECT CASE WHEN state = 'running' AND to_jsonb(s) ->> 'waits_for' LIKE 'assess_risk/%' THEN 'AWAITING_REVIEW'
            WHEN state = 'running' AND to_jsonb(s) ->> 'waits_for' IS NOT NULL THEN 'AWAITING_PAYMENT'
            WHEN state = 'running' THEN 'PENDING'
            WHEN state = 'succeeded' THEN 'CONFIRMED'
            WHEN state::text IN ('closing', 'closed') AND failure_reason IS NULL THEN 'COMPLETED'
            WHEN state = 'compensating' THEN 'COMPENSATING'
            WHEN state = 'resolved' THEN 'RESOLVED'
            WHEN failure_reason = 'CANCELLED' THEN 'CANCELLED'
            ELSE 'FAILED' END AS status, count(*)
FROM order_sagas s GROUP BY 1)sql";

struct Check {
  std::string_view wrong;  // what it means when the query counts any
  const char* sql;
};

constexpr Check kChecks[] = {
    {"orders are unfinished", "SELECT count(*) FROM order_sagas WHERE lease_until IS NOT NULL"},
    {"confirmed orders are not charged exactly their amount", R"sql(
SELECT count(*) FROM order_sagas s LEFT JOIN payments p USING (order_id)
WHERE s.state = 'succeeded' AND (p.order_id IS NULL OR p.refund_minor IS NOT NULL OR p.amount_minor <> s.amount_minor
                                 OR p.currency <> s.currency))sql"},
    {"confirmed orders have no driver", R"sql(
SELECT count(*) FROM order_sagas s LEFT JOIN order_assignments a ON a.order_id = s.order_id AND a.released_at IS NULL
WHERE s.state = 'succeeded' AND a.order_id IS NULL)sql"},
    {"failed orders were charged and not given back", R"sql(
SELECT count(*) FROM order_sagas s JOIN payments p USING (order_id)
WHERE s.state IN ('closed', 'compensated') AND s.failure_reason IS NOT NULL
  AND p.refund_minor IS DISTINCT FROM p.amount_minor)sql"},
    {"failed orders still hold a driver", R"sql(
SELECT count(*) FROM order_sagas s JOIN order_assignments a USING (order_id)
WHERE s.state IN ('closed', 'compensated') AND a.released_at IS NULL)sql"},
    {"drivers hold more than one order", R"sql(
SELECT count(*) FROM (SELECT driver_id FROM order_assignments WHERE released_at IS NULL
                      GROUP BY driver_id HAVING count(*) > 1) AS d)sql"},
    {"payments belong to no order", R"sql(
SELECT count(*) FROM payments p WHERE NOT EXISTS (SELECT FROM order_sagas s WHERE s.order_id = p.order_id))sql"},
    {"assignments belong to no order", R"sql(
SELECT count(*) FROM order_assignments a WHERE NOT EXISTS (SELECT FROM order_sagas s WHERE s.order_id = a.order_id))sql"},
    {"orders have a log with gaps", R"sql(
SELECT count(*) FROM order_sagas s
LEFT JOIN (SELECT order_id, count(*) AS entries, max(seq) AS newest FROM order_saga_steps GROUP BY 1) l USING (order_id)
WHERE COALESCE(l.entries, 0) <> s.seq OR COALESCE(l.newest, 0) <> s.seq)sql"},
};

constexpr char kOrders[] = "SELECT order_id::text, state = 'succeeded', amount_minor FROM order_sagas";

absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& url) {
  storage::ConnectionOptions options;
  options.application_name = "waybill-bench books";
  options.statement_timeout = absl::Seconds(120);
  return Connection::Open(url, options);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckBooks(const std::string& database_url, int64_t orders) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Open(database_url);
  if (!connection.ok()) return connection.status();
  std::vector<std::string> wrong;
  absl::StatusOr<Rows> count = (*connection)->Execute("SELECT count(*) FROM order_sagas");
  if (!count.ok()) return count.status();
  if (count->Int(0, 0) != orders) {
    wrong.push_back(fmt::format("{} orders are in the database, not {}", count->Int(0, 0), orders));
  }
  for (const Check& check : kChecks) {
    count = (*connection)->Execute(check.sql);
    if (!count.ok()) return count.status();
    if (count->Int(0, 0) != 0) wrong.push_back(fmt::format("{} {}", count->Int(0, 0), check.wrong));
  }
  return wrong;
}

absl::StatusOr<std::vector<std::string>> CheckAnswers(const std::string& database_url,
                                                      const std::map<std::string, int64_t>& answers) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Open(database_url);
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> counts = (*connection)->Execute(kCountByStatus);
  if (!counts.ok()) return counts.status();
  std::map<std::string, std::pair<int64_t, int64_t>> held_and_told;
  for (int row = 0; row < counts->size(); ++row) {
    held_and_told[std::string(counts->Text(row, 0))].first = counts->Int(row, 1);
  }
  for (const auto& [status, count] : answers) held_and_told[status].second = count;
  std::vector<std::string> wrong;
  for (const auto& [status, count] : held_and_told) {
    if (count.first == count.second) continue;
    wrong.push_back(fmt::format("{} orders are {}, but {} callers were told so", count.first, status, count.second));
  }
  return wrong;
}

absl::StatusOr<std::vector<std::string>> CheckGateways(const std::string& database_url,
                                                       const std::vector<GatewayEntry>& entries) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Open(database_url);
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> orders = (*connection)->Execute(kOrders);
  if (!orders.ok()) return orders.status();

  std::unordered_map<std::string, int64_t> kept_of;  // by all gateways together
  int64_t charged_twice = 0;
  for (const GatewayEntry& entry : entries) {
    kept_of[entry.order_id] += entry.charged_minor - entry.refunded_minor;
    charged_twice += entry.charges > 1 || entry.refunds > 1;
  }
  int64_t not_charged = 0;
  int64_t not_refunded = 0;
  int64_t known = 0;
  for (int row = 0; row < orders->size(); ++row) {
    const auto found = kept_of.find(std::string(orders->Text(row, 0)));
    known += found != kept_of.end();
    const int64_t kept = found == kept_of.end() ? 0 : found->second;
    const bool confirmed = orders->Bool(row, 1);
    not_charged += confirmed && kept != orders->Int(row, 2);
    not_refunded += !confirmed && kept != 0;
  }
  std::vector<std::string> wrong;
  const auto tell = [&](int64_t count, std::string_view what) {
    if (count != 0) wrong.push_back(fmt::format("{} {}", count, what));
  };
  tell(charged_twice, "orders moved money twice at a gateway");
  tell(not_charged, "confirmed orders are not charged their amount at a gateway");
  tell(not_refunded, "failed orders are still charged at a gateway");
  tell(static_cast<int64_t>(kept_of.size()) - known, "orders of a gateway are not in the database");
  return wrong;
}

}  // namespace waybill::bench
