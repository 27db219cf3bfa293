#include "services/ingest/housekeeping.h"

#include <utility>

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

Chore CompareClocksChore(std::function<absl::StatusOr<absl::Time>()> store_now, ClockCheck& clocks, const Clock& clock,
                         HousekeepingOptions options) {
  return EveryChore(options.clocks, "comparing clocks",
                    [store_now = std::move(store_now), &clocks, &clock]() -> absl::Status {
                      const absl::Time before = clock.Now();
                      const SteadyTime asked = clock.Steady();
                      const absl::StatusOr<absl::Time> there = store_now();
                      if (!there.ok()) return there.status();
                      clocks.Compare(before + (clock.Steady() - asked) / 2, *there);
                      return absl::OkStatus();
                    });
}

Chore SweepChore(storage::Fleet& fleet, HousekeepingOptions options) {
  return EveryChore(options.sweep, "sweeping the hot view", [&fleet] { return Sweep(fleet); });
}

}  // namespace waybill::ingest
