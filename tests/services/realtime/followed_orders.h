// Orders whose logs a test writes, and who follows them.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "services/realtime/order_channels.h"
#include "storage/testing/mock_order_store.h"

namespace waybill::realtime {

class FollowedOrders : public ::testing::NiceMock<storage::testing::MockOrderStore> {
 public:
  FollowedOrders() {
    ON_CALL(*this, Get).WillByDefault([this](const Uuid& id) -> absl::StatusOr<storage::OrderRecord> {
      ++reads;
      std::lock_guard lock(mutex);
      if (!down.ok()) return down;
      const auto at = orders.find(id);
      if (at == orders.end()) return storage::OrderNotFound(id);
      return at->second.record;
    });
    ON_CALL(*this, Log)
        .WillByDefault([this](const Uuid& id, int64_t from) -> absl::StatusOr<std::vector<saga::LogEntry>> {
          if (on_log) on_log();
          std::lock_guard lock(mutex);
          if (!down.ok()) return down;
          std::vector<saga::LogEntry> log;
          for (const saga::LogEntry& entry : orders[id].log) {
            if (entry.seq >= from) log.push_back(entry);
          }
          if (orders[id].record.seq < 0) orders.erase(id);
          return log;
        });
    ON_CALL(*this, LastSequences)
        .WillByDefault([this](const std::vector<Uuid>& ids) -> absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> {
          asked.push_back(ids.size());
          std::lock_guard lock(mutex);
          if (!down.ok()) return down;
          std::vector<std::pair<Uuid, int64_t>> found;
          for (const Uuid& id : ids) {
            if (const auto at = orders.find(id); at != orders.end()) found.emplace_back(id, at->second.record.seq);
          }
          return found;
        });
  }

  void Add(const Uuid& id, const std::string& tenant, const std::string& user) {
    std::lock_guard lock(mutex);
    storage::OrderRecord& record = orders[id].record;
    record.id = id;
    record.seq = 0;
    record.payload.client = tenant;
    record.payload.user_id = user;
  }
  // The order's next transition.
  void Write(const Uuid& id, saga::State state, const std::string& step = "") {
    std::lock_guard lock(mutex);
    Order& order = orders.at(id);
    order.record.state = state;
    saga::LogEntry entry;
    entry.seq = ++order.record.seq;
    entry.step = step;
    entry.attempt = 1;
    entry.state = state;
    entry.at = absl::FromUnixSeconds(1'790'000'000 + entry.seq);
    order.log.push_back(entry);
  }
  void SetDown(absl::Status status) {
    std::lock_guard lock(mutex);
    down = std::move(status);
  }

  struct Order {
    storage::OrderRecord record = [] {
      storage::OrderRecord none;
      none.seq = -1;
      return none;
    }();
    std::vector<saga::LogEntry> log;
  };
  std::mutex mutex;
  std::map<Uuid, Order> orders;
  absl::Status down;
  std::function<void()> on_log;
  std::vector<size_t> asked;  // how many at a time
  int reads = 0;
};

inline Uuid OrderId(uint8_t number) {
  Uuid id;
  id.bytes[15] = number;
  return id;
}

}  // namespace waybill::realtime
