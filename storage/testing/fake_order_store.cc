#include "storage/testing/fake_order_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage::testing {
namespace {

absl::Status SagaNotFound(const Uuid& id) {
  ErrorDetail detail;
  detail.metadata.emplace_back("id", id.ToString());
  return domain::ReasonError("SAGA_NOT_FOUND", fmt::format("there is no saga {}", id.ToString()), std::move(detail));
}

bool Matches(const OrderQuery::Status& wanted, const OrderRecord& record) {
  if (wanted.state != record.state) return false;
  if (wanted.waiting && record.state == saga::State::kRunning && *wanted.waiting == record.waits_for.empty()) {
    return false;
  }
  if (wanted.review && *wanted.review != record.waits_for.starts_with("assess_risk/")) return false;
  if (!wanted.cancelled || record.state != saga::State::kCompensated) return true;
  return *wanted.cancelled == (record.failure.reason == kCancelledReason);
}

bool Matches(const OrderQuery& query, const OrderRecord& record) {
  if (query.before && record.id >= *query.before) return false;
  if (query.owner && record.payload.client != *query.owner) return false;
  if (!query.user_id.empty() && record.payload.user_id != query.user_id) return false;
  if (record.created_at < query.created_from || record.created_at >= query.created_to) return false;
  return query.statuses.empty() || std::any_of(query.statuses.begin(), query.statuses.end(),
                                               [&](const auto& wanted) { return Matches(wanted, record); });
}

bool Matches(const SagaQuery& query, const OrderBook::Row& row, absl::Time now) {
  const saga::Header& header = *row.record;
  if (!query.kind.empty() && header.kind != query.kind) return false;
  if (query.waiting && !row.waiting) return false;
  if (query.after && header.id <= *query.after) return false;
  if (now - header.created_at < query.min_age) return false;
  if (query.needs_attention && !(header.needs_attention && saga::IsUnfinished(header.state))) return false;
  return query.states.empty() ||
         std::find(query.states.begin(), query.states.end(), header.state) != query.states.end();
}

bool IsOrder(const OrderBook::Row& row) { return row.record->kind == domain::Order::kKind; }

// With its partial refunds, which are sagas beside it.
OrderRecord OrderOf(const OrderBook& book, const OrderBook::Row& row) {
  OrderRecord order = saga::As<domain::Order>(*row.record);
  for (const auto& [id, other] : book.rows) {
    if (other.record->kind != domain::PartialRefund::kKind) continue;
    const domain::PartialRefund& refund = saga::As<domain::PartialRefund>(*other.record).payload;
    if (refund.order_id != order.id) continue;
    order.payload.refunds.push_back(refund);
    order.payload.refunds.back().saga_id = id;
  }
  return order;
}

}  // namespace

SagaView FakeOrderStore::View(const OrderBook::Row& row) const {
  SagaView view;
  view.header = *row.record;
  if (auto steps = steps_.find({row.record->kind, row.record->version}); steps != steps_.end()) {
    const size_t step = static_cast<size_t>(row.record->step);
    if (step < steps->second.size()) view.step_name = steps->second[step];
  }
  if (!row.instance.empty()) view.owner = row.instance + "/" + row.life;
  if (saga::IsUnfinished(row.record->state) && !row.waiting) view.lease_until = row.lease_until;
  return view;
}

void FakeOrderStore::RecordDefinitions(const saga::Kinds& kinds) {
  std::lock_guard lock(book_.mutex);
  for (const saga::Definition& definition : kinds.all()) {
    std::vector<std::string>& steps = steps_[{definition.kind, definition.version}];
    if (!steps.empty()) continue;  // it is written down once
    for (const saga::Step& step : definition.steps) steps.push_back(step.name);
  }
}

void FakeOrderStore::SetCapacity(const std::string& driver_id, int capacity) {
  std::lock_guard lock(book_.mutex);
  capacities_[driver_id] = capacity;
}

void FakeOrderStore::set_error(absl::Status error) {
  std::lock_guard lock(book_.mutex);
  error_ = std::move(error);
}

absl::StatusOr<OrderRecord> FakeOrderStore::Get(const Uuid& order_id) {
  ++reads_;
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  auto it = book_.rows.find(order_id);
  if (it == book_.rows.end() || !IsOrder(it->second)) return OrderNotFound(order_id);
  return OrderOf(book_, it->second);
}

absl::StatusOr<OrderRecord> FakeOrderStore::GetByKey(const std::string& client, const std::string& idempotency_key) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  for (const auto& [id, row] : book_.rows) {
    if (!IsOrder(row)) continue;
    const OrderRecord record = OrderOf(book_, row);
    const domain::Order& order = record.payload;
    if (order.client == client && order.idempotency_key == idempotency_key) return record;
  }
  return domain::ReasonError("ORDER_NOT_FOUND", "there is no order with this key");
}

absl::StatusOr<std::vector<OrderRecord>> FakeOrderStore::List(const OrderQuery& query) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<OrderRecord> found;
  for (auto it = book_.rows.rbegin(); it != book_.rows.rend() && static_cast<int>(found.size()) < query.limit; ++it) {
    if (!IsOrder(it->second)) continue;
    if (OrderRecord record = OrderOf(book_, it->second); Matches(query, record)) found.push_back(std::move(record));
  }
  return found;
}

absl::StatusOr<std::vector<saga::LogEntry>> FakeOrderStore::Log(const Uuid& order_id, int64_t from_seq) {
  ++reads_;
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<saga::LogEntry> log;
  auto it = book_.rows.find(order_id);
  if (it == book_.rows.end()) return log;
  for (const saga::LogEntry& entry : it->second.log) {
    if (entry.seq >= from_seq) log.push_back(entry);
  }
  return log;
}

absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> FakeOrderStore::LastSequences(
    const std::vector<Uuid>& order_ids) {
  ++reads_;
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<std::pair<Uuid, int64_t>> found;
  for (const auto& [id, row] : book_.rows) {
    if (std::find(order_ids.begin(), order_ids.end(), id) != order_ids.end()) found.emplace_back(id, row.record->seq);
  }
  return found;
}

absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> FakeOrderStore::RefundChanges(
    const std::vector<Uuid>& order_ids) {
  ++reads_;
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<std::pair<Uuid, int64_t>> found;
  for (const auto& [id, row] : book_.rows) {
    if (!IsOrder(row) || std::find(order_ids.begin(), order_ids.end(), id) == order_ids.end()) continue;
    int64_t changes = 0;
    const OrderRecord order = OrderOf(book_, row);
    for (const domain::PartialRefund& refund : order.payload.refunds) changes += refund.decided_at ? 2 : 1;
    if (changes > 0) found.emplace_back(id, changes);
  }
  return found;
}

absl::StatusOr<std::vector<SagaView>> FakeOrderStore::ListSagas(const SagaQuery& query) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<SagaView> found;
  for (const auto& [id, row] : book_.rows) {
    if (static_cast<int>(found.size()) >= query.limit) break;
    if (Matches(query, row, clock_.Now())) found.push_back(View(row));
  }
  return found;
}

absl::StatusOr<std::vector<Uuid>> FakeOrderStore::InReview(const std::optional<Uuid>& before, int limit) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<Uuid> found;
  for (auto it = book_.rows.rbegin(); it != book_.rows.rend() && static_cast<int>(found.size()) < limit; ++it) {
    if (IsInReview(*it->second.record) && (!before || it->first < *before)) found.push_back(it->first);
  }
  return found;
}

absl::StatusOr<SagaView> FakeOrderStore::GetSaga(const Uuid& saga_id) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  auto it = book_.rows.find(saga_id);
  if (it == book_.rows.end()) return SagaNotFound(saga_id);
  return View(it->second);
}

absl::StatusOr<std::vector<saga::LogEntry>> FakeOrderStore::SagaLog(const Uuid& saga_id) { return Log(saga_id, 1); }

absl::StatusOr<UnfinishedStats> FakeOrderStore::Unfinished(const saga::Kinds& here) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  UnfinishedStats stats;
  for (const auto& [id, row] : book_.rows) {
    const saga::Header& header = *row.record;
    if (!saga::IsUnfinished(header.state)) continue;
    if (header.needs_attention) ++stats.needing_attention;
    if (row.waiting) {
      stats.waiting = std::min(stats.waiting + 1, kWaitingCounted);
      stats.overdue = std::max(stats.overdue, clock_.Now() - header.wakes_at);
      continue;
    }
    ++(header.state == saga::State::kRunning   ? stats.running
       : header.state == saga::State::kClosing ? stats.closing
                                               : stats.compensating);
    if (here.Find(header.kind, header.version) == nullptr) ++stats.not_driven_here;
    absl::Time since = header.created_at;
    bool waited = false;
    for (const saga::LogEntry& entry : row.log) {
      if (waited) since = entry.at;
      waited = entry.outcome == saga::LogOutcome::kWaiting;
      if (waited) since = clock_.Now();
    }
    stats.oldest_age = std::max(stats.oldest_age, clock_.Now() - since);
  }
  return stats;
}

absl::StatusOr<std::vector<domain::DriverSlot>> FakeOrderStore::TakenSlots() {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<domain::DriverSlot> slots;
  for (const auto& [id, row] : book_.rows) {
    if (!IsOrder(row)) continue;
    const std::optional<domain::DriverSlot>& driver = saga::As<domain::Order>(*row.record).payload.driver;
    if (driver) slots.push_back(*driver);
  }
  return slots;
}

absl::StatusOr<std::vector<domain::DriverSlot>> FakeOrderStore::Capacities() {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<domain::DriverSlot> capacities;
  for (const auto& [driver_id, capacity] : capacities_) {
    if (capacity != 1) capacities.push_back({driver_id, capacity});
  }
  return capacities;
}

absl::StatusOr<std::vector<domain::DriverLoad>> FakeOrderStore::Loads(const std::vector<std::string>& driver_ids) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<domain::DriverLoad> loads(driver_ids.size());
  for (size_t at = 0; at < loads.size(); ++at) {
    auto capacity = capacities_.find(driver_ids[at]);
    if (capacity != capacities_.end()) loads[at].capacity = capacity->second;
    for (const auto& [id, row] : book_.rows) {
      if (!IsOrder(row)) continue;
      const std::optional<domain::DriverSlot>& driver = saga::As<domain::Order>(*row.record).payload.driver;
      if (driver && driver->driver_id == driver_ids[at]) loads[at].taken.push_back(driver->slot);
    }
  }
  return loads;
}

absl::Status FakeOrderStore::Ping() {
  std::lock_guard lock(book_.mutex);
  return error_;
}

}  // namespace waybill::storage::testing
