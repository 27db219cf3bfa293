// How an order reads in Postgres; shared by the journal and the order store.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "storage/order.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/saga_rows.h"

namespace waybill::storage {

// Without WHERE; `s` is order_sagas.
const std::string& SelectOrder();
// A row of SelectOrder.
OrderRecord DecodeOrder(const Rows& rows, int row);

// metadata <-> jsonb; "" for none.
std::string EncodeMetadata(const std::map<std::string, std::string>& metadata);
std::map<std::string, std::string> DecodeMetadata(std::string_view json);

}  // namespace waybill::storage
