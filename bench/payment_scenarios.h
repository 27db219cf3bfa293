// What several gateways cost beside one, and how soon a gateway's webhook is durable and answered.
#pragma once

#include "absl/status/statusor.h"
#include "bench/order_stage.h"
#include "bench/report.h"

namespace waybill::bench {

absl::StatusOr<ScenarioResult> Routed(OrderStage& stage);
absl::StatusOr<ScenarioResult> Webhooks(OrderStage& stage);

}  // namespace waybill::bench
