#include "tracks/position_builder.h"

#include <algorithm>
#include <cmath>
#include <utility>

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
  std::stable_sort(of.begin(), of.end(), [](const Said* a, const Said* b) { return a->field.rank < b->field.rank; });
  return of;
}

std::string_view PositionBuilder::TextOf(Meaning meaning) const {
  for (size_t i = 0; i < size_; ++i) {
    if (said_[i].field.meaning == meaning) return said_[i].text;
  }
  return {};
}

std::string PositionBuilder::Driver() {
  if (options_.driver_always) return options_.default_driver_id;
  std::string driver_id;
  for (const Said* said : Of(Meaning::kDriver)) {
    // What is called driver_id is meant as one: it is the service that refuses what it cannot be.
    if (said->field.rank == 0 || IsDriverId(said->text)) driver_id = said->text;
    if (!driver_id.empty()) break;
  }
  if (driver_id.empty() && IsDriverId(name_) && (names_are_drivers_ || !LooksLikeADate(name_))) driver_id = name_;
  if (driver_id.empty()) return options_.default_driver_id;
  if (!options_.default_driver_id.empty() && driver_id != options_.default_driver_id) {
    if (first_named_.empty()) first_named_ = driver_id;
    notes_.Count(
        fmt::format("points go to the driver that the file names, such as {}; --driver-always sends them to {}",
                    first_named_, options_.default_driver_id));
  }
  return driver_id;
}

std::optional<double> PositionBuilder::Degrees(Meaning meaning, std::string_view hemispheres, std::string& why) {
  std::string_view what = meaning == Meaning::kLatitude ? "latitude" : "longitude";
  std::string_view beside = TextOf(meaning == Meaning::kLatitude ? Meaning::kNorthSouth : Meaning::kEastWest);
  for (const Said* said : Of(meaning)) {
    std::string_view text = said->text;
    auto side_of = [hemispheres](char c) { return hemispheres.find(c) != std::string_view::npos; };
    char side = beside.size() == 1 && side_of(beside[0]) ? beside[0] : 0;
    if (text.size() > 1 && side_of(text.back())) {
      side = text.back();
      text = Trim(text.substr(0, text.size() - 1));
    } else if (text.size() > 1 && side_of(text.front())) {
      side = text.front();
      text = Trim(text.substr(1));
    }
    constexpr std::string_view kDegree = "\xc2\xb0";
    if (text.size() > 2 && text.substr(text.size() - 2) == kDegree) text = text.substr(0, text.size() - 2);
    std::optional<double> value = ParseNumber(text);
    if (!value) {
      why = fmt::format("{}: \"{}\" is not a number", what, said->text);
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
      return ReadTime(text, zone, said->field.units_per_second);
    };
    Candidate found;
    found.name = said->name;
    found.utc = said->field.utc;
    found.reading = read(said->text, found.utc);
    std::string text = said->text;
    if (!found.reading.time && !found.reading.zone_missing && date != nullptr && date != said) {
      char storage[8];
      text = fmt::format("{} {}", WithCentury(date->text, storage), said->text);
      found.utc = found.utc || date->field.utc;
      TimeReading both = read(text, found.utc);
      if (both.time || both.zone_missing) {
        found.reading = both;
        found.name = fmt::format("{} and {}", date->name, said->name);
      }
    }
    if (!found.reading.time) {
      if (!why.empty()) continue;
      auto digit = [](char c) { return (c >= '0' && c <= '9') || c == '.' || c == ','; };
      if (found.reading.zone_missing) {
        why = fmt::format("{}: \"{}\" names no zone; --zone says it (UTC, +01:00, Europe/Berlin)", found.name, text);
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

std::optional<double> PositionBuilder::Number(const Said& said, std::string_view what, std::string& why) const {
  double factor = said.field.factor;
  if (said.field.meaning == Meaning::kSpeed && !said.field.unit_named) {
    factor = options_.speed_unit_mps.value_or(speed_is_kmh_ ? UnitFactor(Meaning::kSpeed, "km/h").value_or(1) : 1);
  }
  if (std::optional<double> value = ParseNumber(said.text)) return *value * factor;
  // "22.4 km/h", "91°"
  size_t end = said.text.find_first_not_of("+-0123456789.,eE");
  if (end != std::string::npos && end > 0) {
    std::optional<double> value = ParseNumber(said.text.substr(0, end));
    std::string_view unit = Trim(std::string_view(said.text).substr(end));
    bool degrees = said.field.meaning == Meaning::kHeading && unit.substr(0, 2) == "\xc2\xb0";
    if (degrees) unit = Trim(unit.substr(2));
    std::optional<double> named = unit.empty() ? std::optional<double>(1) : UnitFactor(said.field.meaning, unit);
    if (value && named) return *value * *named;
  }
  why = fmt::format("{}: \"{}\" is not a number", what, said.text);
  return std::nullopt;
}

std::optional<double> PositionBuilder::Measurement(Meaning meaning, std::string_view what, std::string& why) {
  const Said* taken = nullptr;
  std::optional<double> value;
  for (const Said* said : Of(meaning)) {
    if (taken != nullptr) {
      if (taken->text != said->text && taken->name != said->name) {
        notes_.Say(fmt::format("{} is taken, not {}", taken->name, said->name));
      }
      continue;
    }
    std::string wrong;
    std::optional<double> number = Number(*said, what, wrong);
    if (!number) {
      if (why.empty()) why = wrong;
      continue;
    }
    // What phones say for "not known", and what ships do.
    if (meaning == Meaning::kHeading ? *number == -1 || *number == 511 : *number < 0) {
      notes_.Count(fmt::format("{} {} is not known", what, meaning == Meaning::kHeading ? "-1 or 511" : "below 0"));
      continue;
    }
    if (meaning == Meaning::kAccuracy && *number == 0) {
      notes_.Count("accuracy 0 is not known");
      continue;
    }
    if (meaning == Meaning::kHeading && *number < 0 && *number >= -360) {
      notes_.Count("headings below 0 are taken from the other side");
      *number += 360;
    }
    value = number;
    taken = said;
  }
  return value;
}

std::optional<double> PositionBuilder::AccuracyOfHdop(std::string& why) {
  if (options_.hdop == HdopUse::kNone) return std::nullopt;
  bool of_a_receiver = false;
  for (size_t i = 0; i < size_; ++i) of_a_receiver = of_a_receiver || said_[i].field.meaning == Meaning::kOtherDop;
  for (const Said* said : Of(Meaning::kHdop)) {
    std::optional<double> value = Number(*said, "hdop", why);
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
  storage::DriverPosition position;
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
  position.speed_mps = Measurement(Meaning::kSpeed, "speed", why);
  position.heading_deg = Measurement(Meaning::kHeading, "heading", why);
  position.accuracy_m = Measurement(Meaning::kAccuracy, "accuracy", why);
  if (!position.accuracy_m) position.accuracy_m = AccuracyOfHdop(why);
  if (!why.empty()) return bad(why);
  return Found::Point(std::move(position));
}

}  // namespace waybill::tracks
