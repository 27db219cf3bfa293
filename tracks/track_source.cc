#include "tracks/track_source.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace waybill::tracks {

Found Found::Point(storage::DriverPosition position) {
  Found found;
  found.kind = Kind::kPoint;
  found.position = std::move(position);
  return found;
}

Found Found::Bad(int64_t line, std::string why) {
  Found found;
  found.kind = Kind::kBad;
  found.line = line;
  found.why = std::move(why);
  return found;
}

Found Found::Broken(int64_t line, std::string why) {
  Found found = Bad(line, std::move(why));
  found.kind = Kind::kBroken;
  return found;
}

bool IsDriverId(std::string_view text) {
  return !text.empty() && text.size() <= 128 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
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
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool IsWritableTime(absl::Time time) {
  return time >= absl::FromUnixSeconds(-62'135'596'800) && time < absl::FromUnixSeconds(253'402'300'800);
}

std::optional<absl::Time> ParseRfc3339(std::string_view text) {
  absl::Time time;
  std::string error;
  // absl also takes "infinite-future", which is no time of a position.
  if (!absl::ParseTime(absl::RFC3339_full, std::string(Trim(text)), &time, &error) || !IsWritableTime(time)) {
    return std::nullopt;
  }
  return absl::FromUnixMicros(absl::ToUnixMicros(time));
}

std::optional<absl::Time> ParseUnixTime(std::string_view text, int64_t units_per_second) {
  text = Trim(text);
  bool negative = !text.empty() && text[0] == '-';
  if (negative) text.remove_prefix(1);
  std::string_view whole = text.substr(0, text.find('.'));
  std::string_view fraction = whole.size() < text.size() ? text.substr(whole.size() + 1) : "";
  auto digits = [](std::string_view part) {
    return std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (whole.empty() || whole.size() > 15 || !digits(whole) || !digits(fraction)) return std::nullopt;
  int64_t units = 0;
  std::from_chars(whole.data(), whole.data() + whole.size(), units);
  // In integers: a double of today's time in milliseconds does not hold every microsecond.
  absl::Duration since = units * (absl::Seconds(1) / units_per_second);
  absl::Duration digit = absl::Seconds(1) / units_per_second;
  for (size_t i = 0; i < fraction.size() && digit > absl::Microseconds(1); ++i) {
    digit /= 10;
    since += (fraction[i] - '0') * digit;
  }
  absl::Time time = negative ? absl::UnixEpoch() - since : absl::UnixEpoch() + since;
  if (!IsWritableTime(time)) return std::nullopt;
  return absl::FromUnixMicros(absl::ToUnixMicros(time));
}

}  // namespace waybill::tracks
