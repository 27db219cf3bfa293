// From requests on the wire to what the APIs take. Everything that a caller can get wrong is found here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/driver.h"
#include "domain/order.h"
#include "runtime/ids.h"
#include "saga/outcome.h"
#include "services/order/fleet_api.h"
#include "storage/audit_log.h"
#include "storage/order_store.h"
#include "waybill/fleet/v1/fleet.pb.h"
#include "waybill/ops/v1/ops.pb.h"
#include "waybill/order/v1/order.pb.h"

namespace waybill::order {

// `client` is the caller's. Takes the request's strings away. BAD_REQUEST, as do the others.
absl::StatusOr<domain::Order> TakeCreate(v1::CreateOrderRequest& request, std::string_view client);

// As it was said: not checked yet, but for its time.
domain::Payer TakePayer(v1::Payer& payer, domain::Violations& violations);

absl::StatusOr<storage::OrderQuery> TakeQuery(const v1::ListOrdersRequest& request);
absl::StatusOr<storage::SagaQuery> TakeQuery(const ops::v1::ListSagasRequest& request);
absl::StatusOr<storage::AuditQuery> TakeQuery(const ops::v1::ListEntriesRequest& request);
std::string MakeAuditToken(int64_t sequence, const ops::v1::ListEntriesRequest& request);  // of the page behind it

struct SignalRequest {
  Uuid saga_id;
  saga::Signal signal;  // who says it stands before its detail
};
// `steps` are those of all sagas that this process drives.
absl::StatusOr<SignalRequest> TakeSignal(const ops::v1::SignalSagaRequest& request,
                                         const std::vector<std::string>& steps);

struct PutRequest {
  std::vector<PlacedDriver> drivers;
  absl::Duration ttl;
};
absl::StatusOr<PutRequest> TakePut(const fleet::v1::PutDriversRequest& request);

struct DriverPage {
  uint64_t cursor = 0;
  int size = 0;
};
absl::StatusOr<DriverPage> TakePage(const fleet::v1::ListDriversRequest& request);
std::string MakeFleetToken(uint64_t cursor);

absl::StatusOr<std::string> TakeDriverId(const std::string& driver_id);
absl::StatusOr<domain::DriverSlot> TakeCapacity(const fleet::v1::SetCapacityRequest& request);  // {driver_id, capacity}

struct DutyRequest {
  std::string driver_id;
  bool on_duty = true;
};
absl::StatusOr<DutyRequest> TakeDuty(const fleet::v1::SetDutyRequest& request);

// What a page token is bound to.
ops::v1::SagaState ToWire(saga::State state);
ops::v1::SagaAction ToWire(saga::Direction direction);
saga::State FromWire(ops::v1::SagaState state);  // one that is valid, and not SAGA_STATE_UNSPECIFIED

std::string FilterOf(const v1::ListOrdersRequest& request);
std::string FilterOf(const ops::v1::ListSagasRequest& request);

}  // namespace waybill::order
