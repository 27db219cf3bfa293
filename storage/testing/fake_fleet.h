// The hot view in memory, on a clock that is passed in.
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
#include "storage/hot_view.h"

namespace waybill::storage::testing {

class FakeFleet final : public Fleet, public HotView {
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

  absl::StatusOr<bool> Publish(const HotUpdate& update) override;
  absl::Status BeginRebuild() override;
  absl::StatusOr<bool> MarkWhole() override;
  absl::StatusOr<std::vector<std::optional<DriverPosition>>> Get(const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<EventPage> Follow(const std::string& after, int limit) override;
  absl::StatusOr<std::string> LastEventId() override;
  // Forgets the oldest moves but `count`.
  void TrimMoves(size_t count);

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
  void PutOne(const DriverPosition& position, absl::Duration ttl);

  std::map<std::string, Entry> drivers_;
  bool marked_ = false;  // BeginRebuild was called, and nothing lost since
  bool whole_ = false;
  uint64_t last_move_ = 0;
  std::map<uint64_t, DriverPosition> moves_;
  absl::Status error_;
};

}  // namespace waybill::storage::testing
