// What operators see of the rules of risk, and decide.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/deed.h"
#include "risk/assess.h"
#include "runtime/ids.h"
#include "saga/runner.h"
#include "storage/order_store.h"
#include "storage/risk_store.h"

namespace waybill::order {

// Blocks on the stores; thread-safe.
class RiskApi {
 public:
  // All outlive it.
  RiskApi(storage::RiskStore& risk, storage::OrderStore& orders, saga::Runner& runner)
      : risk_(risk), orders_(orders), runner_(runner) {}

  // Orders, payments and payouts that wait for a person, the newest first; `before`: those that were made before that
  // one. Their ids: the order's own, or that of the saga of a payment or payout; here and in what follows.
  absl::StatusOr<std::vector<storage::RiskAssessment>> Reviews(std::optional<Uuid> before, int limit);

  // Lets one that waits for a person go on, or ends it. Durable, and in the audit, when it returns.
  // ORDER_NOT_FOUND; REVIEW_NOT_OPEN when it does not wait for a person, or somebody has decided, or its time is over.
  absl::Status Decide(const Uuid& order_id, bool allow, domain::Actor by, std::string reason);

  absl::StatusOr<storage::RiskAssessment> Get(const Uuid& order_id);  // ORDER_NOT_FOUND

  struct Tested {
    storage::RiskAssessment was;
    risk::Assessment would_be;
  };
  // What these rules would have said of assessments that were made, each by what was known when it was.
  absl::StatusOr<std::vector<Tested>> Test(const risk::Rules& rules, const storage::RiskQuery& query);

 private:
  storage::RiskStore& risk_;
  storage::OrderStore& orders_;
  saga::Runner& runner_;
};

}  // namespace waybill::order
