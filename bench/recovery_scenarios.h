// What is left unfinished: by a process that dies, and by gateways that decide later.
#pragma once

#include "absl/status/statusor.h"
#include "bench/order_stage.h"
#include "bench/report.h"

namespace waybill::bench {

absl::StatusOr<ScenarioResult> Recovery(OrderStage& stage);
absl::StatusOr<ScenarioResult> Waiting(OrderStage& stage);

}  // namespace waybill::bench
