// What the results of ledger/result.h are on the wire: the field that each is about, and, where a call is about one
// account or transfer alone, the error.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "ledger/result.h"

namespace waybill::ledger {

// Of NewAccount and NewTransfer in waybill/ledger/v1: "account_id", "amount_minor"; empty: of none.
std::string_view FieldOf(AccountResult result);
std::string_view FieldOf(TransferResult result);

// OK of what is done. Otherwise BAD_REQUEST, ACCOUNT_ID_REUSED or ACCOUNT_REFUSED with metadata `result`, its name.
// `field`: what the request has for the field that it is about; empty: as FieldOf.
absl::Status StatusOf(AccountResult result, const std::string& account_id);
// OK, BAD_REQUEST, TRANSFER_ID_REUSED, TRANSFER_REFUSED.
absl::Status StatusOf(TransferResult result, const std::string& transfer_id, std::string_view field = {});

}  // namespace waybill::ledger
