// What an order's saga means to its caller, by its names here (storage/order_status.h).
#pragma once

#include "storage/order_status.h"

namespace waybill::order {

using storage::FilterOf;
using storage::Name;
using storage::OrderStatus;
using storage::StatusOf;
using storage::Transition;
using storage::TransitionsOf;

}  // namespace waybill::order
