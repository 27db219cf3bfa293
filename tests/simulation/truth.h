// What has been durable in the books at any time of a story, and whether what callers were told agrees with it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "saga/testing/memory_journal.h"
#include "services/order/order_status.h"
#include "services/sandbox/books.h"
#include "storage/order_record.h"
#include "storage/testing/memory_order_book.h"

namespace waybill::simulation {

class Truth {
 public:
  // Watches every write from here on. The book outlives this.
  explicit Truth(storage::testing::MemoryOrderBook& book);

  // What a caller was told of an order, and what a watch sent.
  void CheckAnswer(const storage::OrderRecord& told, std::string_view to_what);
  void CheckTransition(const Uuid& id, const order::Transition& told);
  void Wrong(std::string what);  // the first one counts

  // What a caller was told of a part of an order's money; binding once it is decided.
  void CheckRefund(const domain::PartialRefund& told);

  // Nobody may be told otherwise any more.
  enum class Promise { kCancelled, kCompleted, kNotCancellable, kNotConfirmed };
  void Promised(const Uuid& id, Promise promise) { promises_.emplace(id, promise); }

  // What gateways have, by their names; that of orders that are not routed has none.
  using GatewayBooks = std::map<std::string, const sandbox::Books*>;
  // Sees every change of a gateway's books: no two of them hold money for one order, not for a moment.
  void CheckEffect(const std::string& gateway, const sandbox::Record& effect);

  // A gateway has lost what it did for these orders: whose they are is for a person to say. Of all others it has
  // `books`.
  void Forgot(const std::string& gateway, const std::set<std::string>& orders, const sandbox::Books& books);
  int forgotten() const { return static_cast<int>(forgotten_.size()); }
  bool IsForgotten(const std::string& order_id) const { return forgotten_.contains(order_id); }

  // The last entry of an order to which nothing comes any more.
  std::optional<int64_t> EndOf(const Uuid& id) const;
  bool AllAtRest() const { return unfinished_.empty(); }
  // At the end. `dispatcher`: who gave the drivers; null: our own books did.
  void CheckEnd(const GatewayBooks& gateways, const sandbox::Books* dispatcher, absl::Time now);
  const std::string& wrong() const { return wrong_; }

 private:
  struct Version {
    int64_t seq;
    saga::State state;
    std::string driver;  // "d-3/1"; empty: none
    bool charged, refunded;
    friend bool operator==(const Version&, const Version&) = default;
  };

  // What the participants' books have of one order, under whatever keys.
  struct Money {
    int charges = 0, refunds = 0, parts = 0;  // how often; refunds are whole ones
    int64_t charged_minor = 0, refunded_minor = 0;

    bool holds() const { return charged_minor > refunded_minor; }
  };
  struct Deeds {
    std::map<std::string, Money> money;  // by gateway
    int assignments = 0;                 // that hold a driver
    std::string driver_id;               // of one of these
  };

  static Money MoneyOf(const sandbox::Payment& payment);
  static std::string Describe(const std::map<std::string, Money>& money);
  static Version VersionOf(const storage::OrderRecord& record);
  void OnWrite(const saga::testing::MemoryBook::Row& row);
  void TakeDriver(const storage::OrderRecord& record);
  static std::map<Uuid, Deeds> DeedsIn(const GatewayBooks& gateways, const sandbox::Books* dispatcher);
  void CheckKeys(const GatewayBooks& gateways, const sandbox::Books* dispatcher);
  void CheckPaymentKey(const std::string& gateway, const std::string& key, const std::string& order_id);
  void CheckMoney(const storage::OrderRecord& record, const Deeds& deeds, bool resolved);
  void CheckRefunds(const GatewayBooks& gateways);
  void CheckAttempts(const storage::OrderRecord& record, const GatewayBooks& gateways);
  void CheckAttempt(const storage::OrderRecord& record, size_t number, const sandbox::Payment* payment);
  void CheckAssignment(const storage::OrderRecord& record, const Deeds& deeds, bool resolved);

  storage::testing::MemoryOrderBook& book_;
  std::map<Uuid, std::vector<Version>> versions_;
  std::set<Uuid> unfinished_;
  std::map<Uuid, std::string> holds_;  // driver of an order
  std::map<std::string, int> held_;    // orders of a driver
  std::multimap<Uuid, Promise> promises_;
  std::map<Uuid, domain::PartialRefund::State> told_refunds_;  // by their sagas
  std::map<std::string, std::map<std::string, Money>> money_;  // by order, and gateway; as it moves
  std::set<std::string> forgotten_;
  std::string wrong_;
};

}  // namespace waybill::simulation
