// Times as writers of tracks write them. Used inside tracks/ only.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/time/time.h"
#include "tracks/track_file.h"

namespace waybill::tracks {

// What a text says of a moment, to the microsecond; what is finer is cut off. Years 1 to 9999.
struct TimeReading {
  std::optional<absl::Time> time;  // missing: no time, or one whose zone is not known
  bool zone_missing = false;       // it names no zone; `time` is there when one was given
  bool zone_changes = false;       // ... and at this hour that zone sets its clocks, so that it may be an hour off
  bool other_unit = false;         // counts from 1970, in another unit than it is said to
  bool order_missing = false;      // the day or the month stands first, and which is not known
};

// RFC 3339, and what comes near: a space or nothing for the T, no colons and hyphens, no seconds, a comma before the
// fraction, 24:00:00, a leap second, UTC or GMT for Z, a zone in brackets behind the offset, 31.12.2026 and 2026/12/31,
// months by their English names. Dates whose day and month cannot be told apart are read by `order`, 7:00 and AM and PM
// too. Or a count from 1970: of
// 10 digits it is seconds, of 13 milli-, of 16 micro-, of 19 nanoseconds, whatever the name says; of others what
// `units_per_second` says, 0 being nothing. `zone`: of a time that names none.
TimeReading ReadTime(std::string_view text, const std::optional<absl::TimeZone>& zone, int64_t units_per_second,
                     std::optional<DateOrder> order = std::nullopt);

// Whether the text is nothing but a date, or a number of six digits that loggers use for one (yymmdd).
bool IsDate(std::string_view text);
// "261127" as "20261127"; other dates as they are.
std::string_view WithCentury(std::string_view date, char (&storage)[8]);

}  // namespace waybill::tracks
