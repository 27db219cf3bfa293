// The order's saga in Postgres: order_sagas, order_saga_steps, payments, order_assignments.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "storage/order.h"
#include "storage/postgres/saga_journal.h"

namespace waybill::storage {

class OrderTables final : public SagaTables<Order> {
 public:
  OrderTables();
  const Sql& sql() const override { return sql_; }
  void AddBegin(const Order& order, std::span<ArrayParam> columns) const override;
  void AddEffects(const Order& order, std::span<ArrayParam> columns) const override;
  std::vector<std::string> DedupeKey(const Order& order) const override {
    return {order.client, order.idempotency_key};
  }
  absl::StatusOr<OrderRecord> Decode(const Rows& rows, int row) const override;

 private:
  Sql sql_;
};

using OrderJournal = PostgresSagaJournal<Order>;

}  // namespace waybill::storage
