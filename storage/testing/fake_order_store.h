// The order store over the same in-memory book that the memory journals write.
#pragma once

#include <atomic>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "runtime/clock.h"
#include "saga/testing/memory_journal.h"
#include "storage/order_store.h"

namespace waybill::storage::testing {

using OrderBook = saga::testing::MemoryBook;  // of orders only

class FakeOrderStore final : public OrderStore {
 public:
  FakeOrderStore(OrderBook& book, const Clock& clock) : book_(book), clock_(clock) {}

  // Whose steps' names it knows, as a journal that is opened with them would write them down.
  void RecordDefinitions(const saga::Kinds& kinds);

  // As a driver store does; 0: off duty.
  void SetCapacity(const std::string& driver_id, int capacity);

  // Every call answers this until it is OK again.
  void set_error(absl::Status error);

  // Calls of Get, Log, LastSequences and RefundChanges so far.
  size_t reads() const { return reads_; }

  absl::StatusOr<OrderRecord> Get(const Uuid& order_id) override;
  absl::StatusOr<OrderRecord> GetByKey(const std::string& client, const std::string& idempotency_key) override;
  absl::StatusOr<std::vector<OrderRecord>> List(const OrderQuery& query) override;
  absl::StatusOr<std::vector<saga::LogEntry>> Log(const Uuid& order_id, int64_t from_seq) override;
  absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> LastSequences(const std::vector<Uuid>& order_ids) override;
  absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> RefundChanges(const std::vector<Uuid>& order_ids) override;
  absl::StatusOr<std::vector<SagaView>> ListSagas(const SagaQuery& query) override;
  absl::StatusOr<std::vector<Uuid>> InReview(const std::optional<Uuid>& before, int limit) override;
  absl::StatusOr<SagaView> GetSaga(const Uuid& saga_id) override;
  absl::StatusOr<std::vector<saga::LogEntry>> SagaLog(const Uuid& saga_id) override;
  absl::StatusOr<UnfinishedStats> Unfinished(const saga::Kinds& here) override;
  absl::StatusOr<std::vector<domain::DriverSlot>> TakenSlots() override;
  absl::StatusOr<std::vector<domain::DriverSlot>> Capacities() override;
  absl::StatusOr<std::vector<domain::DriverLoad>> Loads(const std::vector<std::string>& driver_ids) override;
  absl::Status Ping() override;

 private:
  SagaView View(const OrderBook::Row& row) const;

  OrderBook& book_;  // its mutex guards everything below as well
  const Clock& clock_;
  absl::Status error_;
  std::map<std::string, int> capacities_;
  std::map<std::pair<std::string, int>, std::vector<std::string>> steps_;  // by kind and version
  std::atomic<size_t> reads_{0};
};

}  // namespace waybill::storage::testing
