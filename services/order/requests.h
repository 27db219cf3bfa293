// From requests on the wire to what the APIs take. Everything that a caller can get wrong is found here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/order.h"
#include "runtime/ids.h"
#include "saga/outcome.h"
#include "storage/order_store.h"
#include "waybill/ops/v1/ops.pb.h"
#include "waybill/order/v1/order.pb.h"

namespace waybill::order {

// `client` is the metadata "waybill-client". Takes the request's strings away. BAD_REQUEST, as do the others.
absl::StatusOr<domain::Order> TakeCreate(v1::CreateOrderRequest& request, std::string_view client);

absl::StatusOr<storage::OrderQuery> TakeQuery(const v1::ListOrdersRequest& request);
absl::StatusOr<storage::SagaQuery> TakeQuery(const ops::v1::ListSagasRequest& request);

struct SignalRequest {
  Uuid saga_id;
  saga::Signal signal;  // who says it stands before its detail
};
// `steps` are those of all sagas that this process drives.
absl::StatusOr<SignalRequest> TakeSignal(const ops::v1::SignalSagaRequest& request,
                                         const std::vector<std::string>& steps);

// What a page token is bound to.
ops::v1::SagaState ToWire(saga::State state);
ops::v1::SagaAction ToWire(saga::Direction direction);
saga::State FromWire(ops::v1::SagaState state);  // one that is valid, and not SAGA_STATE_UNSPECIFIED

std::string FilterOf(const v1::ListOrdersRequest& request);
std::string FilterOf(const ops::v1::ListSagasRequest& request);

}  // namespace waybill::order
