// Payments without an order, without gRPC: durable before they are answered, and charged after that.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/scheduler.h"
#include "saga/runner.h"
#include "services/order/intake.h"
#include "services/order/order_api.h"
#include "services/order/payment_routing.h"
#include "services/order/pending_answer.h"
#include "storage/payment_store.h"

namespace waybill::order {

// A payment that may be written: of `client`, under the id that it has given it, a UUID. BAD_REQUEST, with every field
// that is wrong.
// `user_id` and `payer` are for the rules of risk, and may be missing.
absl::StatusOr<domain::Payment> TakeNewPayment(std::string_view client, std::string_view payment_id,
                                               std::optional<Money> amount, std::string user_id = "",
                                               std::optional<domain::Payer> payer = std::nullopt);
// The id as it is kept: in lower case. BAD_REQUEST.
absl::StatusOr<std::string> TakePaymentId(std::string_view payment_id);

// As in waybill/payments/v1, with the same numbers.
enum class PaymentStatus : uint8_t {
  kPending = 1,
  kAwaitingPayer = 2,
  kPaid = 3,
  kTurningBack = 4,
  kFailed = 5,
  kResolved = 6,
  kAwaitingReview = 7,
};
PaymentStatus StatusOfPayment(const saga::Header& header);

class PaymentApi {
 public:
  struct Answer {
    storage::PaymentRecord payment;
    bool replayed = false;  // it was there before
  };
  using Pending = std::shared_ptr<PendingAnswer<Answer>>;

  // All outlive this; no callback is in flight when it is destroyed. `routing` null: no payment is taken.
  PaymentApi(saga::Runner& runner, storage::PaymentStore& store, Executor& workers, Scheduler& scheduler,
             const Clock& clock, IdGenerator& ids, PaymentRouting* routing, OrderApiOptions options)
      : runner_(runner),
        store_(store),
        workers_(workers),
        scheduler_(scheduler),
        clock_(clock),
        ids_(ids),
        routing_(routing),
        options_(options) {}

  Pending Expect(PendingAnswer<Answer>::Done done) {
    return std::make_shared<PendingAnswer<Answer>>(scheduler_, std::move(done));
  }

  // Takes a payment once for each id of a client: answered as soon as it is durable that it will be charged. A
  // repetition is answered with the payment as it stands. BAD_REQUEST (the currency's tender has ended, and there is no
  // payment of this id), PAYMENT_ID_REUSED, NO_PAYMENT_GATEWAY, QUEUE_FULL, STORE_UNAVAILABLE (it may or may not
  // exist), SHUTTING_DOWN.
  void Take(domain::Payment payment, OrderApi::Trace trace, SteadyTime deadline, Pending answer);

  // PAYMENT_NOT_FOUND.
  void Get(const std::string& client, const std::string& payment_id,
           absl::AnyInvocable<void(absl::StatusOr<storage::PaymentRecord>)> done);

  // From now on no payment is taken.
  void SetDraining() { draining_ = true; }
  size_t undecided() const { return undecided_; }

 private:
  void Begin(domain::Payment payment, OrderApi::Trace trace, Pending answer);
  // Answers with the payment of this id, and with `otherwise` where there is none.
  void RepeatOnly(domain::Payment payment, absl::Status otherwise, Pending answer);

  saga::Runner& runner_;
  storage::PaymentStore& store_;
  Executor& workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  IdGenerator& ids_;
  PaymentRouting* const routing_;
  const OrderApiOptions options_;
  std::atomic<size_t> undecided_{0};
  std::atomic<bool> draining_{false};
};

}  // namespace waybill::order
