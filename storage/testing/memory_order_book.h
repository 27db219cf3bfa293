// The order's books in memory, for journals and stores that run without a database: one order an idempotency key, and
// no driver beyond its capacity.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "domain/order.h"
#include "runtime/text.h"
#include "saga/testing/memory_journal.h"
#include "storage/order_record.h"

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
  }

  std::map<std::string, int> capacities;  // of drivers that may hold more than one order
  std::map<std::pair<std::string, int>, Uuid> taken_slots;

 private:
  // As the columns' types and constraints have it, of what an advance books.
  static bool CanHold(const domain::Order& order) {
    auto fit = [](const std::string& text) {
      Utf8 read = ReadUtf8(text);
      return read.valid && !read.has_nul;
    };
    return (!order.effects.charged || fit(order.charge->gateway_reference)) &&
           (!order.effects.claimed || fit(order.driver->driver_id));
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
