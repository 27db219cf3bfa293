// A fleet in memory, on a clock that is passed in.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "runtime/clock.h"
#include "storage/fleet.h"

namespace waybill::storage::testing {

class FakeFleet final : public Fleet {
 public:
  using Task = absl::AnyInvocable<void()>;

  explicit FakeFleet(const Clock& clock) : clock_(clock) {}

  // Runs the answers of Nearest through `defer`, which calls the task later; null: at once. Set before use.
  void set_defer(std::function<void(Task)> defer) { defer_ = std::move(defer); }
  // Every call answers this until it is OK again.
  void set_error(absl::Status error);
  // As if the hot store had been flushed.
  void Clear();

  void Nearest(const NearestQuery& query,
               absl::AnyInvocable<void(absl::StatusOr<std::vector<NearbyDriver>>)> done) override;
  absl::StatusOr<FleetPage> Scan(uint64_t cursor, int count) override;
  absl::Status Put(const std::vector<DriverPosition>& positions, absl::Duration ttl) override;
  absl::StatusOr<std::vector<DriverPosition>> List(size_t limit) override;
  absl::Status Ping() override;

 private:
  struct Entry {
    DriverPosition position;
    absl::Time expires;
  };
  bool Fresh(const Entry& entry) const { return entry.expires > clock_.Now(); }
  absl::StatusOr<std::vector<NearbyDriver>> NearestNow(const NearestQuery& query);

  const Clock& clock_;
  std::function<void(Task)> defer_;
  std::mutex mutex_;
  std::map<std::string, Entry> drivers_;
  absl::Status error_;
};

}  // namespace waybill::storage::testing
