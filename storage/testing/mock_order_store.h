#pragma once

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "storage/order_store.h"

namespace waybill::storage::testing {

class MockOrderStore : public OrderStore {
 public:
  MOCK_METHOD(absl::StatusOr<OrderRecord>, Get, (const Uuid& order_id), (override));
  MOCK_METHOD(absl::StatusOr<OrderRecord>, GetByKey, (const std::string& client, const std::string& idempotency_key),
              (override));
  MOCK_METHOD(absl::StatusOr<std::vector<OrderRecord>>, List, (const OrderQuery& query), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<saga::LogEntry>>, Log, (const Uuid& order_id, int64_t from_seq), (override));
  MOCK_METHOD((absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>>), LastSequences,
              (const std::vector<Uuid>& order_ids), (override));
  MOCK_METHOD((absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>>), RefundChanges,
              (const std::vector<Uuid>& order_ids), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<SagaView>>, ListSagas, (const SagaQuery& query), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<Uuid>>, InReview, (const std::optional<Uuid>& before, int limit), (override));
  MOCK_METHOD(absl::StatusOr<SagaView>, GetSaga, (const Uuid& saga_id), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<saga::LogEntry>>, SagaLog, (const Uuid& saga_id), (override));
  MOCK_METHOD(absl::StatusOr<UnfinishedStats>, Unfinished, (const saga::Kinds& here), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<domain::DriverSlot>>, TakenSlots, (), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<domain::DriverSlot>>, Capacities, (), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<domain::DriverLoad>>, Loads, (const std::vector<std::string>& driver_ids),
              (override));
  MOCK_METHOD(absl::Status, Ping, (), (override));
};

}  // namespace waybill::storage::testing
