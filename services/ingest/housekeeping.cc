#include "services/ingest/housekeeping.h"

namespace waybill::ingest {
namespace {

// Reading a page removes those whose hash has expired.
absl::Status Sweep(storage::Fleet& fleet) {
  constexpr int kPage = 1'000;
  uint64_t cursor = 0;
  do {
    auto page = fleet.Scan(cursor, kPage);
    if (!page.ok()) return page.status();
    cursor = page->cursor;
  } while (cursor != 0);
  return absl::OkStatus();
}

}  // namespace

Chore KeepPartitionsChore(PartitionKeeper& partitions, HousekeepingOptions options) {
  Chore chore = EveryChore(options.partitions, "keeping partitions", [&partitions] { return partitions.Keep(); });
  chore.retry = options.partitions_retry;
  return chore;
}

Chore SweepChore(storage::Fleet& fleet, HousekeepingOptions options) {
  return EveryChore(options.sweep, "sweeping the hot view", [&fleet] { return Sweep(fleet); });
}

}  // namespace waybill::ingest
