// What the edge costs: calls by HTTP beside gRPC, a guarded service beside an open one, idle connections.
#pragma once

#include "absl/status/statusor.h"
#include "bench/order_stage.h"
#include "bench/report.h"

namespace waybill::bench {

absl::StatusOr<ScenarioResult> Reads(OrderStage& stage);
absl::StatusOr<ScenarioResult> Guarded(OrderStage& stage);
absl::StatusOr<ScenarioResult> Connections(OrderStage& stage);

}  // namespace waybill::bench
