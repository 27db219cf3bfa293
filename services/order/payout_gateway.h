// Who sends money to payees. The contract is waybill/payout/v1's: for one key money goes at most once, the first
// outcome is repeated to every repetition, and a pending one until it is decided.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/payout.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

// One of three. Nothing said is a refusal without a reason, so that no mistake takes it for money that went.
struct PayResult {
  struct Refused {       // nothing was sent, and nothing will be
    std::string reason;  // machine-readable
  };
  struct Paid {
    std::string reference;  // the gateway's own
  };
  // It is decided later, and then a repetition is answered so.
  struct Pending {
    std::string token;  // the gateway's own; as it came
    absl::Time until;   // when to ask again, if nobody said that it is decided; infinite: the gateway said none
  };

  static PayResult Refuse(std::string reason) { return {Refused{std::move(reason)}}; }
  static PayResult Done(std::string reference) { return {Paid{std::move(reference)}}; }
  static PayResult Postpone(std::string token, absl::Time until) { return {Pending{std::move(token), until}}; }

  const Refused* refused() const { return std::get_if<Refused>(&outcome); }
  const Paid* paid() const { return std::get_if<Paid>(&outcome); }
  const Pending* pending() const { return std::get_if<Pending>(&outcome); }

  std::variant<Refused, Paid, Pending> outcome;
};

// Thread-safe. `done` is called exactly once, on any thread, perhaps before the call returns, and by the deadline. A
// status that is not OK is neither success nor failure: the money may have gone, unless its reason is kCallNotSent.
class PayoutGateway {
 public:
  virtual ~PayoutGateway() = default;
  virtual void Pay(const ParticipantCall& call, const domain::Payout& payout,
                   absl::AnyInvocable<void(absl::StatusOr<PayResult>)> done) = 0;
};

}  // namespace waybill::order
