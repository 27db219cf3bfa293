// The order store over connections to Postgres.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "storage/order_store.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresOrderStore final : public OrderStore {
 public:
  // What may look through many rows (lists, counts, comparisons) runs over `scans`, so that it holds nobody up.
  PostgresOrderStore(Pool& pool, Pool& scans) : pool_(pool), scans_(scans) {}
  explicit PostgresOrderStore(Pool& pool) : PostgresOrderStore(pool, pool) {}

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
  // Unfinished sagas up to these ids have a due_at; others may be young.
  struct Marks {
    Uuid orders, others;
  };
  absl::StatusOr<Marks> ReadMarks();

  // Rows of an id and a number; $1 is the ids.
  absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> NumbersOf(const char* sql, const std::vector<Uuid>& order_ids);
  // Planned for its very parameters, each time: for queries whose best plan depends on them.
  static absl::StatusOr<Rows> Execute(Pool& pool, const std::string& sql, absl::Span<const Param> params = {});
  // Prepared once a connection: for the ones that run often and have one plan.
  absl::StatusOr<Rows> ExecutePrepared(const char* name, const std::string& sql, absl::Span<const Param> params);

  Pool& pool_;
  Pool& scans_;
};

}  // namespace waybill::storage
