#include "services/order/payout_api.h"

#include <algorithm>
#include <utility>

#include "domain/access.h"
#include "domain/client.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "ledger/account.h"
#include "services/order/differing.h"
#include "services/order/pay_out.h"
#include "storage/refused_by.h"

namespace waybill::order {
namespace {

using domain::Payout;
using storage::PayoutRecord;

constexpr size_t kDestinationMax = 256, kDescriptionMax = 140;

void CheckLedgerId(std::string_view id, std::string_view field, Violations& violations) {
  if (!ledger::IsId(id)) violations.Add(std::string(field), "has to be 1 to 64 of A-Z a-z 0-9 . _ : -");
}

absl::Status CheckSamePayout(const Payout& existing, const Payout& repeated) {
  Differing differing;
  differing.If(existing.account != repeated.account, "account")
      .If(existing.amount_minor != repeated.amount_minor, "amount.minor_units")
      .If(existing.currency != repeated.currency, "amount.currency")
      .If(existing.destination != repeated.destination, "destination")
      .If(existing.description != repeated.description, "description");
  if (differing.empty()) return absl::OkStatus();
  return domain::ReasonError("PAYOUT_ID_REUSED",
                             fmt::format("the client has another payout of this id: {} differs", differing.fields()),
                             {.metadata = {{"payout_id", repeated.payout_id}, {"fields", differing.fields()}}});
}

absl::Status AccountUnusable(const Payout& payout) {
  return domain::ReasonError(
      "PAYOUT_ACCOUNT_UNUSABLE",
      fmt::format("the client has no open account {} in {} in the ledger", payout.account, payout.currency),
      {.metadata = {{"account", payout.account}, {"currency", payout.currency}}});
}

}  // namespace

absl::StatusOr<Payout> TakeNewPayout(std::string_view client, NewPayout asked) {
  Violations violations;
  if (!client.empty()) CheckVisibleAscii(client, kClientMax, "waybill-client", violations);
  CheckLedgerId(asked.payout_id, "payout_id", violations);
  CheckLedgerId(asked.account, "account_id", violations);
  CheckAmount(asked.amount, violations);
  CheckVisibleAscii(asked.destination, kDestinationMax, "destination", violations);
  CheckText(asked.description, 0, kDescriptionMax, "description", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  if (domain::IsReservedClient(client)) {
    return domain::ReasonError(
        "CLIENT_RESERVED", fmt::format("the accounts of {} are Waybill's own, and nobody is paid from them", client));
  }
  Payout payout;
  payout.client = ClientNamed(client);
  payout.payout_id = std::move(asked.payout_id);
  payout.account = std::move(asked.account);
  payout.amount_minor = asked.amount->minor_units;
  payout.currency = std::move(asked.amount->currency);
  payout.destination = std::move(asked.destination);
  payout.description = std::move(asked.description);
  return payout;
}

absl::StatusOr<std::string> TakePayoutId(std::string payout_id) {
  Violations violations;
  CheckLedgerId(payout_id, "payout_id", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return payout_id;
}

absl::StatusOr<std::string> WhosePayout(std::string_view caller, bool sees_all, std::string_view named) {
  const std::string_view own = ClientNamed(caller);
  if (named.empty() || named == own) return std::string(own);
  if (sees_all) return std::string(named);
  return domain::ReasonError("SCOPE_MISSING", "only who has the scope ops reads what is another client's",
                             {.metadata = {{"scope", std::string(domain::Name(domain::Scope::kOps))}}});
}

PayoutStatus StatusOfPayout(const PayoutRecord& record) {
  switch (record.payload.state) {
    case Payout::State::kOpen:
      if (storage::IsInReview(record)) return PayoutStatus::kAwaitingReview;
      return record.waits_for.empty() ? PayoutStatus::kOpen : PayoutStatus::kPending;
    case Payout::State::kPaid:
      return PayoutStatus::kPaid;
    case Payout::State::kRefused:
      return PayoutStatus::kRefused;
    case Payout::State::kResolved:
      return PayoutStatus::kResolved;
  }
  return PayoutStatus::kOpen;
}

struct PayoutApi::Asked {
  Payout payout;
  OrderApi::Trace trace;
  Pending answer;
  bool replayed = false;  // it was there before
};

void PayoutApi::Create(Payout payout, OrderApi::Trace trace, SteadyTime deadline, Pending answer) {
  if (draining_) {
    answer->Give(domain::ReasonError("SHUTTING_DOWN", "this process is draining"));
    return;
  }
  auto asked = std::make_shared<Asked>();
  asked->payout = std::move(payout);
  asked->trace = std::move(trace);
  asked->answer = answer;
  const SteadyTime until = std::min(deadline - options_.answer_margin, clock_.Steady() + options_.wait_max);
  BoundWait(answer, until, "payout");
  Executor::Task look = [this, asked] { Look(asked); };
  if (!workers_.Submit(look)) answer->Give(domain::TooBusy());
}

// On a worker. What is certainly refused is not tried: a hold that the ledger refuses fails its whole commit, and with
// it takes the others' time.
void PayoutApi::Look(const AskedPtr& asked) {
  const Payout& payout = asked->payout;
  absl::StatusOr<PayoutRecord> existing = store_.Find(payout.client, payout.payout_id);
  if (existing.ok()) {
    Take(asked, *std::move(existing));
    return;
  }
  if (!absl::IsNotFound(existing.status())) {
    asked->answer->Give(existing.status());
    return;
  }
  if (!open_) {
    asked->answer->Give(domain::ReasonError("NO_PAYOUT_GATEWAY", "this service was started without --payout-gateway"));
    return;
  }
  const absl::StatusOr<std::optional<int64_t>> available =
      store_.Available(payout.client, payout.account, payout.currency);
  if (!available.ok()) {
    asked->answer->Give(available.status());
  } else if (!available->has_value()) {
    asked->answer->Give(AccountUnusable(payout));
  } else {
    Begin(asked, /*refused=*/**available < payout.amount_minor);
  }
}

// One that is refused is kept, too: whoever repeats it later must not find that it is paid after all.
void PayoutApi::Begin(const AskedPtr& asked, bool refused) {
  auto fresh = std::make_unique<PayoutRecord>();
  fresh->id = ids_.Next();
  fresh->created_at = fresh->updated_at = clock_.Now();
  fresh->traceparent = asked->trace.parent;
  fresh->tracestate = asked->trace.state;
  fresh->payload = asked->payout;
  fresh->payload.begun_at = fresh->created_at;
  if (refused) {
    fresh->payload.state = Payout::State::kRefused;
    fresh->payload.refusal = std::string(kInsufficientFunds);
    fresh->payload.decided_at = fresh->created_at;
  }
  const PayoutRecord begun = *fresh;
  if (runner_.room() <= options_.room_kept) {
    asked->answer->Give(domain::QueueFull("too many payouts are not decided yet", absl::Seconds(1)));
    return;
  }
  ++undecided_;
  runner_.Start(
      std::move(fresh),
      [this, asked, begun, refused](absl::StatusOr<std::unique_ptr<saga::Record>> existing) {
        if (existing.ok() && *existing == nullptr) {
          asked->answer->Keep({begun});
          return;
        }
        --undecided_;
        if (existing.ok()) {
          Take(asked, std::move(saga::As<Payout>(**existing)));
          return;
        }
        const std::string_view rule = storage::RefusedBy(
            existing.status(),
            {storage::kPayoutWithinBalance, storage::kDebitsWithinCredits, storage::kPayoutFromAnAccount});
        if (rule.empty() || refused) {
          asked->answer->Give(existing.status());
        } else if (rule == storage::kPayoutFromAnAccount) {
          asked->answer->Give(AccountUnusable(asked->payout));
        } else {  // what came in between has taken the money
          Begin(asked, /*refused=*/true);
        }
      },
      [this, asked](absl::StatusOr<const saga::Record*> settled) {
        --undecided_;
        if (settled.ok()) {
          asked->answer->Give(Answer{saga::As<Payout>(**settled)});
        } else {
          Poll(asked, options_.poll_initial);  // another process, or this one later, brings it to its end
        }
      });
}

void PayoutApi::Take(const AskedPtr& asked, PayoutRecord existing) {
  if (absl::Status same = CheckSamePayout(existing.payload, asked->payout); !same.ok()) {
    asked->answer->Give(same);
  } else if (existing.payload.state != Payout::State::kOpen || !existing.waits_for.empty()) {
    asked->answer->Give(Answer{std::move(existing), /*replayed=*/true});
  } else {
    asked->replayed = true;
    asked->answer->Keep({std::move(existing), asked->replayed});
    Poll(asked, options_.poll_initial);
  }
}

void PayoutApi::Poll(const AskedPtr& asked, absl::Duration pause) {
  if (asked->answer->given()) return;
  auto later = [this, asked, pause] {
    const absl::Duration next = std::min(pause * 2, options_.poll_max);
    scheduler_.At(clock_.Steady() + pause, [this, asked, next] { Poll(asked, next); });
  };
  Executor::Task look = [this, asked, later] {
    absl::StatusOr<PayoutRecord> payout = store_.Find(asked->payout.client, asked->payout.payout_id);
    if (!payout.ok() && !absl::IsUnavailable(payout.status())) {
      asked->answer->Give(payout.status());
    } else if (payout.ok() && (payout->payload.state != Payout::State::kOpen || !payout->waits_for.empty())) {
      asked->answer->Give(Answer{*std::move(payout), asked->replayed});
    } else {
      later();
    }
  };
  if (!workers_.Submit(look)) later();
}

void PayoutApi::Get(const std::string& client, const std::string& payout_id,
                    absl::AnyInvocable<void(absl::StatusOr<PayoutRecord>)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  Executor::Task look = [this, client, payout_id, shared] { (*shared)(store_.Find(client, payout_id)); };
  if (!workers_.Submit(look)) (*shared)(domain::TooBusy());
}

void PayoutApi::List(storage::PayoutQuery query,
                     absl::AnyInvocable<void(absl::StatusOr<std::vector<PayoutRecord>>)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  Executor::Task read = [this, query = std::move(query), shared] { (*shared)(store_.List(query)); };
  if (!list_workers_.Submit(read)) (*shared)(domain::TooBusy());
}

}  // namespace waybill::order
