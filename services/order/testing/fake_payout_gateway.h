// A payout gateway in memory that keeps its contract and its books, and misbehaves on request.
#pragma once

#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "services/order/payout_gateway.h"
#include "services/order/testing/fate.h"

namespace waybill::order::testing {

class FakePayoutGateway final : public PayoutGateway {
 public:
  struct Entry {
    int64_t amount_minor = 0;
    int pays = 0;         // that executed
    std::string refusal;  // the first answer, to be repeated
    bool pending = false;
  };

  // The fates of the next calls, in order; then every call meets `fate`.
  void WillMeet(std::deque<Fate> fates);
  void set_fate(Fate fate);
  void Land();  // executes the calls that are slow
  // What pending payouts are answered with, under a token of their own each. Set before use.
  void set_pending_until(absl::Time until) { pending_until_ = until; }
  void Decide(const std::string& key, bool pay);  // a pending one; others stay as they are

  void Pay(const ParticipantCall& call, const domain::Payout& payout,
           absl::AnyInvocable<void(absl::StatusOr<PayResult>)> done) override;

  std::map<std::string, Entry> books() const;  // by key
  int64_t PaidMinor() const;
  int calls() const;

 private:
  absl::StatusOr<PayResult> PayNow(const std::string& key, int64_t amount_minor, Fate fate);

  mutable std::mutex mutex_;
  std::map<std::string, Entry> books_;
  std::map<std::string, int64_t> slow_;  // amount by key, of what has not landed
  std::deque<Fate> fates_;
  Fate fate_ = Fate::kAnswered;
  absl::Time pending_until_ = absl::InfiniteFuture();
  int calls_ = 0;
};

}  // namespace waybill::order::testing
