// Payouts, without gRPC: durable with their holds before they are answered, and then waited for until the gateway has
// said what becomes of them, or the caller's time is over.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/payout.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/scheduler.h"
#include "saga/runner.h"
#include "services/order/intake.h"
#include "services/order/order_api.h"
#include "services/order/pending_answer.h"
#include "storage/payout_store.h"

namespace waybill::order {

struct NewPayout {
  std::string payout_id;
  std::string account;
  std::optional<Money> amount;
  std::string destination;
  std::string description;
};
// One that may be written, of `client`. BAD_REQUEST, with every field that is wrong.
absl::StatusOr<domain::Payout> TakeNewPayout(std::string_view client, NewPayout asked);
// The id as it is. BAD_REQUEST.
absl::StatusOr<std::string> TakePayoutId(std::string payout_id);
// Whose payout is asked for: the caller's own, or that client's who is named, if the caller sees everybody's.
// SCOPE_MISSING.
absl::StatusOr<std::string> WhosePayout(std::string_view caller, bool sees_all, std::string_view named);

// As in waybill/payouts/v1, with the same numbers.
enum class PayoutStatus : uint8_t {
  kOpen = 1,
  kPending = 2,
  kPaid = 3,
  kRefused = 4,
  kResolved = 5,
  kAwaitingReview = 6,
};
PayoutStatus StatusOfPayout(const storage::PayoutRecord& record);

class PayoutApi {
 public:
  struct Answer {
    storage::PayoutRecord payout;
    bool replayed = false;  // it was there before
  };
  using Pending = std::shared_ptr<PendingAnswer<Answer>>;

  // All outlive this; no callback is in flight when it is destroyed. `open`: there is a gateway, and new payouts are
  // taken. Lists run on `list_workers`.
  PayoutApi(saga::Runner& runner, storage::PayoutStore& store, Executor& workers, Executor& list_workers,
            Scheduler& scheduler, const Clock& clock, IdGenerator& ids, bool open, OrderApiOptions options)
      : runner_(runner),
        store_(store),
        workers_(workers),
        list_workers_(list_workers),
        scheduler_(scheduler),
        clock_(clock),
        ids_(ids),
        open_(open),
        options_(options) {}

  Pending Expect(PendingAnswer<Answer>::Done done) {
    return std::make_shared<PendingAnswer<Answer>>(scheduler_, std::move(done));
  }

  // Pays out once for each payout_id of a client. Where the account has not so much, the payout is refused, for good.
  // When the wait ends first, it is answered open. PAYOUT_ID_REUSED, PAYOUT_ACCOUNT_UNUSABLE, NO_PAYOUT_GATEWAY,
  // QUEUE_FULL, STORE_UNAVAILABLE (it may or may not exist), SHUTTING_DOWN.
  void Create(domain::Payout payout, OrderApi::Trace trace, SteadyTime deadline, Pending answer);

  // PAYOUT_NOT_FOUND.
  void Get(const std::string& client, const std::string& payout_id,
           absl::AnyInvocable<void(absl::StatusOr<storage::PayoutRecord>)> done);
  void List(storage::PayoutQuery query,
            absl::AnyInvocable<void(absl::StatusOr<std::vector<storage::PayoutRecord>>)> done);

  // From now on new payouts are refused.
  void SetDraining() { draining_ = true; }
  // That this process has begun, and that are not decided yet.
  size_t undecided() const { return undecided_; }

 private:
  struct Asked;
  using AskedPtr = std::shared_ptr<Asked>;

  void Look(const AskedPtr& asked);
  void Begin(const AskedPtr& asked, bool refused);
  void Take(const AskedPtr& asked, storage::PayoutRecord existing);
  void Poll(const AskedPtr& asked, absl::Duration pause);

  saga::Runner& runner_;
  storage::PayoutStore& store_;
  Executor& workers_;
  Executor& list_workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  IdGenerator& ids_;
  const bool open_;
  const OrderApiOptions options_;
  std::atomic<size_t> undecided_{0};
  std::atomic<bool> draining_{false};
};

}  // namespace waybill::order
