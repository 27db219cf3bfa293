#include "storage/ledger_store.h"

#include <array>
#include <future>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {
namespace {

constexpr std::array<std::string_view, 5> kResolutions = {"none", "open", "posted", "voided", "expired"};

}  // namespace

std::string_view Name(Resolution resolution) { return kResolutions.at(static_cast<size_t>(resolution)); }

absl::StatusOr<std::vector<ledger::Outcome>> LedgerStore::PostAndWait(const std::string& client,
                                                                      std::vector<ledger::NewTransfer> transfers) {
  std::promise<absl::StatusOr<std::vector<ledger::Outcome>>> promise;
  auto answer = promise.get_future();
  Post(client, std::move(transfers),
       [&promise](absl::StatusOr<std::vector<ledger::Outcome>> outcomes) { promise.set_value(std::move(outcomes)); });
  return answer.get();
}

absl::Status AccountNotFound(const std::string& account) {
  return domain::ReasonError("LEDGER_ACCOUNT_NOT_FOUND", fmt::format("no account {}", account));
}

absl::Status TransferNotFound(const std::string& transfer) {
  return domain::ReasonError("TRANSFER_NOT_FOUND", fmt::format("no transfer {}", transfer));
}

absl::Status HistoryNotKept(const std::string& account) {
  return domain::ReasonError("HISTORY_NOT_KEPT", fmt::format("account {} keeps no history", account));
}

}  // namespace waybill::storage
