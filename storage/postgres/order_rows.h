// How an order reads in Postgres; shared by the journal and the order store.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "domain/payer.h"
#include "storage/order_record.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/saga_rows.h"

namespace waybill::storage {

// Without WHERE; `s` is order_sagas.
const std::string& SelectOrder();
// A row of SelectOrder. UNREADABLE_ROW.
absl::StatusOr<OrderRecord> DecodeOrder(const Rows& rows, int at);

// metadata <-> jsonb; "" for none. nullopt: it is no object of strings.
std::string EncodeMetadata(const std::map<std::string, std::string>& metadata);
std::optional<std::map<std::string, std::string>> DecodeMetadata(std::string_view json);

// payer <-> jsonb. nullopt: it is not what this version writes.
std::string EncodePayer(const domain::Payer& payer);
std::optional<domain::Payer> DecodePayer(std::string_view json);

}  // namespace waybill::storage
