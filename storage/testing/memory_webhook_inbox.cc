#include "storage/testing/memory_webhook_inbox.h"

#include <algorithm>
#include <optional>

namespace waybill::storage::testing {
namespace {

bool IsOpen(InboxState state) { return state == InboxState::kNew || state == InboxState::kUnmatched; }

}  // namespace

bool MemoryWebhookInbox::Insert(const WebhookArrival& arrival) {
  auto [at, fresh] = book_.rows.try_emplace({arrival.event.gateway, arrival.event.id});
  if (!fresh) return false;
  MemoryInboxBook::Row& row = at->second;
  row.event = arrival.event;
  row.body = arrival.body;
  row.state = arrival.state;
  row.reason = arrival.reason;
  row.received_at = clock_.Now();
  if (row.state == InboxState::kNew) row.due_at = row.received_at + kInboxLease;
  return true;
}

bool MemoryWebhookInbox::Keep(WebhookArrival& arrival) {
  const bool fresh = Insert(arrival);
  arrival.done(fresh);
  return true;
}

absl::StatusOr<std::vector<WebhookDue>> MemoryWebhookInbox::ClaimDue(int limit) {
  std::vector<MemoryInboxBook::Row*> due;
  const absl::Time now = clock_.Now();
  for (auto& [key, row] : book_.rows) {
    if (row.due_at <= now) due.push_back(&row);
  }
  std::stable_sort(due.begin(), due.end(), [](const auto* a, const auto* b) { return a->due_at < b->due_at; });
  due.resize(std::min(due.size(), static_cast<size_t>(limit)));
  std::vector<WebhookDue> claimed;
  for (MemoryInboxBook::Row* row : due) {
    row->due_at = now + kInboxLease;
    ++row->attempts;
    claimed.push_back({row->event, row->attempts, absl::Trunc(now - row->received_at, absl::Milliseconds(1))});
  }
  return claimed;
}

std::optional<std::pair<Uuid, std::string>> MemoryWebhookInbox::Waiting(const WebhookEvent& event,
                                                                        const std::optional<Uuid>& order) const {
  std::optional<std::pair<Uuid, std::string>> youngest, decided;
  auto add = [&](const Uuid& id, const std::string& token) {
    const bool meant = order ? id == *order : token == event.token;
    if (meant && (!youngest || youngest->first < id)) youngest = {id, token};
  };
  for (const auto& [attempt, pending] : orders_.pending_attempts) {
    if (pending.gateway != event.gateway) continue;
    if (!pending.decided) {
      add(attempt.first, pending.token);
    } else if (!order && pending.token == event.token && (!decided || decided->first < attempt.first)) {
      decided = {attempt.first, ""};
    }
  }
  for (const auto& [id, row] : orders_.rows) {
    if (row.record->kind != domain::Order::kKind) continue;
    const domain::Order& payload = saga::As<domain::Order>(*row.record).payload;
    if (!payload.pending) continue;
    if (payload.attempts.empty()) {
      add(id, payload.pending->token);
    }
  }
  return youngest ? youngest : decided;
}

absl::StatusOr<std::vector<std::optional<WebhookOrder>>> MemoryWebhookInbox::FindOrders(
    std::span<const WebhookEvent> events, std::span<const std::optional<Uuid>> order_ids) {
  std::vector<std::optional<WebhookOrder>> found(events.size());
  for (size_t at = 0; at < events.size(); ++at) {
    const std::optional<std::pair<Uuid, std::string>> waiting = Waiting(events[at], order_ids[at]);
    if (!order_ids[at] && !waiting) continue;
    const auto row = orders_.rows.find(order_ids[at] ? *order_ids[at] : waiting->first);
    if (row == orders_.rows.end() || row->second.record->kind != domain::Order::kKind) continue;
    const domain::Order& payload = saga::As<domain::Order>(*row->second.record).payload;
    found[at] = WebhookOrder{row->first,
                             payload.amount_minor,
                             payload.currency,
                             row->second.record->state,
                             payload.charge.has_value(),
                             waiting ? waiting->second : "",
                             std::any_of(payload.attempts.begin(), payload.attempts.end(), [&](const auto& attempt) {
                               return attempt.gateway == events[at].gateway && domain::IsDecided(attempt.state) &&
                                      attempt.state != domain::PaymentAttempt::State::kNotSent;
                             })};
  }
  return found;
}

absl::Status MemoryWebhookInbox::Settle(std::span<const WebhookSettlement> settled) {
  for (const WebhookSettlement& one : settled) {
    const auto at = book_.rows.find({one.gateway, one.id});
    if (at == book_.rows.end() || !IsOpen(at->second.state)) continue;
    MemoryInboxBook::Row& row = at->second;
    if (one.state != InboxState::kNew) row.state = one.state;
    row.reason = one.reason;
    row.order_id = one.order_id;
    row.due_at = IsOpen(one.state) ? clock_.Now() + one.again : absl::InfiniteFuture();
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> MemoryWebhookInbox::DeleteOld(absl::Duration keep, int limit) {
  int64_t deleted = 0;
  for (auto at = book_.rows.begin(); at != book_.rows.end() && deleted < limit;) {
    const InboxState state = at->second.state;
    const bool needs_nobody =
        state == InboxState::kSignalled || state == InboxState::kLate || state == InboxState::kIgnored;
    if (needs_nobody && at->second.received_at < clock_.Now() - keep) {
      at = book_.rows.erase(at);
      ++deleted;
    } else {
      ++at;
    }
  }
  return deleted;
}

absl::StatusOr<InboxStats> MemoryWebhookInbox::Stats() {
  InboxStats stats;
  for (const auto& [key, row] : book_.rows) {
    if (row.state == InboxState::kAttention) ++stats.attention;
    if (row.due_at == absl::InfiniteFuture()) continue;
    ++stats.open;
    stats.overdue = std::max(stats.overdue, clock_.Now() - row.due_at);
  }
  return stats;
}

}  // namespace waybill::storage::testing
