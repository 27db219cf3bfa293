#include "services/order/remote_payout_gateway.h"

#include <optional>
#include <utility>

#include "domain/currency.h"
#include "edge/rpc/proto_time.h"
#include "runtime/status.h"
#include "services/order/remote_call.h"
#include "waybill/payout/v1/payout.pb.h"

namespace waybill::order {

namespace payout_pb = waybill::payout::v1;

void RemotePayoutGateway::Pay(const ParticipantCall& call, const domain::Payout& payout,
                              absl::AnyInvocable<void(absl::StatusOr<PayResult>)> done) {
  payout_pb::PayRequest request;
  request.set_idempotency_key(call.key);
  request.set_payout_id(payout.payout_id);
  request.set_destination(payout.destination);
  request.set_amount_minor(payout.amount_minor);
  request.set_currency(payout.currency);
  request.set_minor_unit_exponent(domain::CurrencyExponent(payout.currency).value_or(0));
  request.set_description(payout.description);
  client_.Call<payout_pb::PayResponse>(
      "waybill.payout.v1.PayoutGateway/Pay", request, OptionsOf(call),
      [done = std::move(done)](const absl::Status& status, payout_pb::PayResponse& response) mutable {
        if (!status.ok()) {
          done(Unheard(status));
        } else if (response.has_paid()) {
          done(PayResult::Done(std::move(*response.mutable_paid()->mutable_reference())));
        } else if (response.has_refused()) {
          done(PayResult::Refuse(std::move(*response.mutable_refused()->mutable_reason())));
        } else if (response.has_pending()) {
          std::optional<absl::Time> until;
          if (response.pending().has_until()) until = rpc::TakeTime(response.pending().until());
          done(PayResult::Postpone(std::move(*response.mutable_pending()->mutable_token()),
                                   until.value_or(absl::InfiniteFuture())));
        } else {
          done(absl::UnknownError("the gateway's answer has no outcome"));
        }
      });
}

}  // namespace waybill::order
