#include "services/order/open_cases.h"

#include <string>
#include <utility>

namespace waybill::order {

OpenCases::OpenCases(Metrics& metrics) {
  metrics.AddCallbackGauges(
      "waybill_reconciliation_open_cases",
      "Differences between a gateway's settlements and our books that nobody has explained.", [this] {
        std::vector<Metrics::Sample> samples;
        std::lock_guard lock(mutex_);
        for (const auto& [gateway, difference, cases] : open_) {
          samples.push_back({{{"gateway", gateway}, {"difference", std::string(storage::Name(difference))}},
                             static_cast<double>(cases)});
        }
        return samples;
      });
}

Chore OpenCases::CountChore(storage::ReconciliationStore& store) {
  return EveryChore(absl::Seconds(15), "counting cases of reconciliation", [this, &store] { return Count(store); });
}

absl::Status OpenCases::Count(storage::ReconciliationStore& store) {
  auto open = store.CountOpen();
  if (!open.ok()) return open.status();
  std::lock_guard lock(mutex_);
  open_ = *std::move(open);
  return absl::OkStatus();
}

}  // namespace waybill::order
