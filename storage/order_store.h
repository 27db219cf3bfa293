// Reads of orders and sagas. Writes go through the saga's journal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/driver.h"
#include "runtime/ids.h"
#include "saga/definition.h"
#include "saga/record.h"
#include "storage/order_record.h"

namespace waybill::storage {

// Whose orders: a client's; nullopt: everybody's.
using Owner = std::optional<std::string>;

// Filters are conjunctive; an empty one does not filter.
struct OrderQuery {
  Owner owner;
  std::string user_id;
  struct Status {  // an order's status is derived from its saga's state, and from its failure or its wait
    saga::State state;
    std::optional<bool> cancelled = std::nullopt;  // kCompensated only: turned back on request, or not
    std::optional<bool> waiting = std::nullopt;  // kRunning only: its step waits for what is decided elsewhere, or not
    std::optional<bool> review = std::nullopt;   // with `waiting` only: that is domain::kAssessRisk, or another
  };
  std::vector<Status> statuses;
  absl::Time created_from = absl::InfinitePast();
  absl::Time created_to = absl::InfiniteFuture();
  std::optional<Uuid> before;  // page: only orders with a smaller id (ids sort by creation time)
  int limit = 50;
};

// Of every kind, also of those that this process does not drive.
struct SagaQuery {
  std::string kind;  // empty: all
  std::vector<saga::State> states;
  absl::Duration min_age = absl::ZeroDuration();
  bool needs_attention = false;
  bool waiting = false;
  std::optional<Uuid> after;  // page: only sagas with a greater id
  int limit = 50;
};

// A saga's header with its lease, for operators.
struct SagaView {
  saga::Header header;
  std::string step_name;  // where it stands; empty: of a version whose steps nobody has written down
  std::string owner;
  std::optional<absl::Time> lease_until;

  // For what the header says. One that was claimed waits no longer, though its header still says for what it did.
  bool waiting() const { return !lease_until.has_value() && !header.waits_for.empty(); }
};

// Of sagas that wait so many are counted, and no more.
inline constexpr int64_t kWaitingCounted = 100'000;

// Of sagas of every kind.
struct UnfinishedStats {
  int64_t running = 0;
  int64_t closing = 0;
  int64_t compensating = 0;
  int64_t waiting = 0;                            // none of those above
  absl::Duration overdue = absl::ZeroDuration();  // how long one of them should have been woken; 0 when none should
  int64_t needing_attention = 0;
  // How long the sweep of young sagas has waited for older transactions to end; as a rule less than a second.
  absl::Duration unswept = absl::ZeroDuration();
  int64_t not_driven_here = 0;  // of those that do not wait, what is of kinds or versions that are not driven here
  // Of the oldest that does not wait, since it was created or since its newest wait ended; 0 when there is none.
  absl::Duration oldest_age = absl::ZeroDuration();
};

using saga::kCancelledReason;

// The constraints by which the schema refuses to begin a partial refund.
inline constexpr std::string_view kPartsWithinCharge = "payments_parts_within_charge";
inline constexpr std::string_view kPartsBounded = "payments_parts_bounded";
inline constexpr std::string_view kOfAnOrderThatStands = "partial_refunds_of_an_order_that_stands";

// ORDER_NOT_FOUND.
absl::Status OrderNotFound(const Uuid& order_id);
// Whether it is one of OrderStore::InReview.
bool IsInReview(const saga::Header& header);

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer; UNREADABLE_ROW when a row is
// of a newer version.
class OrderStore {
 public:
  virtual ~OrderStore() = default;
  virtual absl::StatusOr<OrderRecord> Get(const Uuid& order_id) = 0;  // ORDER_NOT_FOUND
  // An order of somebody else's is as one that is not there: ids shall tell nobody what others have ordered.
  absl::StatusOr<OrderRecord> GetOf(const Uuid& order_id, const Owner& owner);
  virtual absl::StatusOr<OrderRecord> GetByKey(const std::string& client,
                                               const std::string& idempotency_key) = 0;  // ORDER_NOT_FOUND
  virtual absl::StatusOr<std::vector<OrderRecord>> List(const OrderQuery& query) = 0;    // newest first
  virtual absl::StatusOr<std::vector<saga::LogEntry>> Log(const Uuid& order_id, int64_t from_seq) = 0;
  // How far the logs of these orders go: their ids, those that are there, each once, with the newest sequence.
  virtual absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> LastSequences(const std::vector<Uuid>& order_ids) = 0;
  // The same of their partial refunds: how many times one was asked for or decided. Orders that had none are left out.
  virtual absl::StatusOr<std::vector<std::pair<Uuid, int64_t>>> RefundChanges(const std::vector<Uuid>& order_ids) = 0;

  virtual absl::StatusOr<std::vector<SagaView>> ListSagas(const SagaQuery& query) = 0;  // oldest first
  // Those of every kind that wait for a person (domain::kAssessRisk), the newest first; `before`: only behind that one.
  virtual absl::StatusOr<std::vector<Uuid>> InReview(const std::optional<Uuid>& before, int limit) = 0;
  virtual absl::StatusOr<SagaView> GetSaga(const Uuid& saga_id) = 0;                     // SAGA_NOT_FOUND
  virtual absl::StatusOr<std::vector<saga::LogEntry>> SagaLog(const Uuid& saga_id) = 0;  // from its beginning
  // `here`: what this process drives.
  virtual absl::StatusOr<UnfinishedStats> Unfinished(const saga::Kinds& here) = 0;

  // How many orders each driver holds now, for dispatch to start from.
  virtual absl::StatusOr<std::vector<domain::DriverSlot>> TakenSlots() = 0;
  // Drivers with a capacity other than one: {driver_id, capacity}; 0 of those who are off duty.
  virtual absl::StatusOr<std::vector<domain::DriverSlot>> Capacities() = 0;
  // Of any drivers, known or not; in the order in which they are asked for, repeated ones included.
  virtual absl::StatusOr<std::vector<domain::DriverLoad>> Loads(const std::vector<std::string>& driver_ids) = 0;

  virtual absl::Status Ping() = 0;
};

}  // namespace waybill::storage
