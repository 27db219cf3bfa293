// Partial refunds, without gRPC: durable before they are answered, and then waited for until the gateway has said what
// becomes of them, or the caller's time is over.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "domain/partial_refund.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/scheduler.h"
#include "saga/runner.h"
#include "services/order/order_api.h"
#include "services/order/pending_answer.h"
#include "storage/audit_log.h"
#include "storage/order_store.h"

namespace waybill::order {

// As TakeRefundOrder leaves it.
struct RefundRequest {
  Uuid order_id;
  std::string refund_id;  // 1-128 visible ASCII characters
  int64_t amount_minor = 0;
  std::string reason;
};
// BAD_REQUEST, with every field that is wrong.
absl::StatusOr<RefundRequest> TakeRefundOrder(std::string_view order_id, RefundRequest request);

inline constexpr size_t kRefundIdMax = 128;

class RefundApi {
 public:
  using Pending = std::shared_ptr<PendingAnswer<domain::PartialRefund>>;

  // All outlive this; no callback is in flight when it is destroyed.
  RefundApi(saga::Runner& runner, storage::OrderStore& store, storage::AuditLog& audit, Executor& workers,
            Scheduler& scheduler, const Clock& clock, IdGenerator& ids, OrderApiOptions options)
      : runner_(runner),
        store_(store),
        audit_(audit),
        workers_(workers),
        scheduler_(scheduler),
        clock_(clock),
        ids_(ids),
        options_(options) {}

  Pending Expect(PendingAnswer<domain::PartialRefund>::Done done) {
    return std::make_shared<PendingAnswer<domain::PartialRefund>>(scheduler_, std::move(done));
  }

  // Gives a part of an order's money back, once for each refund_id of the order. When the wait ends first, the refund
  // is answered open. An order of somebody else's than `owner` is ORDER_NOT_FOUND; what `by` does to another client's
  // is in the audit. ORDER_NOT_REFUNDABLE, REFUND_BEYOND_CHARGE, REFUND_ID_REUSED, REFUNDS_FULL, QUEUE_FULL,
  // STORE_UNAVAILABLE (it may or may not exist), SHUTTING_DOWN.
  void Refund(RefundRequest request, storage::Owner owner, domain::Actor by, OrderApi::Trace trace, SteadyTime deadline,
              Pending answer);

  // From now on new refunds are refused.
  void SetDraining() { draining_ = true; }

 private:
  // One call: what it asks for, and the refund as it is known to be durable.
  struct Asked;
  using AskedPtr = std::shared_ptr<Asked>;

  void Look(const AskedPtr& asked, bool begin);
  void Begin(const AskedPtr& asked, const storage::OrderRecord& order);
  void Take(const AskedPtr& asked, const domain::PartialRefund& existing);
  void Poll(const AskedPtr& asked, absl::Duration pause);

  saga::Runner& runner_;
  storage::OrderStore& store_;
  storage::AuditLog& audit_;
  Executor& workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  IdGenerator& ids_;
  const OrderApiOptions options_;
  std::atomic<bool> draining_{false};
};

// Which of an order's money is taken up by partial refunds, open ones included.
int64_t PartsOf(const domain::Order& order);
// And how much of it has gone back in all, as far as is known.
int64_t RefundedOf(const domain::Order& order);
// The latest time that anything did.
std::optional<absl::Time> RefundTimeOf(const domain::Order& order);

}  // namespace waybill::order
