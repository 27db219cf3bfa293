#include "services/order/grpc_fleet_service.h"

#include <string>
#include <utility>

#include "edge/rpc/proto_time.h"
#include "services/order/requests.h"
#include "waybill/fleet/v1/fleet.pb.h"

namespace waybill::order {
namespace {

namespace fleet_pb = waybill::fleet::v1;

using PutDriversCall = rpc::UnaryCall<fleet_pb::PutDriversRequest, fleet_pb::PutDriversResponse>;
using GetDriverCall = rpc::UnaryCall<fleet_pb::GetDriverRequest, fleet_pb::Driver>;
using ListDriversCall = rpc::UnaryCall<fleet_pb::ListDriversRequest, fleet_pb::ListDriversResponse>;
using SetCapacityCall = rpc::UnaryCall<fleet_pb::SetCapacityRequest, fleet_pb::Driver>;
using SetDutyCall = rpc::UnaryCall<fleet_pb::SetDutyRequest, fleet_pb::Driver>;

void FillDriver(const FleetApi::Driver& driver, fleet_pb::Driver& out) {
  out.set_driver_id(driver.driver_id);
  if (driver.position.has_value()) {
    const domain::DriverPosition& from = *driver.position;
    fleet_pb::Position& position = *out.mutable_position();
    position.set_latitude(from.point.latitude);
    position.set_longitude(from.point.longitude);
    rpc::SetTime(from.recorded_at, *position.mutable_recorded_at());
    if (from.accuracy_m.has_value()) position.set_accuracy_m(*from.accuracy_m);
    if (from.heading_deg.has_value()) position.set_heading_deg(*from.heading_deg);
    if (from.speed_mps.has_value()) position.set_speed_mps(*from.speed_mps);
  }
  out.set_capacity(driver.standing.capacity);
  out.set_duty(driver.standing.on_duty ? fleet_pb::ON_DUTY : fleet_pb::OFF_DUTY);
  out.set_orders_held(driver.standing.orders_held);
  for (const Uuid& order_id : driver.orders) out.add_order_ids(order_id.ToString());
}

template <typename Call>
FleetApi::Done AnsweringDriver(typename Call::Ptr call) {
  return [call = std::move(call)](absl::StatusOr<FleetApi::Driver> driver) mutable {
    if (driver.ok()) FillDriver(*driver, call->response());
    call->Finish(driver.status());
  };
}

void PutDrivers(FleetApi& api, PutDriversCall::Ptr call) {
  absl::StatusOr<PutRequest> request = TakePut(call->request());
  if (!request.ok()) {
    call->Finish(request.status());
    return;
  }
  domain::Actor by = access::ActorOf(*call->caller());
  api.Put(std::move(request->drivers), request->ttl, std::move(by),
          [call = std::move(call)](const absl::Status& put) mutable { call->Finish(put); });
}

void GetDriver(FleetApi& api, GetDriverCall::Ptr call) {
  absl::StatusOr<std::string> driver_id = TakeDriverId(call->request().driver_id());
  if (!driver_id.ok()) {
    call->Finish(driver_id.status());
    return;
  }
  api.Get(*std::move(driver_id), AnsweringDriver<GetDriverCall>(std::move(call)));
}

void ListDrivers(FleetApi& api, ListDriversCall::Ptr call) {
  absl::StatusOr<DriverPage> page = TakePage(call->request());
  if (!page.ok()) {
    call->Finish(page.status());
    return;
  }
  api.List(page->cursor, page->size, [call = std::move(call)](absl::StatusOr<FleetApi::Page> listed) mutable {
    if (listed.ok()) {
      for (const FleetApi::Driver& driver : listed->drivers) FillDriver(driver, *call->response().add_drivers());
      if (listed->cursor != 0) call->response().set_next_page_token(MakeFleetToken(listed->cursor));
    }
    call->Finish(listed.status());
  });
}

void SetCapacity(FleetApi& api, SetCapacityCall::Ptr call) {
  absl::StatusOr<domain::DriverSlot> capacity = TakeCapacity(call->request());
  if (!capacity.ok()) {
    call->Finish(capacity.status());
    return;
  }
  domain::Actor by = access::ActorOf(*call->caller());
  api.SetCapacity(std::move(capacity->driver_id), capacity->slot, std::move(by),
                  AnsweringDriver<SetCapacityCall>(std::move(call)));
}

void SetDuty(FleetApi& api, SetDutyCall::Ptr call) {
  absl::StatusOr<DutyRequest> duty = TakeDuty(call->request());
  if (!duty.ok()) {
    call->Finish(duty.status());
    return;
  }
  domain::Actor by = access::ActorOf(*call->caller());
  api.SetDuty(std::move(duty->driver_id), duty->on_duty, std::move(by), AnsweringDriver<SetDutyCall>(std::move(call)));
}

}  // namespace

void AddFleetService(rpc::Server& server, FleetApi& api) {
  server.Unary<fleet_pb::PutDriversRequest, fleet_pb::PutDriversResponse>(
      "waybill.fleet.v1.FleetService/PutDrivers", domain::Scope::kOps,
      [&api](PutDriversCall::Ptr call) { PutDrivers(api, std::move(call)); });
  server.Unary<fleet_pb::GetDriverRequest, fleet_pb::Driver>(
      "waybill.fleet.v1.FleetService/GetDriver", domain::Scope::kOps,
      [&api](GetDriverCall::Ptr call) { GetDriver(api, std::move(call)); });
  server.Unary<fleet_pb::ListDriversRequest, fleet_pb::ListDriversResponse>(
      "waybill.fleet.v1.FleetService/ListDrivers", domain::Scope::kOps,
      [&api](ListDriversCall::Ptr call) { ListDrivers(api, std::move(call)); });
  server.Unary<fleet_pb::SetCapacityRequest, fleet_pb::Driver>(
      "waybill.fleet.v1.FleetService/SetCapacity", domain::Scope::kOps,
      [&api](SetCapacityCall::Ptr call) { SetCapacity(api, std::move(call)); });
  server.Unary<fleet_pb::SetDutyRequest, fleet_pb::Driver>(
      "waybill.fleet.v1.FleetService/SetDuty", domain::Scope::kOps,
      [&api](SetDutyCall::Ptr call) { SetDuty(api, std::move(call)); });
}

}  // namespace waybill::order
