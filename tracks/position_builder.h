// Puts a position together from what a file says of it. Used inside tracks/ only.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tracks/field_names.h"
#include "tracks/track_file.h"
#include "tracks/track_source.h"
#include "tracks/track_time.h"

namespace waybill::tracks {

// One object for a whole file: Begin, Say what is there, End, and again. Not thread-safe.
class PositionBuilder {
 public:
  // `options` and `notes` outlive it.
  PositionBuilder(const TrackReadOptions& options, Notes& notes) : options_(options), notes_(notes) {}

  // How this file means what it does not say.
  void set_zone_is_utc() { zone_is_utc_ = true; }           // of times without one, as GPX has it
  void set_speed_is_kmh(bool kmh) { speed_is_kmh_ = kmh; }  // where the name says no unit
  void set_hdop_is_metres(bool metres) { hdop_is_metres_ = metres; }
  void set_names_are_drivers(bool always) { names_are_drivers_ = always; }
  void set_comma_is_decimal(bool decimal) { comma_is_decimal_ = decimal; }  // even before three digits

  void Begin();
  // A value as it stands in the file, and the name it has there. The first of the best rank that says something counts.
  void Say(const Field& field, std::string_view name, std::string_view text);
  // The name of what the point belongs to: the driver, where it can be an id and no field says better.
  void SayName(std::string_view text);
  // kPoint, kUntimed or kBad; `where` goes before the reason: "point 7".
  Found End(int64_t line, const std::string& where);

 private:
  struct Said {
    Field field;
    std::string name;
    std::string text;
  };

  // What was said with a meaning, the best first; without what says nothing.
  std::vector<const Said*> Of(Meaning meaning) const;
  std::string Driver();
  std::optional<double> Degrees(Meaning meaning, std::string_view hemispheres, std::string& why);
  // `why` stays empty where there just is none.
  std::optional<absl::Time> Time(std::string& why);
  // N, S, E or W that stands beside; 0: none does.
  char Beside(Meaning meaning, std::string_view hemispheres, std::string& why);
  std::optional<double> Measurement(Meaning meaning, std::string_view what);
  // Nothing where it is no number, which is noted.
  std::optional<double> Number(const Said& said, std::string_view what);
  double FactorOf(const Said& said);
  std::optional<double> AccuracyOfHdop();

  const TrackReadOptions& options_;
  Notes& notes_;
  bool zone_is_utc_ = false;
  bool speed_is_kmh_ = false;
  bool hdop_is_metres_ = false;
  bool names_are_drivers_ = false;
  bool comma_is_decimal_ = false;
  std::vector<Said> said_;  // the first `size_` of them; the rest keeps its memory
  size_t size_ = 0;
  std::string name_;
  std::string first_named_;  // the first driver that was named though there is a default
  std::map<std::string, std::string, std::less<>> first_no_number_;  // by what it is of
};

}  // namespace waybill::tracks
