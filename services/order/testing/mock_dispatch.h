#pragma once

#include "gmock/gmock.h"
#include "services/order/dispatch.h"

namespace waybill::order::testing {

class MockDispatch : public Dispatch {
 public:
  MOCK_METHOD(bool, journaled, (), (const, override));
  MOCK_METHOD(void, Assign,
              (const ParticipantCall& call, const Uuid& order_id, const domain::Order& order, int conflicts,
               absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done),
              (override));
  MOCK_METHOD(void, Release,
              (const ParticipantCall& call, const Uuid& order_id, const domain::Order& order,
               absl::AnyInvocable<void(absl::Status)> done),
              (override));
  MOCK_METHOD(void, OnDurable, (const Uuid& order_id), (override));
  MOCK_METHOD(void, OnFenced, (const Uuid& order_id), (override));
};

}  // namespace waybill::order::testing
