// What the order service does, without gRPC: operations with callbacks. A caller's deadline bounds how long it waits,
// never the work.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "domain/order.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/scheduler.h"
#include "saga/runner.h"
#include "services/order/dispatch.h"
#include "services/order/order_status.h"
#include "services/order/payment_checks.h"
#include "services/order/payment_routing.h"
#include "services/order/pending_answer.h"
#include "storage/order_record.h"
#include "storage/order_store.h"

namespace waybill::order {

struct OrderApiOptions {
  absl::Duration wait_max = absl::Seconds(30);
  absl::Duration answer_margin = absl::Milliseconds(5);  // an answer is given so long before the caller's deadline
  // Between looks at an order that another process drives.
  absl::Duration poll_initial = absl::Milliseconds(20);
  absl::Duration poll_max = absl::Milliseconds(500);
  absl::Duration check_payment_every = absl::Seconds(2);  // of one order, by this process
  // Of the runner's room, what is left to orders: while there is no more, no payment without an order is taken, and no
  // payout. So orders find room however long a gateway is away.
  size_t room_kept = 10'000;
};

class OrderApi {
 public:
  struct Answer {
    const storage::OrderRecord* order;  // valid during the call only
    bool replayed = false;              // the order was there before
  };
  using Pending = std::shared_ptr<PendingAnswer<Answer>>;
  // Of the call, as metadata carry it; either may be empty.
  struct Trace {
    std::string parent, state;
  };
  enum class Wait { kUntilSettled, kUntilAccepted };

  // All outlive this; no callback is in flight when it is destroyed. `routing` null: there is one gateway. Lists have
  // workers of their own: a slow one shall hold up nobody but lists.
  OrderApi(saga::Runner& runner, Dispatch& dispatch, storage::OrderStore& store, Executor& workers,
           Executor& list_workers, Scheduler& scheduler, const Clock& clock, IdGenerator& ids, OrderApiOptions options,
           PaymentRouting* routing = nullptr);

  // The answer to a call; `done` gets it exactly once. A caller that goes away says so by Abandon.
  Pending Expect(PendingAnswer<Answer>::Done done) {
    return std::make_shared<PendingAnswer<Answer>>(scheduler_, std::move(done));
  }

  // `order` is from TakeOrder. An order that comes to wait is answered as it is, PENDING. BAD_REQUEST (the currency's
  // tender has ended, and no order has the key), IDEMPOTENCY_KEY_REUSED, QUEUE_FULL, STORE_UNAVAILABLE,
  // ORDER_STILL_RUNNING (it is durable and goes on), SHUTTING_DOWN.
  void Create(domain::Order order, Wait wait, SteadyTime deadline, Trace trace, Pending answer);

  // Here and below: an order of somebody else's than `owner` is ORDER_NOT_FOUND. What `by` does to an order of another
  // client's is in the audit; what a client does to its own, in the order's log alone.

  // Turns the order back and waits until that is done. A failed order is answered as it is: the money is back.
  // ORDER_NOT_FOUND, ORDER_NOT_CANCELLABLE, and as Create.
  void Cancel(const Uuid& order_id, storage::Owner owner, domain::Actor by, std::string reason, SteadyTime deadline,
              Pending answer);

  // Answers when it is durable that the order cannot be turned back any more. ORDER_NOT_FOUND, ORDER_NOT_CONFIRMED, and
  // as Create.
  void Complete(const Uuid& order_id, storage::Owner owner, domain::Actor by, SteadyTime deadline, Pending answer);

  // Has the gateway asked what became of a charge that waits for its payer; of an order that does not wait so, nothing.
  // Answers the order as it stood before. Within check_payment_every of the last time all who come share the next one;
  // who comes to another client's order does not, for the audit has his deed. ORDER_NOT_FOUND, QUEUE_FULL,
  // STORE_UNAVAILABLE.
  void CheckPayment(const Uuid& order_id, storage::Owner owner, domain::Actor by, Pending answer);

  struct Story {
    storage::OrderRecord order;
    std::vector<Transition> transitions;
  };
  void Get(const Uuid& order_id, storage::Owner owner, absl::AnyInvocable<void(absl::StatusOr<Story>)> done);
  void List(storage::OrderQuery query,
            absl::AnyInvocable<void(absl::StatusOr<std::vector<storage::OrderRecord>>)> done);

  // From now on new orders are refused.
  void SetDraining() { draining_ = true; }

 private:
  using IsEnd = bool (*)(saga::State);

  // Nobody drives it, until it is signalled or its time is over: a call that waits for its end is answered with it.
  bool Waits(const saga::Header& header) const;

  // Which order a call waits for, once that is known and durable.
  class Waited {
   public:
    void Name(const Uuid& order_id) {
      order_id_ = order_id;
      durable_.store(true, std::memory_order_release);
    }
    std::optional<Uuid> order_id() const {
      if (!durable_.load(std::memory_order_acquire)) return std::nullopt;
      return order_id_;
    }

   private:
    Uuid order_id_;
    std::atomic<bool> durable_{false};
  };

  void BoundWait(std::shared_ptr<const Waited> waited, SteadyTime deadline, const Pending& answer);
  // Answers with the order that has this key, and with `otherwise` where there is none.
  void RepeatOnly(domain::Order order, Wait wait, SteadyTime deadline, absl::Status otherwise, Pending answer);
  void Replay(storage::OrderRecord existing, const domain::Order& repeated, Wait wait, Pending answer);
  void AwaitEnd(const Uuid& order_id, IsEnd is_end, bool replayed, Pending answer);
  void Ended(const Uuid& order_id, IsEnd is_end, bool replayed, absl::StatusOr<const saga::Record*> record,
             Pending answer);
  void Poll(const Uuid& order_id, IsEnd is_end, bool replayed, absl::Duration pause, Pending answer);
  void OnWorker(Executor::Task task, const Pending& answer);
  void CancelOnWorker(const Uuid& order_id, const storage::Owner& owner, const domain::Actor& by,
                      const std::string& reason, int attempt, Pending answer);
  void CheckPaymentOnWorker(const Uuid& order_id, const storage::Owner& owner, const domain::Actor& by,
                            const Pending& answer);
  // Those who have come since the last time, and have their answer.
  void CheckPaymentForAll(const Uuid& order_id);
  absl::Status AskForPayment(const storage::OrderRecord& record, domain::DeedPtr deed);
  void CompleteOnWorker(const Uuid& order_id, const storage::Owner& owner, const domain::Actor& by, int attempt,
                        Pending answer);

  saga::Runner& runner_;
  Dispatch& dispatch_;
  storage::OrderStore& store_;
  Executor& workers_;
  Executor& list_workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  IdGenerator& ids_;
  const OrderApiOptions options_;
  PaymentRouting* const routing_;
  PaymentChecks checks_;
  std::atomic<bool> draining_{false};
};

}  // namespace waybill::order
