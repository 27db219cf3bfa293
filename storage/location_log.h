// The history of where drivers were: appended to by group commit, read by driver and time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "domain/driver.h"

namespace waybill::storage {

// How a position stands to what this process has taken of the same driver before.
enum class Standing : uint8_t {
  kUnknown,  // nothing was taken
  kAhead,    // newer than all
  kBehind,   // not newer: late, or a resend
};

struct Location {
  domain::DriverPosition position;
  Standing standing = Standing::kUnknown;
};

struct RefusedLocation {
  size_t index = 0;  // in LocationAppend::locations
  std::string why;
};

// The positions of one report, to be stored together or, where the database refuses some, without those.
struct LocationAppend {
  std::vector<Location> locations;  // each passes FindFault; equal (driver_id, recorded_at) are stored once
  absl::Time received_at;
  // Called exactly once, on any thread. OK: durable, but for `refused`, which is in the order of the indices. Otherwise
  // (the log stops while the store is away, or the store takes nothing for one of the days just now) nothing is known,
  // and the sender has to send again.
  absl::AnyInvocable<void(const absl::Status& status, LocationAppend& append)> done;
  std::vector<RefusedLocation> refused;
  absl::Status sent_back;  // the log's: what `done` will be told

  size_t weight() const { return locations.size(); }
};

// What one commit did.
struct LocationCommit {
  size_t locations = 0;  // in the batch, without those that are sent back
  size_t stored = 0;     // the others were there already, or were refused
  size_t refused = 0;
  absl::Duration took;  // from the first statement to the commit
};

// A UTC day that the store does not take positions for, while it takes those of others.
struct BadDay {
  absl::CivilDay day;
  absl::Status why;
  bool refused = false;  // its positions are refused; otherwise their reports are sent back
};

// Thread-safe.
class LocationLog {
 public:
  virtual ~LocationLog() = default;
  // Takes the report, however many wait: whoever brings them looks at queue_depth first. Or leaves it untouched and
  // answers false: the log stops.
  [[nodiscard]] virtual bool Append(LocationAppend& append) = 0;
  virtual size_t queue_depth() const = 0;  // positions waiting
  virtual bool stalled() const = 0;        // the store does not take what is written
};

struct TrackQuery {
  std::string driver_id;
  absl::Time from;  // inclusive
  absl::Time to;    // exclusive
  int limit = 1'000;
};

// A part of all drivers' newest positions.
struct NewestQuery {
  absl::Time since;    // inclusive
  absl::Time until;    // exclusive
  std::string cursor;  // of the part before; "": the first one
  int limit = 1'000;   // drivers looked at, at most
};
struct NewestPart {
  std::vector<domain::DriverPosition> positions;
  std::string cursor;  // "": that was the last part
};

// Thread-safe; every call blocks. STORE_UNAVAILABLE.
class LocationHistory {
 public:
  virtual ~LocationHistory() = default;
  // The newest position of each driver, in the order asked for; nothing where there is none.
  virtual absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Latest(
      const std::vector<std::string>& driver_ids) = 0;
  // Oldest first.
  virtual absl::StatusOr<std::vector<domain::DriverPosition>> Track(const TrackQuery& query) = 0;
  // All parts together hold the newest position of every driver that has one in the range, and perhaps older ones of
  // his beside it, which come later. What a part costs is bounded by its limit, however many positions there are.
  virtual absl::StatusOr<NewestPart> Newest(const NewestQuery& query) = 0;
  virtual absl::Status Ping() = 0;
};

}  // namespace waybill::storage
