#include "tracks/track_source.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

#include "fmt/format.h"

namespace waybill::tracks {

Found Found::Point(domain::DriverPosition position) {
  Found found;
  found.kind = Kind::kPoint;
  found.position = std::move(position);
  return found;
}

Found Found::Untimed(int64_t line, std::string why, int64_t positions) {
  Found found = Bad(line, std::move(why), positions);
  found.kind = Kind::kUntimed;
  return found;
}

Found Found::Bad(int64_t line, std::string why, int64_t positions) {
  Found found;
  found.kind = Kind::kBad;
  found.line = line;
  found.why = std::move(why);
  found.positions = positions;
  return found;
}

Found Found::Cut(int64_t line, std::string why, int64_t positions) {
  Found found = Bad(line, std::move(why), positions);
  found.kind = Kind::kCut;
  return found;
}

Found Found::Broken(int64_t line, std::string why) {
  Found found = Bad(line, std::move(why));
  found.kind = Kind::kBroken;
  return found;
}

void Notes::Count(std::string_view text) {
  auto it = counts_.find(text);
  if (it == counts_.end()) it = counts_.emplace(text, 0).first;
  ++it->second;
}

void Notes::Say(std::string_view text) {
  if (counts_.find(text) == counts_.end()) counts_.emplace(text, 0);
}

void Notes::NotRead(std::string_view name) {
  constexpr size_t kNames = 1'000;
  if (not_read_.size() < kNames && not_read_.find(name) == not_read_.end()) not_read_.emplace(name);
}

std::vector<std::string> Notes::lines() const {
  std::vector<std::string> lines;
  for (const auto& [text, count] : counts_) lines.push_back(count > 0 ? fmt::format("{} ({})", text, count) : text);
  if (not_read_.empty()) return lines;
  constexpr size_t kShown = 12;
  std::string names;
  size_t shown = 0;
  for (const std::string& name : not_read_) {
    if (shown == kShown) break;
    names += (shown++ == 0 ? "" : ", ") + name;
  }
  if (not_read_.size() > shown) names += fmt::format(" and {} more", not_read_.size() - shown);
  lines.push_back("not read: " + names);
  return lines;
}

std::string_view Trim(std::string_view text) {
  // Some loggers fill their columns with zero bytes.
  constexpr std::string_view kSpace(" \t\r\n\0", 5);
  size_t from = text.find_first_not_of(kSpace);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

int64_t LineOf(std::string_view text, size_t offset) {
  text = text.substr(0, offset);
  return 1 + std::count(text.begin(), text.end(), '\n');
}

std::optional<double> ParseNumber(std::string_view text) {
  text = Trim(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  std::string with_point;
  if (size_t comma = text.find(','); comma != std::string_view::npos && text.find('.') == std::string_view::npos) {
    with_point = text;
    with_point[comma] = '.';
    text = with_point;
  }
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool IsWritableTime(absl::Time time) {
  return time >= absl::FromUnixSeconds(-62'135'596'800) && time < absl::FromUnixSeconds(253'402'300'800);
}

std::string NotReadBut(std::string_view extension) {
  struct Other {
    std::string_view extension, name, of_gpsbabel;
  };
  constexpr Other kOthers[] = {
      {"kml", "KML", "kml"},       {"kmz", "KML in a zip", "kml"},     {"nmea", "NMEA", "nmea"},
      {"nma", "NMEA", "nmea"},     {"tcx", "Garmin's TCX", "gtrnctr"}, {"fit", "Garmin's FIT", "garmin_fit"},
      {"igc", "IGC", "igc"},       {"xlsx", "a spreadsheet", ""},      {"xls", "a spreadsheet", ""},
      {"ods", "a spreadsheet", ""}};
  for (const Other& other : kOthers) {
    if (other.extension != extension) continue;
    if (other.of_gpsbabel.empty()) return fmt::format("{}, which is not read; save it as CSV", other.name);
    return fmt::format("{}, which is not read; gpsbabel makes GPX of it{}: gpsbabel -i {} -f FILE -o gpx -F day.gpx",
                       other.name, extension == "kmz" ? ", once it is unzipped" : "", other.of_gpsbabel);
  }
  return {};
}

bool IsNothing(std::string_view text) {
  constexpr std::string_view kNothing[] = {
      "",  "nan", "+nan", "-nan", "n/a",  "na",  "#n/a",    "null",      "none",     "nil",       "-",  "--",  "---",
      "?", "*",   "inf",  "+inf", "-inf", "\\n", "unknown", "undefined", "infinity", "-infinity", "nd", "n.a."};
  text = Trim(text);
  if (text.size() > 9) return false;
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(std::begin(kNothing), std::end(kNothing), low) != std::end(kNothing);
}

}  // namespace waybill::tracks
