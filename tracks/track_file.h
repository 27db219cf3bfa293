// Track files: positions of drivers as GPX, CSV or GeoJSON, plain or compressed.
//
// Reading
//   CSV      The first line names the columns, in any order and case: driver_id; lat or latitude; lng, long, lon or
//            longitude; a time: recorded_at, timestamp or time in RFC 3339, or one of them with _unix_s, _unix_ms, _s
//            or _ms behind it, which counts from 1970; and, where known, speed or speed_mps, heading or heading_deg,
//            accuracy or accuracy_m. Further columns are ignored; an empty cell is a value that is not known.
//   GPX      1.0 and 1.1: every trkpt; waypoints and routes are not tracks. Speed, course and accuracy from the point
//            or its extensions; where only hdop is known, accuracy is 5 m for each unit of it. The driver is the name
//            of the trk where that can be a driver's id.
//   GeoJSON  A FeatureCollection or Feature: Points with the properties driver_id, recorded_at (RFC 3339), speed_mps,
//            heading_deg and accuracy_m; LineStrings and MultiLineStrings with the times in the property coordTimes.
// Only form is checked, not range: a latitude of 95 is a point, and it is the service that refuses it.
//
// Writing gives, when read back, the identical points in the same order: coordinates in their shortest exact form,
// times to the microsecond.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/fleet.h"

namespace waybill::tracks {

enum class TrackFormat { kCsv, kGpx, kGeoJson };

// "csv", "gpx", "geojson"; INVALID_ARGUMENT for other names.
absl::StatusOr<TrackFormat> ParseTrackFormat(std::string_view name);
// From a path's extension: .csv, .gpx, .geojson or .json, each also with .gz behind it. INVALID_ARGUMENT for others.
absl::StatusOr<TrackFormat> TrackFormatOf(std::string_view path);

struct TrackReadOptions {
  std::optional<TrackFormat> format;  // missing: from the extension; CSV for standard input
  std::string default_driver_id;      // for points that name no driver; empty: those are bad points
  bool skip_bad = false;              // count bad points and go on, instead of ending with an error
};

class TrackSource;

// Gives the points of a file one by one, in its order. CSV is read as it is consumed; the others are loaded whole (at
// most 512 MiB, uncompressed). Not thread-safe.
class TrackReader {
 public:
  // "-" is standard input. NOT_FOUND, or INVALID_ARGUMENT when the file as a whole cannot be read.
  static absl::StatusOr<std::unique_ptr<TrackReader>> Open(const std::string& path, TrackReadOptions options);
  // The same for a text at hand, whose format is CSV unless the options say otherwise; `name` is for errors.
  static absl::StatusOr<std::unique_ptr<TrackReader>> FromText(std::string text, const std::string& name,
                                                               TrackReadOptions options);
  ~TrackReader();

  // The next point; nullopt behind the last. INVALID_ARGUMENT with file, place and reason ("day.csv:17: ...") for a bad
  // point that is not to be skipped, or when the file breaks off; every later call answers the same.
  absl::StatusOr<std::optional<storage::DriverPosition>> Next();

  // How much of the file is behind it, 0 to 1, for showing progress; nullopt: not known.
  std::optional<double> share() const;
  int64_t skipped() const { return skipped_; }
  // What was wrong with the first few of them.
  const std::vector<std::string>& first_skipped() const { return first_skipped_; }

 private:
  TrackReader(std::string name, TrackReadOptions options, std::unique_ptr<TrackSource> source);

  std::string name_;
  TrackReadOptions options_;
  std::unique_ptr<TrackSource> source_;
  absl::Status broken_;
  int64_t skipped_ = 0;
  std::vector<std::string> first_skipped_;
};

// All points of a file.
absl::StatusOr<std::vector<storage::DriverPosition>> ReadTrackFile(const std::string& path, TrackReadOptions options);

// Writes points as they come. In GPX a new trk begins wherever the driver changes. Not thread-safe.
class TrackWriter {
 public:
  // Over what was there before; compressed where the path ends in .gz. "-" is standard output. INVALID_ARGUMENT when
  // the format is neither given nor to be told from the path, UNAVAILABLE when the file cannot be written.
  static absl::StatusOr<std::unique_ptr<TrackWriter>> Create(const std::string& path,
                                                             std::optional<TrackFormat> format = std::nullopt);
  virtual ~TrackWriter() = default;

  // INVALID_ARGUMENT for what the formats cannot hold: a driver id that is not 1-128 visible ASCII characters, numbers
  // that are not finite, years outside 1 to 9999. Nothing is written then.
  absl::Status Write(const storage::DriverPosition& position);
  // Writes the end. Without it the file is not complete.
  virtual absl::Status Close() = 0;

 private:
  virtual absl::Status WriteChecked(const storage::DriverPosition& position) = 0;
};

}  // namespace waybill::tracks
