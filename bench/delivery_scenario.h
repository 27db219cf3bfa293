// How many signed events go out to clients' endpoints in a second, beside a loop of libcurl that posts the same.
#pragma once

#include "absl/status/statusor.h"
#include "bench/order_stage.h"
#include "bench/report.h"

namespace waybill::bench {

absl::StatusOr<ScenarioResult> Deliveries(OrderStage& stage);

}  // namespace waybill::bench
