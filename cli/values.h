// What people type on a command line, turned into values, and values turned into what people read.
// Every parser answers INVALID_ARGUMENT with a message that shows a right form.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/geo.h"
#include "fmt/format.h"

namespace waybill::cli {

// "250ms", "5s", "5m", "1h30m", "7d". Whole numbers, each with its unit.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// "52.52,13.405": latitude and longitude in degrees, in range.
absl::StatusOr<domain::GeoPoint> ParsePoint(std::string_view text);

// "key=value"; the value may be empty and may hold further equals signs.
absl::StatusOr<std::pair<std::string, std::string>> ParsePair(std::string_view text);

// An RFC 3339 time, a date ("2026-01-31", midnight UTC), or a duration that counts back from `now` ("2h").
absl::StatusOr<absl::Time> ParseMoment(std::string_view text, absl::Time now);

// "12 ms", "1.25 s", "3m 12s", "5h 03m", "4d 02h"; "0.4 ms" under a millisecond.
std::string ShowDuration(absl::Duration duration);

// What an option's value was parsed to; an error names the option.
template <typename Value>
absl::StatusOr<Value> ForOption(std::string_view option, absl::StatusOr<Value> parsed) {
  if (parsed.ok()) return parsed;
  return absl::Status(parsed.status().code(), fmt::format("{}: {}", option, std::string(parsed.status().message())));
}

// UTC with milliseconds: "2026-01-31T12:00:00.250Z".
std::string ShowTime(absl::Time time);
// The time of day alone: "12:00:00.250".
std::string ShowTimeOfDay(absl::Time time);

// "52.52000,13.40500"
std::string ShowPoint(const domain::GeoPoint& point);

}  // namespace waybill::cli
