// A payment gateway over gRPC (waybill/payment/v1). Every status but OK means "unknown"; only the outcome in the
// response is a decline.
#pragma once

#include "edge/rpc/client.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

class RemoteGateway final : public PaymentGateway {
 public:
  explicit RemoteGateway(rpc::Client& client) : client_(client) {}  // which outlives this

  void Charge(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override;
  void Refund(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) override;

 private:
  rpc::Client& client_;
};

}  // namespace waybill::order
