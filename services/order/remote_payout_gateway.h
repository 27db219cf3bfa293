// A payout gateway over gRPC (waybill/payout/v1). Every status but OK means "unknown"; only the outcome in the response
// is a refusal.
#pragma once

#include "edge/rpc/client.h"
#include "services/order/payout_gateway.h"

namespace waybill::order {

class RemotePayoutGateway final : public PayoutGateway {
 public:
  // `client` outlives this.
  explicit RemotePayoutGateway(rpc::Client& client) : client_(client) {}

  void Pay(const ParticipantCall& call, const domain::Payout& payout,
           absl::AnyInvocable<void(absl::StatusOr<PayResult>)> done) override;

 private:
  rpc::Client& client_;
};

}  // namespace waybill::order
