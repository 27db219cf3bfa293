// A payment gateway over gRPC (waybill/payment/v1). Every status but OK means "unknown"; only the outcome in the
// response is a decline.
#pragma once

#include <string>

#include "edge/rpc/client.h"
#include "services/order/gateway_prober.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

class RemoteGateway final : public PaymentGateway {
 public:
  // `client` outlives this. `only_connected`: calls without a connection are not made, and answered kCallNotSent.
  explicit RemoteGateway(rpc::Client& client, bool only_connected = false)
      : client_(client), only_connected_(only_connected) {}

  void Charge(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override;
  void Authorize(const ParticipantCall& call, const domain::Order& order,
                 absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override;
  void Capture(const ParticipantCall& call, const domain::Order& order,
               absl::AnyInvocable<void(absl::StatusOr<CaptureResult>)> done) override;
  void Refund(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) override;
  void RefundPart(const ParticipantCall& call, const ChargePart& part,
                  absl::AnyInvocable<void(absl::StatusOr<RefundPartResult>)> done) override;
  // By the standard's grpc.health.v1.Health, of the server as a whole.
  void Health(absl::Duration timeout, absl::AnyInvocable<void(HealthAnswer)> done);

 private:
  void Ask(const std::string& method, const ParticipantCall& call, const domain::Order& order,
           absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done);
  rpc::CallOptions OptionsFor(const ParticipantCall& call) const;

  rpc::Client& client_;
  const bool only_connected_;
};

}  // namespace waybill::order
