// A file of transfers: comma-separated values with a header.
#pragma once

#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "ledger/transfer.h"

namespace waybill::cli {

struct TransferLine {
  int line = 0;  // of the file, where the row ends
  ledger::NewTransfer transfer;
};

// Columns by their names in the header: id, from, to, amount ("12.50") and currency; and where there are, code (1),
// user_data, phase ("single"), pending_id, timeout_seconds, linked, balancing_debit, balancing_credit ("yes" or "no")
// and corrects. INVALID_ARGUMENT names file, line, column and reason. `name` is the file's.
absl::StatusOr<std::vector<TransferLine>> ReadTransfers(std::istream& in, const std::string& name);

// The column of such a file that fills a field of the contract's: "from" for debit_account_id.
std::string_view ColumnOf(std::string_view field);

// How many of the lines from `from` on make the next request: at most `max`, unless the first chain has more.
size_t NextRequest(const std::vector<TransferLine>& lines, size_t from, size_t max);

}  // namespace waybill::cli
