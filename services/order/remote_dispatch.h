// A dispatcher over gRPC (waybill/dispatch/v1).
#pragma once

#include "edge/rpc/client.h"
#include "services/order/dispatch.h"

namespace waybill::order {

class RemoteDispatch final : public Dispatch {
 public:
  explicit RemoteDispatch(rpc::Client& client) : client_(client) {}  // which outlives this

  bool journaled() const override { return false; }
  void Assign(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order, int conflicts,
              absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done) override;
  void Release(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order,
               absl::AnyInvocable<void(absl::Status)> done) override;

 private:
  rpc::Client& client_;
};

}  // namespace waybill::order
