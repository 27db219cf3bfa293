#include "tracks/position_builder.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <utility>

#include "domain/driver.h"
#include "fmt/format.h"

namespace waybill::tracks {
namespace {

// A receiver's error for each unit of horizontal dilution, as receivers' makers reckon it.
constexpr double kMetresPerHdop = 5;
// No receiver gives a position for more; what stands there is metres, or means that there is no fix.
constexpr double kHdopMax = 20;

// "2026-11-27", "20261127_0815": what recorders call a track that nobody gave a name.
bool LooksLikeADate(std::string_view name) {
  auto is = [&name](std::string_view chars) { return name.find_first_not_of(chars) == std::string_view::npos; };
  auto digits = std::count_if(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits >= 6 && is("0123456789-_./:,TZ+");
}

// Days since 1899-12-30: 20,000 is in 1954, 80,000 in 2119.
bool IsDaysOfASpreadsheet(std::string_view text) {
  const size_t whole = std::min(text.find_first_of(".,"), text.size());
  const std::optional<double> days = ParseNumber(text);
  return whole == 5 && days && *days >= 20'000 && *days < 80'000;
}

std::string Lowered(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return low;
}

// "52.5", "52.5\u00b0", "52 31.234", "52\u00b031'14.04\"": degrees, and perhaps minutes and seconds.
std::optional<double> ParseDegrees(std::string_view text) {
  if (std::optional<double> plain = ParseNumber(text)) return plain;
  std::string parts(text);
  // Of each part its mark, as keyboards and typesetters have it.
  for (const std::string_view mark :
       {"\xc2\xb0", "\xc2\xba", "\xe2\x80\xb2", "\xe2\x80\x99", "\xe2\x80\xb3", "\xe2\x80\x9d", "'", "\""}) {
    for (size_t at; (at = parts.find(mark)) != std::string::npos;) parts.replace(at, mark.size(), " ");
  }
  double value = 0, unit = 1;
  bool negative = false, whole = true;
  std::string_view rest = Trim(parts);
  for (int n = 0; !rest.empty(); ++n, unit /= 60) {
    const size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view part = rest.substr(0, end);
    rest = Trim(rest.substr(end));
    const std::optional<double> number = ParseNumber(part);
    if (!number || n == 3 || !whole) return std::nullopt;
    if (n > 0 && (part[0] < '0' || part[0] > '9' || *number >= 60)) return std::nullopt;
    if (n == 0) negative = part[0] == '-';
    whole = part.find_first_of(".,eE") == std::string_view::npos;  // only the last may have a fraction
    value += std::abs(*number) * unit;
  }
  if (Trim(parts).empty()) return std::nullopt;
  return negative ? -value : value;
}

// "1,500": three digits behind a comma may be a fraction or a group.
bool MayBeGrouped(std::string_view text) {
  const size_t comma = text.find(',');
  if (comma == std::string_view::npos || text.size() != comma + 4) return false;
  const size_t first = text.find_first_of("0123456789");
  return first < comma && text[first] != '0';
}

}  // namespace

void PositionBuilder::Begin() {
  size_ = 0;
  name_.clear();
}

void PositionBuilder::Say(const Field& field, std::string_view name, std::string_view text) {
  if (size_ == said_.size()) said_.emplace_back();
  Said& said = said_[size_++];
  said.field = field;
  said.name = name;
  said.text = Trim(text);
}

void PositionBuilder::SayName(std::string_view text) { name_ = Trim(text); }

std::vector<const PositionBuilder::Said*> PositionBuilder::Of(Meaning meaning) const {
  std::vector<const Said*> of;
  for (size_t i = 0; i < size_; ++i) {
    if (said_[i].field.meaning == meaning && !IsNothing(said_[i].text)) of.push_back(&said_[i]);
  }
  // Of equal speeds the one whose unit is certain.
  std::stable_sort(of.begin(), of.end(), [meaning](const Said* a, const Said* b) {
    if (a->field.rank != b->field.rank) return a->field.rank < b->field.rank;
    return meaning == Meaning::kSpeed && a->field.unit_named && !b->field.unit_named;
  });
  return of;
}

std::string PositionBuilder::Driver() {
  if (options_.driver_always) return options_.default_driver_id;
  std::string driver_id;
  for (const Said* said : Of(Meaning::kDriver)) {
    // What is called driver_id is meant as one: it is the service that refuses what it cannot be.
    if (said->field.rank == 0 || domain::IsDriverId(said->text)) driver_id = said->text;
    if (!driver_id.empty()) break;
  }
  if (driver_id.empty() && domain::IsDriverId(name_) && (names_are_drivers_ || !LooksLikeADate(name_)))
    driver_id = name_;
  if (driver_id.empty()) return options_.default_driver_id;
  if (!options_.default_driver_id.empty() && driver_id != options_.default_driver_id) {
    if (first_named_.empty()) first_named_ = driver_id;
    notes_.Count(
        fmt::format("points go to the driver that the file names, such as {}; --driver-always sends them to {}",
                    first_named_, options_.default_driver_id));
  }
  return driver_id;
}

char PositionBuilder::Beside(Meaning meaning, std::string_view hemispheres, std::string& why) {
  // No others: "O" is west to the French and east to Germans, "sever" is north to Czechs.
  constexpr std::string_view kWords[] = {"north",    "nord", "norte", "northern", "south",   "sud",  "sur",    "sul",
                                         "southern", "east", "est",   "este",     "eastern", "west", "western"};
  const bool latitude = meaning == Meaning::kLatitude;
  for (const Said* said : Of(latitude ? Meaning::kNorthSouth : Meaning::kEastWest)) {
    const std::string low = Lowered(said->text);
    const bool known = low.size() == 1 || std::find(std::begin(kWords), std::end(kWords), low) != std::end(kWords);
    if (known && hemispheres.find(low[0]) != std::string_view::npos) return low[0];
    if (Lowered(said->name) == "ns" && ParseNumber(said->text)) {  // nanoseconds
      notes_.NotRead(said->name);
      continue;
    }
    why = fmt::format("{}: \"{}\" is neither {}; N, S, E and W are known, and the English words", said->name,
                      said->text, latitude ? "north nor south" : "east nor west");
  }
  return 0;
}

std::optional<double> PositionBuilder::Degrees(Meaning meaning, std::string_view hemispheres, std::string& why) {
  std::string_view what = meaning == Meaning::kLatitude ? "latitude" : "longitude";
  const char beside = Beside(meaning, hemispheres, why);
  if (!why.empty()) return std::nullopt;
  for (const Said* said : Of(meaning)) {
    std::string_view text = said->text;
    auto side_of = [hemispheres](char c) { return hemispheres.find(c) != std::string_view::npos; };
    char side = beside;
    if (text.size() > 1 && side_of(text.back())) {
      side = text.back();
      text = Trim(text.substr(0, text.size() - 1));
    } else if (text.size() > 1 && side_of(text.front())) {
      side = text.front();
      text = Trim(text.substr(1));
    }
    std::optional<double> value = ParseDegrees(text);
    if (!value) {
      why = fmt::format("{}: \"{}\" is not a number", what, said->text);
      return std::nullopt;
    }
    if (side != 0 && said->field.factor == 1 && std::abs(*value) > 360) {
      why = fmt::format("{}: \"{}\" has degrees and minutes in one number, as NMEA has it; degrees are wanted", what,
                        said->text);
      return std::nullopt;
    }
    if (side == hemispheres[1] || side == hemispheres[3]) *value = -std::abs(*value);
    return said->field.factor < 1 ? *value / std::round(1 / said->field.factor) : *value;
  }
  return std::nullopt;
}

std::optional<absl::Time> PositionBuilder::Time(std::string& why) {
  std::vector<const Said*> times = Of(Meaning::kTime);
  // What a receiver without a date writes for it.
  times.erase(std::remove_if(times.begin(), times.end(),
                             [](const Said* said) { return said->text.compare(0, 10, "0000-00-00") == 0; }),
              times.end());
  const std::vector<const Said*> dates = Of(Meaning::kDate);
  const Said* date = dates.empty() ? nullptr : dates[0];
  if (times.empty() && date != nullptr && !IsDate(date->text)) times.push_back(date);
  struct Candidate {
    absl::Time time;
    TimeReading reading;
    std::string name;
    bool utc = false;
  };
  std::optional<Candidate> best;
  for (const Said* said : times) {
    auto read = [&](std::string_view text, bool utc) {
      std::optional<absl::TimeZone> zone = options_.zone;
      if (utc || (!zone && zone_is_utc_)) zone = absl::UTCTimeZone();
      return ReadTime(text, zone, said->field.units_per_second, options_.date_order);
    };
    Candidate found;
    found.name = said->name;
    found.utc = said->field.utc;
    found.reading = read(said->text, found.utc);
    std::string text = said->text;
    auto settled = [](const TimeReading& reading) {
      return reading.time || reading.zone_missing || reading.order_missing;
    };
    if (!settled(found.reading) && date != nullptr && date != said) {
      char storage[8];
      text = fmt::format("{} {}", WithCentury(date->text, storage), said->text);
      found.utc = found.utc || date->field.utc;
      TimeReading both = read(text, found.utc);
      if (settled(both)) {
        found.reading = both;
        found.name = fmt::format("{} and {}", date->name, said->name);
      }
    }
    if (!found.reading.time) {
      if (!why.empty()) continue;
      auto digit = [](char c) { return (c >= '0' && c <= '9') || c == '.' || c == ','; };
      if (found.reading.order_missing) {
        why = fmt::format("{}: \"{}\" may have the day or the month first; --date-order says which (dmy or mdy)",
                          found.name, text);
      } else if (found.reading.zone_missing) {
        why = fmt::format("{}: \"{}\" names no zone; --zone says it (UTC, +01:00, Europe/Berlin)", found.name, text);
      } else if (IsDaysOfASpreadsheet(said->text)) {
        why = fmt::format(
            "{}: \"{}\" looks like the days that spreadsheets count; give the cells a format such as "
            "yyyy-mm-dd hh:mm:ss and save again",
            said->name, said->text);
      } else if (std::all_of(said->text.begin(), said->text.end(), digit)) {
        why = fmt::format(
            "{}: \"{}\" is no count from 1970 of 10 (s), 13 (ms), 16 (us) or 19 (ns) digits; a name such as time_s or "
            "time_ms says the unit",
            said->name, said->text);
      } else {
        why = fmt::format("{}: \"{}\" is no time that can be told for sure, as 2026-01-31T12:00:00Z can", said->name,
                          said->text);
      }
      continue;
    }
    found.time = *found.reading.time;
    if (!best) {
      best = std::move(found);
      continue;
    }
    absl::Duration apart = found.time > best->time ? found.time - best->time : best->time - found.time;
    if (apart >= absl::Seconds(1)) {
      notes_.Count(
          fmt::format("{} and {} differ by a second or more; {} is taken", best->name, found.name, best->name));
    } else {
      // The one that is more exact, where the other one was cut to the second.
      bool finer = best->time == absl::FromUnixSeconds(absl::ToUnixSeconds(best->time)) && found.time != best->time;
      notes_.Say(fmt::format("{} and {} say the same time; {} is taken", best->name, found.name,
                             finer ? found.name : best->name));
      if (finer) best = std::move(found);
    }
  }
  if (!best) return std::nullopt;
  why.clear();
  if (best->reading.zone_missing && !best->utc && !options_.zone) {
    notes_.Count("times without a zone are taken as UTC; --zone says another");
  }
  if (best->reading.zone_changes)
    notes_.Count("times at which the zone's clocks change are taken as before the change");
  if (best->reading.other_unit) {
    notes_.Count(fmt::format("times in {} have the digits of another unit, and are taken in that", best->name));
  }
  return best->time;
}

double PositionBuilder::FactorOf(const Said& said) {
  if (said.field.meaning != Meaning::kSpeed || said.field.unit_named) return said.field.factor;
  if (said.field.usual.empty()) {
    return options_.speed_unit_mps.value_or(speed_is_kmh_ ? UnitFactor(Meaning::kSpeed, "km/h").value_or(1) : 1);
  }
  // What only OwnTracks writes shows that it is the writer.
  const bool sure = said.name == "vel" && std::any_of(said_.begin(), said_.begin() + static_cast<std::ptrdiff_t>(size_),
                                                      [](const Said& other) { return other.name == "tst"; });
  if (sure) return said.field.factor;
  if (options_.speed_unit_mps) return *options_.speed_unit_mps;
  notes_.Say(fmt::format("{} is taken as {}; --speed-unit says another", said.name, said.field.usual));
  return said.field.factor;
}

std::optional<double> PositionBuilder::Number(const Said& said, std::string_view what) {
  auto parse = [this](std::string_view text) {
    return !comma_is_decimal_ && MayBeGrouped(Trim(text)) ? std::nullopt : ParseNumber(text);
  };
  if (std::optional<double> value = parse(said.text)) return *value * FactorOf(said);
  // "22.4 km/h", "91°"
  size_t end = said.text.find_first_not_of("+-0123456789.,eE");
  if (end != std::string::npos && end > 0) {
    std::optional<double> value = parse(said.text.substr(0, end));
    std::string_view unit = Trim(std::string_view(said.text).substr(end));
    bool degrees = said.field.meaning == Meaning::kHeading && unit.substr(0, 2) == "\xc2\xb0";
    if (degrees) unit = Trim(unit.substr(2));
    std::optional<double> named = unit.empty() ? std::optional<double>(1) : UnitFactor(said.field.meaning, unit);
    if (value && named) return *value * *named;
  }
  auto first = first_no_number_.find(what);
  if (first == first_no_number_.end()) first = first_no_number_.emplace(what, said.text.substr(0, 40)).first;
  notes_.Count(fmt::format("{} is not known where it is no number, such as \"{}\"", what, first->second));
  return std::nullopt;
}

std::optional<double> PositionBuilder::Measurement(Meaning meaning, std::string_view what) {
  const Said* taken = nullptr;
  std::optional<double> value;
  for (const Said* said : Of(meaning)) {
    if (taken != nullptr) {
      if (taken->text != said->text && taken->name != said->name) {
        notes_.Say(fmt::format("{} is taken, not {}", taken->name, said->name));
      }
      continue;
    }
    std::optional<double> number = Number(*said, what);
    if (!number) continue;
    // What phones say for "not known", and what ships do.
    if (meaning == Meaning::kHeading ? *number == -1 || *number == 511 : *number < 0) {
      notes_.Count(fmt::format("{} {} is not known", what, meaning == Meaning::kHeading ? "-1 or 511" : "below 0"));
      continue;
    }
    if (meaning == Meaning::kAccuracy && *number == 0) {
      notes_.Count("accuracy 0 is not known");
      continue;
    }
    if (meaning == Meaning::kHeading && std::abs(*number) > 360) {
      notes_.Count("heading beyond 360 is not known");
      continue;
    }
    // AIS: 102.3 knots.
    if (meaning == Meaning::kSpeed && said->name == "sog" && ParseNumber(said->text) == 102.3) {
      notes_.Count("sog 102.3 is not known");
      continue;
    }
    if (meaning == Meaning::kHeading && *number < 0) {
      notes_.Count("headings below 0 are taken from the other side");
      *number += 360;
    }
    value = number;
    taken = said;
  }
  return value;
}

std::optional<double> PositionBuilder::AccuracyOfHdop() {
  if (options_.hdop == HdopUse::kNone) return std::nullopt;
  bool of_a_receiver = false;
  for (size_t i = 0; i < size_; ++i) of_a_receiver = of_a_receiver || said_[i].field.meaning == Meaning::kOtherDop;
  for (const Said* said : Of(Meaning::kHdop)) {
    std::optional<double> value = Number(*said, "hdop");
    if (!value || *value <= 0) continue;
    if (options_.hdop == HdopUse::kMetres) return value;
    if (options_.hdop == HdopUse::kAuto && hdop_is_metres_) {
      notes_.Count("hdop is taken as the accuracy in metres, which this writer means by it; --hdop none leaves it out");
      return value;
    }
    if (options_.hdop == HdopUse::kAuto && !of_a_receiver) {
      notes_.Count(
          "hdop alone may be a dilution or metres, and is not taken for the accuracy; --hdop says which it is");
      return std::nullopt;
    }
    if (*value > kHdopMax) {
      notes_.Count("hdop above 20 is no dilution, and not taken for the accuracy; --hdop metres takes it so");
      return std::nullopt;
    }
    if (options_.hdop == HdopUse::kAuto) {
      notes_.Count("accuracy is reckoned from hdop, 5 m for each unit; --hdop none leaves it out");
    }
    return *value * kMetresPerHdop;
  }
  return std::nullopt;
}

Found PositionBuilder::End(int64_t line, const std::string& where) {
  std::string why;
  auto bad = [&](std::string_view what) {
    return Found::Bad(line, where.empty() ? std::string(what) : fmt::format("{}: {}", where, what));
  };
  domain::DriverPosition position;
  position.driver_id = Driver();
  if (position.driver_id.empty()) {
    return bad(name_.empty() ? "names no driver; --driver says whose it is"
                             : fmt::format("names no driver: \"{}\" is none; --driver says whose it is", name_));
  }
  std::optional<double> latitude = Degrees(Meaning::kLatitude, "NSns", why);
  std::optional<double> longitude = why.empty() ? Degrees(Meaning::kLongitude, "EWew", why) : std::nullopt;
  if (!why.empty()) return bad(why);
  if (!latitude || !longitude) return bad("has no latitude or no longitude");
  position.point = {*latitude, *longitude};
  double& around = position.point.longitude;
  if (std::abs(around) > 180 && std::abs(around) <= 360) {
    notes_.Count("longitudes beyond 180 go once around: 183 is -177");
    around += around > 0 ? -360 : 360;
  }
  std::optional<absl::Time> time = Time(why);
  if (!why.empty()) return bad(why);
  if (!time) return Found::Untimed(line, where.empty() ? "has no time" : where + ": has no time");
  position.recorded_at = *time;
  position.speed_mps = Measurement(Meaning::kSpeed, "speed");
  position.heading_deg = Measurement(Meaning::kHeading, "heading");
  position.accuracy_m = Measurement(Meaning::kAccuracy, "accuracy");
  if (!position.accuracy_m) position.accuracy_m = AccuracyOfHdop();
  return Found::Point(std::move(position));
}

}  // namespace waybill::tracks
