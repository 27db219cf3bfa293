// An order, and where its saga stands.
#pragma once

#include "domain/order.h"
#include "saga/record.h"

namespace waybill::storage {

using OrderRecord = saga::RecordOf<domain::Order>;

}  // namespace waybill::storage
