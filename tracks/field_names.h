// The names under which writers of tracks keep what a position has: columns of CSV, properties of GeoJSON, elements of
// GPX. Used inside tracks/ only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace waybill::tracks {

enum class Meaning {
  kDriver,
  kLatitude,
  kLongitude,
  kNorthSouth,  // N or S of the latitude beside it
  kEastWest,
  kTime,
  kDate,  // of a time of day beside it; or the whole time
  kSpeed,
  kHeading,
  kAccuracy,
  kHdop,
  kOtherDop,  // vertical, of position: shows that hdop is a dilution
};

struct Field {
  Meaning meaning = Meaning::kTime;
  int rank = 0;                  // of several that mean the same the lowest is the better one
  double factor = 1;             // to m/s, m or degrees
  bool unit_named = false;       // of kSpeed: the name says the unit
  std::string_view usual;        // of kSpeed: `factor` only usually goes with the name; who means it so: "km/h, as ..."
  int64_t units_per_second = 0;  // of kTime: counts from 1970; 0: the name does not say so
  bool utc = false;              // of kTime and kDate: the name says so
  bool hemisphere = false;       // of kLatitude and kLongitude: N, S, E or W stands in the value, as loggers write it
};

// What a name means, in any case and spelling: "Speed (km/h)", "speedKmh", "gps_speed_kmh", "x:speeds".
std::optional<Field> FieldOf(std::string_view name);

// The factor of a unit that stands behind a value, "km/h"; nullopt when it is none of this meaning.
std::optional<double> UnitFactor(Meaning meaning, std::string_view unit);

}  // namespace waybill::tracks
