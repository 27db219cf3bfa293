#include "services/order/testing/fake_payout_gateway.h"

#include <utility>

#include "absl/status/status.h"

namespace waybill::order::testing {

void FakePayoutGateway::WillMeet(std::deque<Fate> fates) {
  std::lock_guard lock(mutex_);
  fates_ = std::move(fates);
}

void FakePayoutGateway::set_fate(Fate fate) {
  std::lock_guard lock(mutex_);
  fate_ = fate;
}

void FakePayoutGateway::Land() {
  std::lock_guard lock(mutex_);
  for (const auto& [key, amount_minor] : slow_) PayNow(key, amount_minor, Fate::kAnswered).IgnoreError();
  slow_.clear();
}

void FakePayoutGateway::Decide(const std::string& key, bool pay) {
  std::lock_guard lock(mutex_);
  Entry& entry = books_[key];
  if (!std::exchange(entry.pending, false)) return;
  if (pay) {
    ++entry.pays;
  } else {
    entry.refusal = "REFUSED_BY_BANK";
  }
}

absl::StatusOr<PayResult> FakePayoutGateway::PayNow(const std::string& key, int64_t amount_minor, Fate fate) {
  const auto [known, fresh] = books_.try_emplace(key);
  Entry& entry = known->second;
  if (fresh) {
    entry.amount_minor = amount_minor;
    if (fate == Fate::kDeclined) {
      entry.refusal = "ACCOUNT_CLOSED";
    } else if (fate == Fate::kPending) {
      entry.pending = true;
    } else {
      ++entry.pays;
    }
  }
  if (entry.amount_minor != amount_minor) return absl::FailedPreconditionError("the key had another amount");
  if (entry.pending) return PayResult::Postpone("pending-" + key, pending_until_);
  if (!entry.refusal.empty()) return PayResult::Refuse(entry.refusal);
  return PayResult::Done("fake-" + key);
}

void FakePayoutGateway::Pay(const ParticipantCall& call, const domain::Payout& payout,
                            absl::AnyInvocable<void(absl::StatusOr<PayResult>)> done) {
  absl::StatusOr<PayResult> answer;
  {
    std::lock_guard lock(mutex_);
    ++calls_;
    Fate fate = fate_;
    if (!fates_.empty()) {
      fate = fates_.front();
      fates_.pop_front();
    }
    if (fate == Fate::kRefused) {  // without a look at the books
      answer = PayResult::Refuse("DUPLICATE");
    } else if (slow_.contains(call.key)) {
      answer = StillExecuting();
    } else {
      if (fate == Fate::kSlow) slow_[call.key] = payout.amount_minor;
      if (Executes(fate)) answer = PayNow(call.key, payout.amount_minor, fate);
      if (!Answers(fate)) answer = NoAnswer("the payout gateway", fate);
    }
  }
  done(std::move(answer));
}

std::map<std::string, FakePayoutGateway::Entry> FakePayoutGateway::books() const {
  std::lock_guard lock(mutex_);
  return books_;
}

int64_t FakePayoutGateway::PaidMinor() const {
  std::lock_guard lock(mutex_);
  int64_t sum = 0;
  for (const auto& [key, entry] : books_) sum += entry.pays * entry.amount_minor;
  return sum;
}

int FakePayoutGateway::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

}  // namespace waybill::order::testing
