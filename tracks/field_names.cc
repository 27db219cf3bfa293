#include "tracks/field_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <vector>

namespace waybill::tracks {
namespace {

constexpr double kKmh = 1 / 3.6;
constexpr double kMph = 1609.344 / 3600;
constexpr double kKnot = 1852.0 / 3600;
constexpr double kFoot = 0.3048;

struct Known {
  std::string_view name;  // lower case, without what separates its words
  Meaning meaning;
  int rank = 0;
  double factor = 1;
  int64_t units_per_second = 0;
  bool hemisphere = false;
  std::string_view usual = {};
};

constexpr Known kKnown[] = {
    {"driverid", Meaning::kDriver, 0},
    {"driver", Meaning::kDriver, 1},
    {"vehicleid", Meaning::kDriver, 2},
    {"vehicle", Meaning::kDriver, 3},
    {"deviceid", Meaning::kDriver, 4},
    {"trackerid", Meaning::kDriver, 5},
    {"tid", Meaning::kDriver, 6},
    {"lat", Meaning::kLatitude},
    {"latitude", Meaning::kLatitude},
    {"latitudens", Meaning::kLatitude, 0, 1, 0, true},
    {"latns", Meaning::kLatitude, 0, 1, 0, true},
    {"lng", Meaning::kLongitude},
    {"lon", Meaning::kLongitude},
    {"long", Meaning::kLongitude},
    {"longitude", Meaning::kLongitude},
    {"longitudeew", Meaning::kLongitude, 0, 1, 0, true},
    {"lonew", Meaning::kLongitude, 0, 1, 0, true},
    {"longew", Meaning::kLongitude, 0, 1, 0, true},
    {"lngew", Meaning::kLongitude, 0, 1, 0, true},
    {"ns", Meaning::kNorthSouth},
    {"nsindicator", Meaning::kNorthSouth},
    {"nshemisphere", Meaning::kNorthSouth},
    {"latref", Meaning::kNorthSouth},
    {"latituderef", Meaning::kNorthSouth},
    {"latdir", Meaning::kNorthSouth},
    {"latitudedirection", Meaning::kNorthSouth},
    {"lathemisphere", Meaning::kNorthSouth},
    {"latitudehemisphere", Meaning::kNorthSouth},
    {"ew", Meaning::kEastWest},
    {"ewindicator", Meaning::kEastWest},
    {"ewhemisphere", Meaning::kEastWest},
    {"lonref", Meaning::kEastWest},
    {"lngref", Meaning::kEastWest},
    {"longituderef", Meaning::kEastWest},
    {"londir", Meaning::kEastWest},
    {"longitudedirection", Meaning::kEastWest},
    {"lonhemisphere", Meaning::kEastWest},
    {"longitudehemisphere", Meaning::kEastWest},
    {"recordedat", Meaning::kTime, 0},
    {"recordedtime", Meaning::kTime, 0},
    {"fixtime", Meaning::kTime, 1},
    {"timestamp", Meaning::kTime, 2},
    {"time", Meaning::kTime, 2},
    {"datetime", Meaning::kTime, 2},
    {"dateandtime", Meaning::kTime, 2},
    {"when", Meaning::kTime, 2},
    {"isotst", Meaning::kTime, 2},
    {"tst", Meaning::kTime, 2, 1, 1},
    {"epoch", Meaning::kTime, 2},
    {"unix", Meaning::kTime, 2, 1, 1},
    {"unixtime", Meaning::kTime, 2, 1, 1},
    {"unixtimestamp", Meaning::kTime, 2, 1, 1},
    {"epochtime", Meaning::kTime, 2},
    {"coordtime", Meaning::kTime, 2},
    {"linestringtimestamp", Meaning::kTime, 2},
    {"date", Meaning::kDate, 3},
    {"speed", Meaning::kSpeed},
    {"velocity", Meaning::kSpeed},
    {"groundspeed", Meaning::kSpeed},
    {"speedoverground", Meaning::kSpeed},
    // Units that usually go with the name.
    {"sog", Meaning::kSpeed, 0, kKnot, 0, false, "knots, as AIS means it"},
    {"vel", Meaning::kSpeed, 0, kKmh, 0, false, "km/h, as OwnTracks means it"},
    {"course", Meaning::kHeading, 0},
    {"courseoverground", Meaning::kHeading, 0},
    {"coursetrue", Meaning::kHeading, 0},
    {"truecourse", Meaning::kHeading, 0},
    {"cog", Meaning::kHeading, 0},
    {"bearing", Meaning::kHeading, 1},
    {"azimuth", Meaning::kHeading, 1},
    // Of a map application that writes bearing as well, heading is the phone's own.
    {"heading", Meaning::kHeading, 2},
    {"hdg", Meaning::kHeading, 2},
    {"accuracy", Meaning::kAccuracy, 1},
    {"accuracies", Meaning::kAccuracy, 1},
    {"acc", Meaning::kAccuracy, 1},
    {"hacc", Meaning::kAccuracy, 0},
    {"haccuracy", Meaning::kAccuracy, 0},
    {"horacc", Meaning::kAccuracy, 0},
    {"horaccur", Meaning::kAccuracy, 0},
    {"horaccuracy", Meaning::kAccuracy, 0},
    {"horizontalaccuracy", Meaning::kAccuracy, 0},
    {"horizontalaccuracies", Meaning::kAccuracy, 0},
    {"accuracyhorizontal", Meaning::kAccuracy, 0},
    {"horizontalerror", Meaning::kAccuracy, 0},
    {"positionaccuracy", Meaning::kAccuracy, 0},
    {"eph", Meaning::kAccuracy, 0},
    {"hdop", Meaning::kHdop},
    {"horizontaldilutionofprecision", Meaning::kHdop},
    {"vdop", Meaning::kOtherDop},
    {"pdop", Meaning::kOtherDop},
    {"verticaldilutionofprecision", Meaning::kOtherDop},
    {"positiondilutionofprecision", Meaning::kOtherDop},
};

struct Unit {
  std::string_view name;  // its words with _ between them
  double factor;
};

constexpr Unit kSpeedUnits[] = {{"mps", 1},
                                {"ms", 1},
                                {"m_s", 1},
                                {"m_sec", 1},
                                {"meters_second", 1},
                                {"metres_second", 1},
                                {"meters_per_second", 1},
                                {"metres_per_second", 1},
                                {"kmh", kKmh},
                                {"kph", kKmh},
                                {"kmph", kKmh},
                                {"km_h", kKmh},
                                {"km_hr", kKmh},
                                {"kilometers_hour", kKmh},
                                {"kilometres_hour", kKmh},
                                {"mph", kMph},
                                {"mi_h", kMph},
                                {"miles_hour", kMph},
                                {"kn", kKnot},
                                {"kt", kKnot},
                                {"kts", kKnot},
                                {"knot", kKnot},
                                {"knots", kKnot},
                                {"cm_s", 0.01},
                                {"fps", kFoot},
                                {"ft_s", kFoot}};
constexpr Unit kLengthUnits[] = {{"m", 1},      {"meter", 1},  {"metre", 1},    {"meters", 1},
                                 {"metres", 1}, {"ft", kFoot}, {"foot", kFoot}, {"feet", kFoot},
                                 {"km", 1000},  {"cm", 0.01},  {"mm", 0.001}};
constexpr Unit kAngleUnits[] = {{"deg", 1}, {"degree", 1}, {"degrees", 1}, {"true", 1}, {"deg_true", 1}, {"t", 1}};
constexpr Unit kDegreeUnits[] = {{"deg", 1}, {"degree", 1}, {"degrees", 1}, {"wgs84", 1}, {"dd", 1}, {"e7", 1e-7}};

template <size_t kSize>
std::optional<double> Find(const Unit (&units)[kSize], std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return std::nullopt;
}

std::optional<double> FactorOf(Meaning meaning, std::string_view unit) {
  switch (meaning) {
    case Meaning::kSpeed:
      return Find(kSpeedUnits, unit);
    case Meaning::kAccuracy:
      return Find(kLengthUnits, unit);
    case Meaning::kHeading:
      return Find(kAngleUnits, unit);
    case Meaning::kLatitude:
    case Meaning::kLongitude:
      return Find(kDegreeUnits, unit);
    default:
      return std::nullopt;
  }
}

// What a word behind (or before) a time says of it. False: nothing.
bool SayOfTime(std::string_view word, Field& field) {
  struct Word {
    std::string_view name;
    int64_t units_per_second;
  };
  constexpr Word kWords[] = {{"s", 1},
                             {"sec", 1},
                             {"secs", 1},
                             {"second", 1},
                             {"seconds", 1},
                             {"ms", 1'000},
                             {"msec", 1'000},
                             {"millis", 1'000},
                             {"milliseconds", 1'000},
                             {"us", 1'000'000},
                             {"micros", 1'000'000},
                             {"microseconds", 1'000'000},
                             {"ns", 1'000'000'000},
                             {"nanos", 1'000'000'000},
                             {"nanoseconds", 1'000'000'000}};
  if (word == "utc" || word == "gmt" || word == "z") {
    field.utc = true;
    return true;
  }
  if (word == "iso" || word == "iso8601" || word == "rfc3339") return true;
  if (word == "unix" || word == "epoch") {
    if (field.units_per_second == 0) field.units_per_second = 1;
    return true;
  }
  for (const Word& known : kWords) {
    if (known.name == word) field.units_per_second = known.units_per_second;
    if (known.name == word) return true;
  }
  return false;
}

// "Speed (km/h)" and "speedKmH" into speed, km, h; without "gps" and its like, which say nothing.
std::vector<std::string> WordsOf(std::string_view name) {
  size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && name.find_first_of(" (") == std::string_view::npos) {
    name.remove_prefix(colon + 1);  // a prefix of a namespace is each writer's own choice
  }
  std::vector<std::string> words;
  bool within = false, low = false;
  for (char c : name) {
    auto byte = static_cast<unsigned char>(c);
    bool letter = byte < 0x80 && std::isalnum(byte) != 0;
    bool upper = byte < 0x80 && std::isupper(byte) != 0;
    if (!letter) {
      within = false;
      continue;
    }
    if (!within || (upper && low)) words.emplace_back();
    words.back() += static_cast<char>(std::tolower(byte));
    within = true;
    low = !upper;
  }
  auto empty = [](const std::string& word) {
    return word == "gps" || word == "gnss" || word == "location" || word == "loc" || word == "coords";
  };
  if (words.size() > 1 && !std::all_of(words.begin(), words.end(), empty)) {
    words.erase(std::remove_if(words.begin(), words.end(), empty), words.end());
  }
  return words;
}

std::string Joined(const std::vector<std::string>& words, size_t from, size_t to, std::string_view between) {
  std::string text;
  for (size_t i = from; i < to; ++i) text += (i == from ? "" : std::string(between)) + words[i];
  return text;
}

// What the first `size` words name together; also as the name of an array, "speeds". Null: nothing.
const Known* Lookup(const std::vector<std::string>& words, size_t size) {
  std::string base = Joined(words, 0, size, "");
  auto is_base = [&base](const Known& known) { return known.name == base; };
  const Known* known = std::find_if(std::begin(kKnown), std::end(kKnown), is_base);
  if (known == std::end(kKnown) && words[size - 1].size() > 2 && base.back() == 's') {
    base.pop_back();
    known = std::find_if(std::begin(kKnown), std::end(kKnown), is_base);
  }
  return known == std::end(kKnown) ? nullptr : known;
}

}  // namespace

std::optional<Field> FieldOf(std::string_view name) {
  std::vector<std::string> words = WordsOf(name);
  if (words.empty() || words.size() > 6) return std::nullopt;
  // "utc_time" and "unix_ms" are "time_utc" and "time_unix_ms".
  const std::string first = words[0];
  if (words.size() > 1 && Lookup(words, words.size()) == nullptr) {
    if (first == "utc" || first == "gmt" || first == "iso") std::rotate(words.begin(), words.begin() + 1, words.end());
    if ((first == "unix" || first == "epoch") && Lookup(words, 2) == nullptr) words.insert(words.begin(), "time");
  }
  for (size_t size = words.size(); size > 0; --size) {
    const Known* known = Lookup(words, size);
    if (known == nullptr) continue;
    Field field;
    field.meaning = known->meaning;
    field.rank = known->rank;
    field.factor = known->factor;
    field.usual = known->usual;
    field.units_per_second = known->units_per_second;
    field.hemisphere = known->hemisphere;
    if (size == words.size()) return field;
    if (field.meaning == Meaning::kTime || field.meaning == Meaning::kDate) {
      bool all = true;
      for (size_t i = size; i < words.size(); ++i) all = SayOfTime(words[i], field) && all;
      if (all) return field;
      continue;
    }
    if (std::optional<double> factor = FactorOf(field.meaning, Joined(words, size, words.size(), "_"))) {
      field.factor = *factor;
      field.unit_named = true;
      field.usual = {};
      return field;
    }
  }
  return std::nullopt;
}

std::optional<double> UnitFactor(Meaning meaning, std::string_view unit) {
  std::vector<std::string> words = WordsOf(unit);
  return FactorOf(meaning, Joined(words, 0, words.size(), "_"));
}

}  // namespace waybill::tracks
