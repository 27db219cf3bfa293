#include "cli/values.h"

#include <charconv>
#include <cmath>
#include <optional>

#include "fmt/format.h"

namespace waybill::cli {
namespace {

constexpr int64_t kCountMax = 1'000'000'000;

absl::Status Wrong(std::string_view text, std::string_view what, std::string_view example) {
  return absl::InvalidArgumentError(fmt::format("\"{}\" is not {}; write it like {}", text, what, example));
}

std::optional<absl::Duration> Unit(std::string_view name) {
  if (name == "ms") return absl::Milliseconds(1);
  if (name == "s") return absl::Seconds(1);
  if (name == "m") return absl::Minutes(1);
  if (name == "h") return absl::Hours(1);
  if (name == "d") return absl::Hours(24);
  return std::nullopt;
}

// A plain decimal number that fills the whole text.
std::optional<double> ParseDegrees(std::string_view text, double limit) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value) || std::abs(value) > limit) return std::nullopt;
  return value;
}

}  // namespace

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  constexpr std::string_view kWhat = "a duration";
  constexpr std::string_view kExample = "250ms, 30s, 5m, 1h30m or 7d";
  absl::Duration sum = absl::ZeroDuration();
  std::string_view rest = text;
  if (rest.empty()) return Wrong(text, kWhat, kExample);
  while (!rest.empty()) {
    int64_t count = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (error != std::errc() || rest[0] == '-' || count > kCountMax) return Wrong(text, kWhat, kExample);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    std::string_view name = rest.substr(0, rest.find_first_of("0123456789"));
    std::optional<absl::Duration> unit = Unit(name);
    if (!unit) return Wrong(text, kWhat, kExample);
    sum += *unit * count;
    rest.remove_prefix(name.size());
  }
  return sum;
}

absl::StatusOr<domain::GeoPoint> ParsePoint(std::string_view text) {
  size_t comma = text.find(',');
  if (comma != std::string_view::npos) {
    std::optional<double> latitude = ParseDegrees(text.substr(0, comma), 90);
    std::optional<double> longitude = ParseDegrees(text.substr(comma + 1), 180);
    if (latitude && longitude) return domain::GeoPoint{*latitude, *longitude};
  }
  return Wrong(text, "a point (latitude -90 to 90, longitude -180 to 180)", "52.52,13.405");
}

absl::StatusOr<std::pair<std::string, std::string>> ParsePair(std::string_view text) {
  size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) return Wrong(text, "a key with a value", "gate=7");
  return std::make_pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

absl::StatusOr<absl::Time> ParseMoment(std::string_view text, absl::Time now) {
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error)) return time;
  if (absl::ParseTime("%Y-%m-%d", std::string(text), &time, &error)) return time;
  if (absl::StatusOr<absl::Duration> ago = ParseDuration(text); ago.ok()) return now - *ago;
  return Wrong(text, "a time", "2026-01-31T12:00:00Z, 2026-01-31, or 2h for two hours ago");
}

std::string ShowDuration(absl::Duration duration) {
  if (duration < absl::ZeroDuration()) return "-" + ShowDuration(-duration);
  if (duration == absl::InfiniteDuration()) return "forever";
  if (duration > absl::ZeroDuration() && duration < absl::Milliseconds(1)) {
    return fmt::format("{:.1f} ms", absl::ToDoubleMilliseconds(duration));
  }
  if (duration < absl::Seconds(1)) return fmt::format("{} ms", absl::ToInt64Milliseconds(duration));
  if (duration < absl::Minutes(1)) {
    int64_t millis = absl::ToInt64Milliseconds(duration);
    return fmt::format("{}.{:02} s", millis / 1000, millis % 1000 / 10);
  }
  int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 3600) return fmt::format("{}m {:02}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h {:02}m", seconds / 3600, seconds % 3600 / 60);
  return fmt::format("{}d {:02}h", seconds / 86400, seconds % 86400 / 3600);
}

std::string ShowTime(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

std::string ShowTimeOfDay(absl::Time time) { return absl::FormatTime("%H:%M:%E3S", time, absl::UTCTimeZone()); }

std::string ShowPoint(const domain::GeoPoint& point) {
  return fmt::format("{:.5f},{:.5f}", point.latitude, point.longitude);
}

}  // namespace waybill::cli
