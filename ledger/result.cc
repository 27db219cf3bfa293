#include "ledger/result.h"

namespace waybill::ledger {
namespace {

template <typename Result, size_t kSize>
std::optional<Result> Parse(const ResultRow (&rows)[kSize], std::string_view name) {
  for (size_t i = 0; i < kSize; ++i) {
    if (rows[i].name == name) return static_cast<Result>(i);
  }
  return std::nullopt;
}

}  // namespace

std::optional<AccountResult> ParseAccountResult(std::string_view name) {
  return Parse<AccountResult>(kAccountResults, name);
}

std::optional<TransferResult> ParseTransferResult(std::string_view name) {
  return Parse<TransferResult>(kTransferResults, name);
}

}  // namespace waybill::ledger
