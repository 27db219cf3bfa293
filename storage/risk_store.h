// What was assessed of orders, payments and payouts before their money moved, and what of that the next one is assessed
// by. Where it says order, each of them is meant.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "risk/assess.h"
#include "risk/facts.h"
#include "risk/rules.h"
#include "runtime/ids.h"

namespace waybill::storage {

struct RiskAssessment {
  Uuid order_id;  // or that of the saga of a payment or payout
  risk::Facts facts;
  absl::Time at;  // by the store's clock; of two that share a trait never the same
  risk::Assessment assessment;
  std::optional<absl::Time> review_until;               // of one that wants a person
  risk::Decision after_review = risk::Decision::kDeny;  // then
};

struct RiskQuery {
  absl::Time from = absl::InfinitePast();  // inclusive
  absl::Time to = absl::InfiniteFuture();  // exclusive
  std::optional<Uuid> after;               // that is the last one of the page before; `from` is its time
  size_t limit = 100;
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class RiskStore {
 public:
  virtual ~RiskStore() = default;

  struct Assessed {
    RiskAssessment kept;
    bool fresh = false;        // it was decided by this call
    bool review_over = false;  // by the store's clock, review_until is over
  };
  // Assesses an order by these rules, and keeps what came of it: durable when it returns. An order that was assessed
  // before is answered as it was then. With an error nothing is said: it may have been assessed or not, and asked again
  // it is answered.
  //
  // Orders and payments that share a user, a card, a device or an address are assessed one after the other, on all
  // processes: each by all that came before it, none of them missing and none that is not durable. So are payouts that
  // share an account or a destination.
  virtual absl::StatusOr<Assessed> Assess(const Uuid& order_id, const risk::Facts& facts, const risk::Rules& rules) = 0;

  // As it was kept, and never fresh. NOT_FOUND ORDER_NOT_FOUND when the order was never assessed.
  virtual absl::StatusOr<Assessed> Find(const Uuid& order_id) = 0;

  // What an assessment of these facts at that time would have been by: of orders that were assessed before it, and of
  // charges that were declined by then.
  virtual absl::StatusOr<risk::History> HistoryAt(const risk::Facts& facts, const risk::Questions& questions,
                                                  absl::Time at) = 0;

  // The oldest first.
  virtual absl::StatusOr<std::vector<RiskAssessment>> List(const RiskQuery& query) = 0;
};

}  // namespace waybill::storage
