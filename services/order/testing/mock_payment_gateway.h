#pragma once

#include "gmock/gmock.h"
#include "services/order/payment_gateway.h"

namespace waybill::order::testing {

class MockPaymentGateway : public PaymentGateway {
 public:
  MOCK_METHOD(void, Charge,
              (const ParticipantCall& call, const domain::Order& order,
               absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done),
              (override));
  MOCK_METHOD(void, Authorize,
              (const ParticipantCall& call, const domain::Order& order,
               absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done),
              (override));
  MOCK_METHOD(void, Capture,
              (const ParticipantCall& call, const domain::Order& order,
               absl::AnyInvocable<void(absl::StatusOr<CaptureResult>)> done),
              (override));
  MOCK_METHOD(void, Refund,
              (const ParticipantCall& call, const domain::Order& order,
               absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done),
              (override));
  MOCK_METHOD(void, RefundPart,
              (const ParticipantCall& call, const ChargePart& part,
               absl::AnyInvocable<void(absl::StatusOr<RefundPartResult>)> done),
              (override));
};

}  // namespace waybill::order::testing
