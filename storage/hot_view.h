// The hot view as the ingest side writes it and its readers follow it: the newest position of each driver while it is
// fresh, and the stream of recent moves. It is a view: all of it can be lost, and made again from history.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/driver.h"

namespace waybill::storage {

struct FreshPosition {
  domain::DriverPosition position;
  absl::Duration ttl;  // above 0: how long it stays fresh from now on
};

struct HotUpdate {
  std::vector<FreshPosition> newest;          // one a driver at most; each moves its driver unless a newer one is there
  std::vector<domain::DriverPosition> moves;  // appended to the stream, in this order
};

// A move in the stream of recent ones.
struct LocationEvent {
  std::string id;  // increasing; opaque to all but Follow
  domain::DriverPosition position;
};

struct EventPage {
  std::vector<LocationEvent> events;  // oldest first
  bool gap = false;                   // what directly followed `after` is no longer kept
  // To follow from: the last event's id, or, when there is none, `after`; unless the stream itself ends before `after`,
  // because it is another one than its id was from. Then that is a gap, and this is the stream's end.
  std::string next;
};

// What an answer to Publish says of the view as a whole.
enum class ViewState {
  kWhole,          // it was rebuilt, and has not been lost since
  kIncomplete,     // it was lost, or is being rebuilt
  kNewConnection,  // the first answer over it: what was published before may be lost, and an old mark be back
};

// Thread-safe, but for Publish, which is one thread's, and BeginRebuild and MarkWhole, which are one thread's. Every
// call blocks. STORE_UNAVAILABLE.
class HotView {
 public:
  virtual ~HotView() = default;

  // In one round trip. Repeating it is harmless but for moves, which are then there twice.
  virtual absl::StatusOr<ViewState> Publish(const HotUpdate& update) = 0;
  // Around a rebuild: before history is read, and when all of it was published. MarkWhole answers whether the view is
  // whole now; false: it was lost meanwhile, even if another process has begun to rebuild it since.
  virtual absl::Status BeginRebuild() = 0;
  virtual absl::StatusOr<bool> MarkWhole() = 0;

  // The fresh ones, in the order asked for.
  virtual absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) = 0;

  // Moves after the one with this id, `limit` at most; "0" is before all of them. BAD_REQUEST (resume_after) when it is
  // no id.
  virtual absl::StatusOr<EventPage> Follow(const std::string& after, int limit) = 0;
  // Of the newest move; "0" when there was none.
  virtual absl::StatusOr<std::string> LastEventId() = 0;
  // Whether it can be kept and followed. STORE_UNAVAILABLE, with what is missing.
  virtual absl::Status Ping() = 0;
};

}  // namespace waybill::storage
