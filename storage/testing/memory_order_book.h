// The order's books in memory, for journals and stores that run without a database: one order an idempotency key, and
// no driver beyond its capacity.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "domain/order.h"
#include "domain/payment.h"
#include "domain/reasons.h"
#include "runtime/text.h"
#include "saga/testing/memory_journal.h"
#include "storage/order_record.h"
#include "storage/order_store.h"

namespace waybill::storage::testing {

struct MemoryOrderBook final : saga::testing::MemoryBook {
  MemoryOrderBook() {
    saga::testing::MemoryKind& kind = kinds[std::string(domain::Order::kKind)];
    kind.dedupe_key = [](const saga::Record& record) {
      const domain::Order& order = saga::As<domain::Order>(record).payload;
      return order.client + '\n' + order.idempotency_key;
    };
    kind.can_hold = [](const saga::Record& record) { return CanHold(saga::As<domain::Order>(record).payload); };
    kind.apply_effects = [this](const saga::Record& record) { return Apply(saga::As<domain::Order>(record)); };
    kind.keep = [this](saga::Record& stored, const saga::Record* before) {
      KeepTokens(saga::As<domain::Order>(stored));
      Keep(saga::As<domain::Order>(stored).payload,
           before == nullptr ? nullptr : &saga::As<domain::Order>(*before).payload);
    };
    saga::testing::MemoryKind& refunds = kinds[std::string(domain::PartialRefund::kKind)];
    refunds.dedupe_key = [](const saga::Record& record) {
      const domain::PartialRefund& refund = saga::As<domain::PartialRefund>(record).payload;
      return refund.order_id.ToString() + '/' + refund.refund_id;
    };
    kinds[std::string(domain::Payment::kKind)].dedupe_key = [](const saga::Record& record) {
      const domain::Payment& payment = saga::As<domain::Payment>(record).payload;
      return payment.idempotency_key + '/' + payment.client;
    };
    refunds.may_begin = [this](const saga::Record& record) {
      return MayBegin(saga::As<domain::PartialRefund>(record));
    };
  }

  std::map<std::string, int> capacities;  // of drivers that may hold more than one order
  std::map<std::pair<std::string, int>, Uuid> taken_slots;

  // Attempts at routed orders that are pending, or were, by order and number. Their tokens are written, and not read
  // back with the order.
  struct PendingAttempt {
    std::string gateway, token;
    bool decided = false;
  };
  std::map<std::pair<Uuid, size_t>, PendingAttempt> pending_attempts;

 private:
  // As the schema's constraints have it.
  absl::Status MayBegin(const saga::RecordOf<domain::PartialRefund>& record) {
    const auto refuse = [](std::string_view constraint) {
      return domain::ReasonError(saga::kStoreRefused, "the book's rules refuse it",
                                 {.metadata = {{"constraint", std::string(constraint)}}});
    };
    const domain::PartialRefund& refund = record.payload;
    const auto found = rows.find(refund.order_id);
    if (found == rows.end()) return refuse(kOfAnOrderThatStands);
    const saga::Record& order = *found->second.record;
    const domain::Order& of = saga::As<domain::Order>(order).payload;
    const bool stands = order.state == saga::State::kSucceeded || order.state == saga::State::kClosing ||
                        order.state == saga::State::kClosed;
    if (!stands || !of.charge || of.refund) return refuse(kOfAnOrderThatStands);
    int64_t sum = refund.amount_minor;
    size_t parts = 1;
    for (const auto& [id, row] : rows) {
      if (row.record->kind != domain::PartialRefund::kKind) continue;
      const domain::PartialRefund& other = saga::As<domain::PartialRefund>(*row.record).payload;
      if (other.order_id != refund.order_id) continue;
      ++parts;
      if (other.state != domain::PartialRefund::State::kRefused) sum += other.amount_minor;
    }
    if (sum > of.charge->amount_minor) return refuse(kPartsWithinCharge);
    if (parts > domain::kPartialRefundsMax) return refuse(kPartsBounded);
    return absl::OkStatus();
  }

  // As the columns' types and constraints have it, of what an advance books.
  static bool CanHold(const domain::Order& order) {
    auto fit = [](const std::string& text) {
      Utf8 read = ReadUtf8(text);
      return read.valid && !read.has_nul;
    };
    return (!order.effects.charged || fit(order.charge->gateway_reference)) &&
           (!order.effects.claimed || fit(order.driver->driver_id));
  }

  // As the tables beside the saga's have it: what no effect has written is not there when it is read.
  static void Keep(domain::Order& stored, const domain::Order* before) {
    const domain::Order::Effects& effects = stored.effects;
    const std::vector<domain::PaymentAttempt> written = std::exchange(stored.attempts, {});
    const auto begin = [&](size_t number) {
      const domain::PaymentAttempt& begun = written[number - 1];
      stored.attempts.push_back({.gateway = begun.gateway, .capture_later = begun.capture_later});
    };
    if (before == nullptr) {
      if (!written.empty()) begin(1);
      stored.pending.reset();
      return;
    }
    stored.attempts = before->attempts;
    if (effects.attempt_changed > 0) {
      const domain::PaymentAttempt& changed = written[effects.attempt_changed - 1];
      stored.attempts[effects.attempt_changed - 1].state = changed.state;
      stored.attempts[effects.attempt_changed - 1].authorization = changed.authorization;
    }
    if (effects.attempt_begun > 0) begin(effects.attempt_begun);
    if (!effects.pending) stored.pending = before->pending;
    if (!effects.charged) stored.charge = before->charge;
    if (!effects.refunded) stored.refund = before->refund;
    if (!effects.claimed) stored.driver = effects.released ? std::nullopt : before->driver;
  }

  void KeepTokens(const OrderRecord& record) {
    const size_t number = record.payload.effects.attempt_changed;
    if (number == 0) return;
    const domain::PaymentAttempt& attempt = record.payload.attempts[number - 1];
    if (attempt.state == domain::PaymentAttempt::State::kPending) {
      pending_attempts[{record.id, number}] = {attempt.gateway, attempt.pending_token};
    } else if (const auto was = pending_attempts.find({record.id, number}); was != pending_attempts.end()) {
      was->second.decided = true;
    }
  }

  bool Apply(const OrderRecord& record) {
    const domain::Order& order = record.payload;
    if (order.effects.claimed) {
      const std::pair<std::string, int> slot(order.driver->driver_id, order.driver->slot);
      auto capacity = capacities.find(slot.first);
      const int allowed = capacity == capacities.end() ? 1 : capacity->second;
      // Also when some have slots beyond a capacity that was lowered.
      const auto active = std::count_if(taken_slots.begin(), taken_slots.end(),
                                        [&](const auto& taken) { return taken.first.first == slot.first; });
      if (slot.second > allowed || active >= allowed) return false;
      if (!taken_slots.emplace(slot, record.id).second) return false;
    }
    if (order.effects.released)
      std::erase_if(taken_slots, [&](const auto& entry) { return entry.second == record.id; });
    return true;
  }
};

}  // namespace waybill::storage::testing
