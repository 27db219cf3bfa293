#include "services/order/order_api.h"

#include <algorithm>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/intake.h"
#include "services/order/place_order.h"

namespace waybill::order {
namespace {

using domain::Order;
using domain::ReasonError;
using storage::OrderRecord;

// A directive meets a state that has just changed, or a process that has just taken the saga over: look again.
constexpr int kDirectAttemptsMax = 4;

absl::Status WithOrder(std::string_view reason, std::string_view message, const Uuid& order_id,
                       std::optional<OrderStatus> status = std::nullopt) {
  ErrorDetail detail;
  detail.metadata.emplace_back("order_id", order_id.ToString());
  if (status.has_value()) detail.metadata.emplace_back("status", std::string(Name(*status)));
  return ReasonError(reason, message, std::move(detail));
}

// Null for a client's own order, of which as much happens as there are orders: its log says it.
domain::DeedPtr DeedOn(const OrderRecord& order, const domain::Actor& by, std::string action,
                       std::vector<std::pair<std::string, std::string>> detail) {
  if (by.client == order.payload.client) return nullptr;
  detail.emplace_back("of_client", order.payload.client);
  return std::make_shared<domain::Deed>(
      domain::Deed{by, std::move(action), "order", order.id.ToString(), std::move(detail)});
}

bool AwaitsPayer(const OrderRecord& record) {
  return StatusOf(record) == OrderStatus::kAwaitingPayment && record.payload.pending.has_value();
}

bool IsOfAnotherVersion(const absl::Status& status) { return GetErrorDetail(status).reason == saga::kNotDrivenHere; }

bool WorthAnotherLook(const absl::Status& status) {
  if (IsOfAnotherVersion(status)) return false;
  return status.code() == absl::StatusCode::kFailedPrecondition || status.code() == absl::StatusCode::kAborted;
}

}  // namespace

OrderApi::OrderApi(saga::Runner& runner, Dispatch& dispatch, storage::OrderStore& store, Executor& workers,
                   Executor& list_workers, Scheduler& scheduler, const Clock& clock, IdGenerator& ids,
                   OrderApiOptions options, PaymentRouting* routing)
    : runner_(runner),
      dispatch_(dispatch),
      store_(store),
      workers_(workers),
      list_workers_(list_workers),
      scheduler_(scheduler),
      clock_(clock),
      ids_(ids),
      options_(options),
      routing_(routing),
      checks_(options.check_payment_every) {}

// --- Creating.

void OrderApi::Create(Order order, Wait wait, SteadyTime deadline, Trace trace, Pending answer) {
  if (draining_) {
    answer->Give(ReasonError("SHUTTING_DOWN", "this process is draining"));
    return;
  }
  if (absl::Status ended = CheckTender(order, clock_.Now()); !ended.ok()) {
    RepeatOnly(std::move(order), wait, deadline, std::move(ended), std::move(answer));
    return;
  }
  auto fresh = std::make_unique<OrderRecord>();
  fresh->id = ids_.Next();
  fresh->created_at = clock_.Now();
  fresh->updated_at = fresh->created_at;
  fresh->traceparent = std::move(trace.parent);
  fresh->tracestate = std::move(trace.state);
  fresh->payload = std::move(order);
  if (routing_ != nullptr) routing_->Begin(fresh->payload, Capturing::kByGateway);

  const Uuid id = fresh->id;
  auto waited = std::make_shared<Waited>();
  BoundWait(waited, deadline, answer);
  OrderRecord accepted = *fresh;
  runner_.Start(
      std::move(fresh),
      [this, wait, answer, waited,
       accepted = std::move(accepted)](absl::StatusOr<std::unique_ptr<saga::Record>> existing) mutable {
        const bool made = existing.ok() && *existing == nullptr;
        if (!made && routing_ != nullptr) routing_->Drop(accepted.payload);
        if (!existing.ok()) {
          answer->Give(existing.status());
        } else if (!made) {
          waited->Name((*existing)->id);  // and not the order that was not made
          Replay(std::move(saga::As<Order>(**existing)), accepted.payload, wait, std::move(answer));
        } else {
          waited->Name(accepted.id);
          if (wait == Wait::kUntilAccepted) answer->Give(Answer{&accepted, false});
        }
      },
      [this, id, answer](absl::StatusOr<const saga::Record*> settled) {
        Ended(id, saga::IsDecided, false, settled, answer);
      });
}

void OrderApi::RepeatOnly(Order order, Wait wait, SteadyTime deadline, absl::Status otherwise, Pending answer) {
  auto waited = std::make_shared<Waited>();
  BoundWait(waited, deadline, answer);
  OnWorker(
      [this, order = std::move(order), wait, otherwise = std::move(otherwise), waited, answer] {
        absl::StatusOr<OrderRecord> existing = store_.GetByKey(order.client, order.idempotency_key);
        if (existing.ok()) {
          waited->Name(existing->id);
          Replay(*std::move(existing), order, wait, answer);
        } else {
          answer->Give(existing.status().code() == absl::StatusCode::kNotFound ? otherwise : existing.status());
        }
      },
      answer);
}

void OrderApi::BoundWait(std::shared_ptr<const Waited> waited, SteadyTime deadline, const Pending& answer) {
  SteadyTime now = clock_.Steady();
  SteadyTime until = std::min(deadline - options_.answer_margin, now + options_.wait_max);
  // The timer must not keep the call alive after it was answered.
  std::weak_ptr<PendingAnswer<Answer>> weak = answer;
  answer->Bound(until, [waited = std::move(waited), weak] {
    Pending late = weak.lock();
    if (!late) return;
    if (std::optional<Uuid> order_id = waited->order_id()) {
      late->Give(WithOrder("ORDER_STILL_RUNNING", "the wait ended before the order did; work goes on", *order_id));
    } else {
      late->Give(MayExist("order"));
    }
  });
}

void OrderApi::Replay(OrderRecord existing, const Order& repeated, Wait wait, Pending answer) {
  if (absl::Status same = CheckSameRequest(existing.payload, repeated); !same.ok()) {
    answer->Give(same);
  } else if (wait == Wait::kUntilAccepted || saga::IsDecided(existing.state) || Waits(existing)) {
    answer->Give(Answer{&existing, true});
  } else {
    AwaitEnd(existing.id, saga::IsDecided, true, std::move(answer));
  }
}

// --- Waiting for an order that is already under way, here or elsewhere.

// What it waits for stays in the row until the next write; that it goes on shows in its time, which a signal sets too.
bool OrderApi::Waits(const saga::Header& header) const {
  return !header.waits_for.empty() && header.wakes_at > clock_.Now();
}

void OrderApi::AwaitEnd(const Uuid& order_id, IsEnd is_end, bool replayed, Pending answer) {
  saga::Runner::Settled settled = [this, order_id, is_end, replayed,
                                   answer](absl::StatusOr<const saga::Record*> record) {
    Ended(order_id, is_end, replayed, record, answer);
  };
  if (!runner_.WhenSettled(order_id, settled)) {
    Poll(order_id, is_end, replayed, options_.poll_initial, std::move(answer));
  }
}

void OrderApi::Ended(const Uuid& order_id, IsEnd is_end, bool replayed, absl::StatusOr<const saga::Record*> record,
                     Pending answer) {
  if (record.ok()) {
    answer->Give(Answer{&saga::As<Order>(**record), replayed});
  } else if (GetErrorDetail(record.status()).reason == "SHUTTING_DOWN") {
    answer->Give(record.status());
  } else {
    // This process has let go of it; another one, or this one later, brings it to its end.
    Poll(order_id, is_end, replayed, options_.poll_initial, std::move(answer));
  }
}

void OrderApi::Poll(const Uuid& order_id, IsEnd is_end, bool replayed, absl::Duration pause, Pending answer) {
  if (answer->given()) return;
  auto later = [this, order_id, is_end, replayed, pause, answer] {
    absl::Duration next = std::min(pause * 2, options_.poll_max);
    scheduler_.At(clock_.Steady() + pause,
                  [this, order_id, is_end, replayed, next, answer] { Poll(order_id, is_end, replayed, next, answer); });
  };
  Executor::Task look = [this, order_id, is_end, replayed, answer, later] {
    absl::StatusOr<OrderRecord> record = store_.Get(order_id);
    if (record.ok() && (is_end(record->state) || Waits(*record))) {
      answer->Give(Answer{&*record, replayed});
    } else if (record.ok() || absl::IsUnavailable(record.status())) {
      later();
    } else {
      answer->Give(record.status());
    }
  };
  if (!workers_.Submit(look)) later();
}

void OrderApi::OnWorker(Executor::Task task, const Pending& answer) {
  if (!workers_.Submit(task)) answer->Give(domain::TooBusy());
}

// --- Turning back.

void OrderApi::Cancel(const Uuid& order_id, storage::Owner owner, domain::Actor by, std::string reason,
                      SteadyTime deadline, Pending answer) {
  auto waited = std::make_shared<Waited>();
  waited->Name(order_id);
  BoundWait(std::move(waited), deadline, answer);
  OnWorker([this, order_id, owner = std::move(owner), by = std::move(by), reason = std::move(reason),
            answer] { CancelOnWorker(order_id, owner, by, reason, 1, answer); },
           answer);
}

void OrderApi::CancelOnWorker(const Uuid& order_id, const storage::Owner& owner, const domain::Actor& by,
                              const std::string& reason, int attempt, Pending answer) {
  absl::StatusOr<OrderRecord> record = store_.GetOf(order_id, owner);
  if (!record.ok()) {
    answer->Give(record.status());
    return;
  }
  switch (record->state) {
    case saga::State::kCompensated:
      answer->Give(Answer{&*record});
      return;
    case saga::State::kClosing:
    case saga::State::kClosed:
    case saga::State::kResolved:
      answer->Give(
          WithOrder("ORDER_NOT_CANCELLABLE", "the order can no longer be turned back", order_id, StatusOf(*record)));
      return;
    case saga::State::kCompensating:
      AwaitEnd(order_id, saga::IsTerminal, false, std::move(answer));
      return;
    case saga::State::kRunning:
    case saga::State::kSucceeded:
      break;
  }
  saga::Directive cancel{saga::Directive::Kind::kCancel, reason,
                         DeedOn(*record, by, "order.cancel", {{"reason", reason}})};
  // As in CompleteOnWorker: our books free the driver before a remote dispatcher is told. A journaled dispatch frees
  // him in one commit with the release itself.
  saga::Runner::Prepare give_back;
  if (!dispatch_.journaled()) {
    give_back = [this, order_id](saga::Record& turned_back) {
      GiveBackDriver(dispatch_, order_id, saga::As<Order>(turned_back).payload);
    };
  }
  runner_.Direct(
      order_id, std::move(cancel), std::move(give_back),
      [this, order_id, owner, by, reason, attempt, answer](absl::StatusOr<const saga::Record*> settled) {
        if (WorthAnotherLook(settled.status()) && attempt < kDirectAttemptsMax) {
          OnWorker([this, order_id, owner, by, reason, attempt,
                    answer] { CancelOnWorker(order_id, owner, by, reason, attempt + 1, answer); },
                   answer);
        } else if (settled.ok()) {
          answer->Give(Answer{&saga::As<Order>(**settled)});
        } else if (absl::IsFailedPrecondition(settled.status()) && !IsOfAnotherVersion(settled.status())) {
          answer->Give(WithOrder("ORDER_NOT_CANCELLABLE", std::string(settled.status().message()), order_id));
        } else {
          answer->Give(settled.status());
        }
      });
}

// --- Completing.

void OrderApi::CheckPayment(const Uuid& order_id, storage::Owner owner, domain::Actor by, Pending answer) {
  OnWorker([this, order_id, owner = std::move(owner), by = std::move(by),
            answer] { CheckPaymentOnWorker(order_id, owner, by, answer); },
           answer);
}

void OrderApi::CheckPaymentOnWorker(const Uuid& order_id, const storage::Owner& owner, const domain::Actor& by,
                                    const Pending& answer) {
  absl::StatusOr<OrderRecord> record = store_.GetOf(order_id, owner);
  if (!record.ok()) {
    answer->Give(record.status());
    return;
  }
  if (AwaitsPayer(*record)) {
    domain::DeedPtr deed = DeedOn(*record, by, "order.check_payment", {});
    const PaymentChecks::Taken taken =
        deed == nullptr ? checks_.Take(order_id, clock_.Steady()) : PaymentChecks::Taken();
    if (taken.turn == PaymentChecks::Turn::kLater) {
      scheduler_.At(taken.at, [this, order_id] { CheckPaymentForAll(order_id); });
    } else if (taken.turn == PaymentChecks::Turn::kNow) {
      if (absl::Status said = AskForPayment(*record, std::move(deed)); !said.ok()) {
        answer->Give(said);
        return;
      }
    }
  }
  answer->Give(Answer{&*record});
}

void OrderApi::CheckPaymentForAll(const Uuid& order_id) {
  checks_.Asks(order_id, clock_.Steady());
  // When there is no room, or the store is away, they call again, or the gateway says so itself.
  Executor::Task ask = [this, order_id] {
    const absl::StatusOr<OrderRecord> record = store_.Get(order_id);
    if (record.ok() && AwaitsPayer(*record)) (void)AskForPayment(*record, nullptr);
  };
  (void)workers_.Submit(ask);
}

absl::Status OrderApi::AskForPayment(const OrderRecord& record, domain::DeedPtr deed) {
  saga::Signal signal;
  signal.step = std::string(domain::kChargePayment);
  signal.token = record.payload.pending->token;
  // That there is something to ask for; what, the gateway says.
  signal.outcome = saga::Outcome::Succeeded("the payer is back");
  signal.deed = std::move(deed);
  return runner_.AddSignal(record.id, std::move(signal)).status();
}

void OrderApi::Complete(const Uuid& order_id, storage::Owner owner, domain::Actor by, SteadyTime deadline,
                        Pending answer) {
  auto waited = std::make_shared<Waited>();
  waited->Name(order_id);
  BoundWait(std::move(waited), deadline, answer);
  OnWorker([this, order_id, owner = std::move(owner), by = std::move(by),
            answer] { CompleteOnWorker(order_id, owner, by, 1, answer); },
           answer);
}

void OrderApi::CompleteOnWorker(const Uuid& order_id, const storage::Owner& owner, const domain::Actor& by, int attempt,
                                Pending answer) {
  absl::StatusOr<OrderRecord> record = store_.GetOf(order_id, owner);
  if (!record.ok()) {
    answer->Give(record.status());
    return;
  }
  if (record->state == saga::State::kClosing || record->state == saga::State::kClosed) {
    answer->Give(Answer{&*record});
    return;
  }
  if (record->state != saga::State::kSucceeded) {
    answer->Give(
        WithOrder("ORDER_NOT_CONFIRMED", "only a confirmed order can be completed", order_id, StatusOf(*record)));
    return;
  }
  // Our books free the driver in the commit that closes; a remote dispatcher is told after it, and so cannot give him
  // to an order that our books would refuse.
  runner_.Direct(
      order_id, {saga::Directive::Kind::kClose, "", DeedOn(*record, by, "order.complete", {})},
      [this, order_id](saga::Record& closed) { GiveBackDriver(dispatch_, order_id, saga::As<Order>(closed).payload); },
      [this, order_id, owner, by, attempt, answer](absl::StatusOr<const saga::Record*> settled) {
        if (WorthAnotherLook(settled.status()) && attempt < kDirectAttemptsMax) {
          OnWorker([this, order_id, owner, by, attempt,
                    answer] { CompleteOnWorker(order_id, owner, by, attempt + 1, answer); },
                   answer);
        } else if (settled.ok()) {
          answer->Give(Answer{&saga::As<Order>(**settled)});
        } else if (absl::IsFailedPrecondition(settled.status()) && !IsOfAnotherVersion(settled.status())) {
          answer->Give(WithOrder("ORDER_NOT_CONFIRMED", std::string(settled.status().message()), order_id));
        } else {
          answer->Give(settled.status());
        }
      });
}

// --- Reading.

void OrderApi::Get(const Uuid& order_id, storage::Owner owner, absl::AnyInvocable<void(absl::StatusOr<Story>)> done) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::StatusOr<Story>)>>(std::move(done));
  Executor::Task read = [this, order_id, owner = std::move(owner), shared] {
    absl::StatusOr<OrderRecord> record = store_.GetOf(order_id, owner);
    if (!record.ok()) {
      (*shared)(record.status());
      return;
    }
    absl::StatusOr<std::vector<saga::LogEntry>> log = store_.Log(order_id, 1);
    if (!log.ok()) {
      (*shared)(log.status());
      return;
    }
    // Both as of the same moment.
    std::erase_if(*log, [&](const saga::LogEntry& entry) { return entry.seq > record->seq; });
    std::vector<Transition> transitions = TransitionsOf(*record, *std::move(log), 0);
    (*shared)(Story{*std::move(record), std::move(transitions)});
  };
  if (!workers_.Submit(read)) (*shared)(domain::TooBusy());
}

void OrderApi::List(storage::OrderQuery query,
                    absl::AnyInvocable<void(absl::StatusOr<std::vector<OrderRecord>>)> done) {
  auto shared = std::make_shared<absl::AnyInvocable<void(absl::StatusOr<std::vector<OrderRecord>>)>>(std::move(done));
  Executor::Task read = [this, query = std::move(query), shared] { (*shared)(store_.List(query)); };
  if (!list_workers_.Submit(read)) (*shared)(domain::TooBusy());
}

}  // namespace waybill::order
