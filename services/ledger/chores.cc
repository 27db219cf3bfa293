#include "services/ledger/chores.h"

namespace waybill::ledger {
namespace {

constexpr absl::Duration kEvery = absl::Seconds(1);
constexpr absl::Duration kSoon = absl::Milliseconds(10);
constexpr int kExpireMax = 1'000;
constexpr int64_t kSealMax = 10'000;

}  // namespace

Chore ExpireChore(storage::LedgerStore& store, LedgerMetrics& metrics) {
  return {"letting transfers expire", [&store, &metrics]() -> absl::StatusOr<absl::Duration> {
            const absl::StatusOr<int> expired = store.ExpireDue(kExpireMax);
            if (!expired.ok()) return expired.status();
            metrics.Expired(*expired);
            return *expired < kExpireMax ? kEvery : kSoon;
          }};
}

Chore SealChore(storage::LedgerStore& store, LedgerMetrics& metrics) {
  return {"sealing transfers", [&store, &metrics]() -> absl::StatusOr<absl::Duration> {
            const absl::StatusOr<int64_t> sealed = store.Seal(kSealMax);
            if (!sealed.ok()) return sealed.status();
            metrics.Sealed(*sealed);
            return *sealed < kSealMax ? kEvery : kSoon;
          }};
}

}  // namespace waybill::ledger
