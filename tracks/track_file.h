// Track files: positions of drivers as GPX, CSV or GeoJSON, plain or compressed.
//
// Reading takes them as loggers, phones and converters write them; docs/tracks.md lists the dialects. Where a file does
// not say clearly what it means there are rules, each told in a note, or it is an error that names the option which
// says it. Nothing is guessed in silence, and a measurement that is not known (empty, nan, -1) never costs its
// position.
//   CSV      A line names the columns. Read as it is consumed.
//   GPX      1.0 and 1.1: every trkpt of every document, with what its extensions say.
//   GeoJSON  Features with Points, or lines with a time for each of their coordinates; arrays of them; OwnTracks.
// Only form is checked, not range: a latitude of 95 is a point, and it is the service that refuses it.
//
// Writing gives, when read back, the same points in the same order: coordinates and measurements to nine decimals,
// times to the microsecond. GPX has neither longitude 180 nor course 360; they are written as -180 and 0. Exponents are
// not used, and the files are valid by GPX 1.1's schema and by RFC 7946.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/driver.h"

namespace waybill::tracks {

enum class TrackFormat { kCsv, kGpx, kGeoJson };

// "csv", "gpx", "geojson"; INVALID_ARGUMENT for other names.
absl::StatusOr<TrackFormat> ParseTrackFormat(std::string_view name);
// From a path's extension: .csv, .gpx, .geojson or .json, each also with .gz behind it. INVALID_ARGUMENT for others.
absl::StatusOr<TrackFormat> TrackFormatOf(std::string_view path);

// What becomes of a dilution of precision where no accuracy is known.
enum class HdopUse {
  kAuto,      // kDilution where vdop or pdop stands beside it, kMetres from writers that are known for it, else kNone
  kDilution,  // 5 m for each unit; above 20 it is none
  kMetres,    // it is the accuracy
  kNone,
};

// What stands first in 11/12/2026.
enum class DateOrder { kDayMonthYear, kMonthDayYear };

struct TrackReadOptions {
  std::optional<TrackFormat> format;    // missing: from the extension; CSV for standard input
  std::string default_driver_id;        // for points that name no driver; empty: those are bad points
  bool driver_always = false;           // the same for points that do name one
  bool skip_bad = false;                // count bad points and go on, instead of ending with an error
  std::optional<absl::TimeZone> zone;   // of times that name none; missing: UTC in GPX, elsewhere they are bad
  std::optional<DateOrder> date_order;  // of dates that do not show it; missing: those are bad
  std::optional<double>
      speed_unit_mps;  // of speeds whose name says no unit; missing: 1, km/h from loggers known for it
  HdopUse hdop = HdopUse::kAuto;
  bool waypoints = false;  // GPX: route points and waypoints as well
  absl::Duration later;    // added to every time
};

// "UTC", "+01:00", "-0330", or a name of the machine's time zone database, "Europe/Berlin". INVALID_ARGUMENT for
// others.
absl::StatusOr<absl::TimeZone> ParseZone(std::string_view text);

class ByteSource;
class Notes;
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
  // point that is not to be skipped, or when the file breaks off; every later call answers the same. Positions without
  // any time are skipped in any case.
  absl::StatusOr<std::optional<domain::DriverPosition>> Next();

  // How much of the file is behind it, 0 to 1, for showing progress; nullopt: not known.
  std::optional<double> share() const;
  // Positions in the file that gave no point, as far as they could be counted.
  int64_t skipped() const { return skipped_; }
  // What was wrong with the first few.
  const std::vector<std::string>& first_skipped() const { return first_skipped_; }
  // How the file was understood where it does not say it clearly: a line for each kind of thing, final behind the last
  // point.
  std::vector<std::string> notes() const;
  // What the file holds that is no track, "2 route points and 1 waypoint"; empty: nothing.
  std::string besides() const;

 private:
  TrackReader(std::string name, TrackReadOptions options);
  absl::Status Begin(std::unique_ptr<ByteSource> bytes);

  const std::string name_;
  const TrackReadOptions options_;
  std::unique_ptr<Notes> notes_;
  std::unique_ptr<TrackSource> source_;
  absl::Status broken_;
  bool cut_ = false;
  int64_t skipped_ = 0;
  std::vector<std::string> first_skipped_;
};

// All points of a file.
absl::StatusOr<std::vector<domain::DriverPosition>> ReadTrackFile(const std::string& path, TrackReadOptions options);

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
  absl::Status Write(const domain::DriverPosition& position);
  // Writes the end. Without it the file is not complete.
  virtual absl::Status Close() = 0;

 private:
  virtual absl::Status WriteChecked(const domain::DriverPosition& position) = 0;
};

}  // namespace waybill::tracks
