// The order's saga in Postgres: order_sagas, order_saga_steps, payments, order_assignments; and what of it is told to
// clients: webhook_deliveries.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "domain/order.h"
#include "storage/postgres/saga_tables.h"
#include "webhooks/event.h"

namespace waybill::storage {

// A row for each endpoint that wants an event; `columns` are those that AddTold fills in, and behind them may come
// others. The rows have an order_id.
Booking TellBooking();
void AddTold(const std::string& client, const webhooks::Event& event, absl::Time at, std::span<ArrayParam> columns);

// What of an order's bookings is about its money, and so also that of a payment without an order: in `payments`,
// `payment_attempts` and `pending_charges`. `key` is the name of the saga's key in the rows; they come first among a
// kind's bookings, in this order.
std::vector<Booking> PaymentBookings(std::string_view key);
void AddPaymentRows(const saga::Record& record, const domain::Order& order, BookedRows& rows);
// The attempt that it begins with, if it has one; `sagas` is the header table.
Booking BegunAttempts(std::string_view key, std::string_view sagas);
void AddBegunAttempt(const saga::Record& record, const domain::Order& order, BookedRows& rows);

class OrderTables final : public SagaTables {
 public:
  // `told`: whether anybody may want to be told of orders; asked at each write. Thread-safe.
  explicit OrderTables(std::function<bool()> told = [] { return true; });
  std::string_view kind() const override { return domain::Order::kKind; }
  const Sql& sql() const override { return sql_; }
  void AddBegin(const saga::Record& record, std::span<ArrayParam> columns) const override;
  void AddBegun(const saga::Record& record, BookedRows& rows) const override;
  void AddAccounts(const saga::Record& record, bool begins, SharedAccounts& accounts) const override;
  void AddMove(const saga::Record&, std::span<ArrayParam>) const override {}
  void AddBookings(const saga::Record& record, BookedRows& rows) const override;
  std::vector<std::string> DedupeKey(const saga::Record& record) const override;
  absl::StatusOr<std::unique_ptr<saga::Record>> Decode(const Rows& rows, int row) const override;

 private:
  const std::function<bool()> told_;
  Sql sql_;
};

}  // namespace waybill::storage
