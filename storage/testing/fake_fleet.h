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
#include "domain/driver.h"
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
  absl::Status Put(const std::vector<domain::DriverPosition>& positions, absl::Duration ttl) override;
  absl::Status Ping() override;

  absl::StatusOr<ViewState> Publish(const HotUpdate& update) override;
  absl::Status BeginRebuild() override;
  absl::StatusOr<bool> MarkWhole() override;
  // Of both.
  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<EventPage> Follow(const std::string& after, int limit) override;
  absl::StatusOr<std::string> LastEventId() override;
  // Forgets the oldest moves but `count`.
  void TrimMoves(size_t count);

  // The next move's id is one higher: as if the hot store's clock had been set.
  void set_last_move(uint64_t id);

  // A second process that writes the same view. `fleet` outlives it.
  class AnotherWriter;

 private:
  struct Entry {
    domain::DriverPosition position;
    absl::Time expires;
  };
  bool Fresh(const Entry& entry) const { return entry.expires > clock_.Now(); }
  absl::StatusOr<std::vector<NearbyDriver>> NearestNow(const NearestQuery& query);

  const Clock& clock_;
  std::function<void(Task)> defer_;
  std::mutex mutex_;
  void PutOne(const domain::DriverPosition& position, absl::Duration ttl);

  std::map<std::string, Entry> drivers_;
  absl::Status BeginRebuild(int64_t& begun);
  absl::StatusOr<bool> MarkWhole(int64_t begun);

  int64_t marks_ = 0;  // ever made
  int64_t mark_ = 0;   // the one that is there; 0: none
  bool whole_ = false;
  int64_t begun_ = 0;  // the mark when our own rebuild began
  uint64_t last_move_ = 0;
  std::map<uint64_t, domain::DriverPosition> moves_;
  absl::Status error_;
};

class FakeFleet::AnotherWriter final : public HotView {
 public:
  explicit AnotherWriter(FakeFleet& fleet) : fleet_(fleet) {}

  absl::StatusOr<ViewState> Publish(const HotUpdate& update) override { return fleet_.Publish(update); }
  absl::Status BeginRebuild() override { return fleet_.BeginRebuild(begun_); }
  absl::StatusOr<bool> MarkWhole() override { return fleet_.MarkWhole(begun_); }
  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) override {
    return fleet_.Get(driver_ids);
  }
  absl::StatusOr<EventPage> Follow(const std::string& after, int limit) override { return fleet_.Follow(after, limit); }
  absl::StatusOr<std::string> LastEventId() override { return fleet_.LastEventId(); }
  absl::Status Ping() override { return fleet_.Ping(); }

 private:
  FakeFleet& fleet_;
  int64_t begun_ = 0;
};

}  // namespace waybill::storage::testing
