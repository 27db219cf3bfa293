#include "ledger/transfer.h"

#include <array>

namespace waybill::ledger {
namespace {

constexpr std::array<std::string_view, 5> kPhases = {"single", "pending", "post", "void", "expired"};

}  // namespace

std::string_view Name(Phase phase) { return kPhases.at(static_cast<size_t>(phase)); }

std::optional<Phase> ParsePhase(std::string_view name) {
  for (size_t i = 0; i < kPhases.size(); ++i) {
    if (kPhases.at(i) == name) return static_cast<Phase>(i);
  }
  return std::nullopt;
}

absl::Time ExpiresAt(const Transfer& transfer) {
  if (transfer.phase != Phase::kPending || transfer.timeout_seconds == 0) return absl::InfiniteFuture();
  return transfer.created_at + absl::Seconds(transfer.timeout_seconds);
}

}  // namespace waybill::ledger
