#include "services/order/remote_dispatch.h"

#include <utility>

#include "runtime/failpoint.h"
#include "services/order/remote_call.h"
#include "waybill/dispatch/v1/dispatch.pb.h"

namespace waybill::order {

namespace dispatch_pb = waybill::dispatch::v1;

void RemoteDispatch::Assign(const ParticipantCall& call, const Uuid&, const domain::Order& order, int,
                            absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done) {
  dispatch_pb::AssignDriverRequest request;
  request.set_idempotency_key(call.key);
  request.set_order_id(call.order_id);
  if (order.pickup.has_value()) {
    request.mutable_pickup()->set_latitude(order.pickup->latitude);
    request.mutable_pickup()->set_longitude(order.pickup->longitude);
  }
  WAYBILL_FAILPOINT("dispatch.before_send");
  client_.Call<dispatch_pb::AssignDriverResponse>(
      "waybill.dispatch.v1.Dispatcher/AssignDriver", request, OptionsOf(call),
      [done = std::move(done)](const absl::Status& status, dispatch_pb::AssignDriverResponse& response) mutable {
        WAYBILL_FAILPOINT("dispatch.after_receive");
        if (!status.ok()) {
          done(status);
        } else if (response.has_assigned() && !response.assigned().driver_id().empty()) {
          done(AssignResult{domain::DriverSlot{std::move(*response.mutable_assigned()->mutable_driver_id()), 1}, ""});
        } else if (response.has_none()) {
          done(AssignResult{std::nullopt, std::move(*response.mutable_none()->mutable_reason())});
        } else {
          done(absl::UnknownError("the dispatcher's answer has no outcome"));
        }
      });
}

void RemoteDispatch::Release(const ParticipantCall& call, const Uuid&, const domain::Order&,
                             absl::AnyInvocable<void(absl::Status)> done) {
  dispatch_pb::ReleaseDriverRequest request;
  request.set_idempotency_key(call.key);
  request.set_order_id(call.order_id);
  WAYBILL_FAILPOINT("dispatch.before_release");
  client_.Call<dispatch_pb::ReleaseDriverResponse>(
      "waybill.dispatch.v1.Dispatcher/ReleaseDriver", request, OptionsOf(call),
      [done = std::move(done)](const absl::Status& status, dispatch_pb::ReleaseDriverResponse&) mutable {
        done(status);
      });
}

}  // namespace waybill::order
