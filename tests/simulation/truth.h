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

  // Nobody may be told otherwise any more.
  enum class Promise { kCancelled, kCompleted, kNotCancellable, kNotConfirmed };
  void Promised(const Uuid& id, Promise promise) { promises_.emplace(id, promise); }

  // The last entry of an order to which nothing comes any more.
  std::optional<int64_t> EndOf(const Uuid& id) const;
  bool AllAtRest() const { return unfinished_.empty(); }
  // At the end. `assignments`: whether the dispatcher of `participants` gave the drivers.
  void CheckEnd(const sandbox::Books& participants, bool assignments);
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
  struct Deeds {
    int charges = 0, refunds = 0;
    int assignments = 0;    // that hold a driver
    std::string driver_id;  // of one of these
  };

  static Version VersionOf(const storage::OrderRecord& record);
  void OnWrite(const saga::testing::MemoryBook::Row& row);
  void TakeDriver(const storage::OrderRecord& record);
  static std::map<Uuid, Deeds> DeedsIn(const sandbox::Books& participants);
  void CheckKeys(const sandbox::Books& participants);
  void CheckMoney(const storage::OrderRecord& record, const Deeds& deeds, bool resolved);
  void CheckAssignment(const storage::OrderRecord& record, const Deeds& deeds, bool resolved);

  storage::testing::MemoryOrderBook& book_;
  std::map<Uuid, std::vector<Version>> versions_;
  std::set<Uuid> unfinished_;
  std::map<Uuid, std::string> holds_;  // driver of an order
  std::map<std::string, int> held_;    // orders of a driver
  std::multimap<Uuid, Promise> promises_;
  std::string wrong_;
};

}  // namespace waybill::simulation
