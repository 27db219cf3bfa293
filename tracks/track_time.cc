#include "tracks/track_time.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string>

#include "absl/time/civil_time.h"
#include "fmt/format.h"
#include "tracks/track_source.h"

namespace waybill::tracks {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads a text from its beginning.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }
  size_t digits() const {
    return static_cast<size_t>(std::find_if_not(rest_.begin(), rest_.end(), IsDigit) - rest_.begin());
  }
  bool Take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool TakeAnyOf(std::string_view chars, char& which) {
    if (rest_.empty() || chars.find(rest_[0]) == std::string_view::npos) return false;
    which = rest_[0];
    rest_.remove_prefix(1);
    return true;
  }
  // A word, in any case.
  bool TakeWord(std::string_view word) {
    auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
    if (rest_.size() < word.size() ||
        !std::equal(word.begin(), word.end(), rest_.begin(), [&](char b, char a) { return same(a, b); })) {
      return false;
    }
    rest_.remove_prefix(word.size());
    return true;
  }
  bool Number(size_t size, int& value) {
    if (digits() < size) return false;
    std::from_chars(rest_.data(), rest_.data() + size, value);
    rest_.remove_prefix(size);
    return true;
  }
  void SkipSpaces() {
    while (Take(' ')) {
    }
  }
  // Digits of a fraction, as microseconds.
  bool Fraction(int& micros) {
    size_t size = digits();
    if (size == 0) return false;
    micros = 0;
    for (size_t i = 0; i < 6; ++i) micros = micros * 10 + (i < size ? rest_[i] - '0' : 0);
    rest_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view rest_;
};

struct Date {
  int year = 0, month = 0, day = 0;
  bool basic = false;  // without anything between its parts
};

bool ReadDate(Scanner& in, Date& date) {
  char mark = 0;
  if (in.digits() == 4) {
    if (!in.Number(4, date.year) || !in.TakeAnyOf("-/.", mark) || !in.Number(2, date.month) || !in.Take(mark) ||
        !in.Number(2, date.day)) {
      return false;
    }
  } else if (in.digits() == 2) {
    // With points the day stands first, wherever people write it so.
    if (!in.Number(2, date.day) || !in.Take('.') || !in.Number(2, date.month) || !in.Take('.') ||
        !in.Number(4, date.year)) {
      return false;
    }
  } else {
    if ((in.digits() != 8 && in.digits() != 14) || !in.Number(4, date.year) || !in.Number(2, date.month) ||
        !in.Number(2, date.day)) {
      return false;
    }
    date.basic = true;
  }
  if (date.year < 1 || date.month < 1 || date.month > 12 || date.day < 1) return false;
  absl::CivilDay day(date.year, date.month, date.day);
  return day.month() == date.month && day.day() == date.day;
}

struct TimeOfDay {
  int hour = 0, minute = 0, second = 0, micros = 0;
};

bool ReadTimeOfDay(Scanner& in, TimeOfDay& time) {
  char mark = 0;
  if (!in.Number(2, time.hour)) return false;
  bool basic = in.digits() >= 2;
  if (!basic && !in.Take(':')) return false;
  if (!in.Number(2, time.minute)) return false;
  if (basic ? in.digits() >= 2 : in.Take(':')) {
    if (!in.Number(2, time.second)) return false;
    if (in.TakeAnyOf(".,", mark) && !in.Fraction(time.micros)) return false;
  }
  bool end_of_day = time.hour == 24 && time.minute == 0 && time.second == 0 && time.micros == 0;
  return (time.hour < 24 || end_of_day) && time.minute < 60 && time.second <= 60;
}

// "", "Z", "UTC", "+01", "+0100", "+01:00", "GMT+1:00", "+01:00[Europe/Berlin]"
bool ReadZone(Scanner& in, std::optional<absl::Duration>& offset) {
  in.SkipSpaces();
  if (in.done()) return true;
  if (in.TakeWord("utc") || in.TakeWord("gmt") || in.TakeWord("z")) offset = absl::ZeroDuration();
  char sign = 0;
  if (in.TakeAnyOf("+-", sign)) {
    int hours = 0, minutes = 0;
    if (!in.Number(in.digits() == 1 ? 1 : 2, hours)) return false;
    if ((in.Take(':') || !in.done()) && in.digits() > 0 && !in.Number(2, minutes)) return false;
    if (hours > 24 || minutes > 59) return false;
    offset = (absl::Hours(hours) + absl::Minutes(minutes)) * (sign == '-' ? -1 : 1);
  }
  if (!offset) return false;
  if (in.Take('[')) {
    char any = 0;
    constexpr std::string_view kName = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    while (in.TakeAnyOf(kName, any)) {
    }
    if (!in.Take(']')) return false;
  }
  in.SkipSpaces();
  return in.done();
}

std::optional<absl::Time> Writable(absl::Time time) {
  if (!IsWritableTime(time)) return std::nullopt;
  return absl::FromUnixMicros(absl::ToUnixMicros(time));
}

constexpr std::string_view kPoints = ".,";

bool IsCount(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  auto is_point = [](char c) { return kPoints.find(c) != std::string_view::npos; };
  return !text.empty() && IsDigit(text[0]) && std::count_if(text.begin(), text.end(), is_point) <= 1 &&
         std::all_of(text.begin(), text.end(), [&](char c) { return IsDigit(c) || is_point(c); });
}

// "Fri, 27 Nov 2026 07:00:00 GMT", "27-Nov-2026 07:00:00" and "Fri Nov 27 07:00:00 GMT 2026" with the date in digits
// and in front; empty: no month is named.
std::string WithoutNames(std::string_view text) {
  constexpr std::string_view kMonths = "jan feb mar apr may jun jul aug sep oct nov dec ";
  constexpr std::string_view kWeekdays = "mon tue wed thu fri sat sun ";
  constexpr auto kIsLetter = [](unsigned char c) { return std::isalpha(c) != 0; };
  if (std::count_if(text.begin(), text.end(), kIsLetter) < 3) return {};
  size_t month = 0;
  std::string day, year, time, rest;
  for (size_t at = 0; at < text.size();) {
    const size_t from = std::min(text.find_first_not_of(" ,", at), text.size());
    size_t end = std::min(text.find_first_of(" ,", from), text.size());
    std::string word(text.substr(from, end - from));
    // The parts of 27-Nov-2026.
    if (word.find(':') == std::string::npos && word.find('-') != std::string::npos && IsDigit(word[0])) {
      end = from + word.find('-');
      word.resize(end - from);
      at = end + 1;
    } else {
      at = end;
    }
    std::string low;
    for (char c : word.substr(0, 3)) low += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    low += ' ';
    const bool letters = word.size() >= 3 && low.find_first_of("0123456789+-:") == std::string::npos;
    const size_t dash = word.find('-');
    if (letters && month == 0 && kMonths.find(low) != std::string_view::npos) {
      month = kMonths.find(low) / 4 + 1;
      if (dash != std::string::npos) at = from + dash + 1;
    } else if (!letters || kWeekdays.find(low) == std::string_view::npos) {
      const bool digits = !word.empty() && std::all_of(word.begin(), word.end(), IsDigit);
      std::string& part = digits && word.size() == 4 ? year : digits && word.size() <= 2 ? day : rest;
      if (word.find(':') != std::string::npos && time.empty() && IsDigit(word[0])) {
        time = word;
      } else if (!part.empty() && !word.empty()) {
        return {};
      } else {
        part = word;
      }
    }
  }
  if (month == 0 || day.empty() || year.empty() || time.empty()) return {};
  return fmt::format("{}-{:02}-{:0>2} {}{}", year, month, day, time, rest);
}

// "11/27/2026 7:00:05 PM" or 27-11-2026 with the year in front and 24 hours; empty: it is nothing like that, or no date
// by that order. `is_such`: it is of that form.
std::string InOrder(std::string_view text, std::optional<DateOrder> order, bool& is_such) {
  Scanner in(text);
  auto number = [&in](int& value) { return in.digits() >= 1 && in.digits() <= 2 && in.Number(in.digits(), value); };
  int first = 0, second = 0, year = 0;
  char mark = 0;
  if (!number(first) || !in.TakeAnyOf("/-", mark) || !number(second) || !in.Take(mark) || in.digits() != 4 ||
      !in.Number(4, year)) {
    return {};
  }
  is_such = true;
  if (!order) return {};
  const bool day_first = *order == DateOrder::kDayMonthYear;
  in.TakeAnyOf(",T", mark);
  in.SkipSpaces();
  std::string rest(in.rest());
  int hour = 0;
  if (const size_t digits = in.digits(); digits == 1 || digits == 2) {
    in.Number(digits, hour);
    std::string time(in.rest());
    // "PM" with the hours of a clock's face.
    for (const std::string_view half : {"am", "pm"}) {
      const size_t at = time.size() >= 2 ? time.find_last_not_of(' ') : std::string::npos;
      if (at == std::string::npos || at == 0) continue;
      const char last[] = {static_cast<char>(std::tolower(static_cast<unsigned char>(time[at - 1]))),
                           static_cast<char>(std::tolower(static_cast<unsigned char>(time[at])))};
      if (std::string_view(last, 2) != half) continue;
      if (hour < 1 || hour > 12) return {};
      hour = hour % 12 + (half == "pm" ? 12 : 0);
      time.resize(at - 1);
      break;
    }
    rest = fmt::format("{:02}{}", hour, time);
  }
  return fmt::format("{:04}-{:02}-{:02} {}", year, day_first ? second : first, day_first ? first : second, rest);
}

TimeReading ReadCount(std::string_view text, int64_t units_per_second) {
  TimeReading reading;
  bool negative = text[0] == '-';
  if (negative) text.remove_prefix(1);
  std::string_view whole = text.substr(0, text.find_first_of(kPoints));
  std::string_view fraction = whole.size() < text.size() ? text.substr(whole.size() + 1) : "";
  int64_t told = whole.size() == 10   ? 1
                 : whole.size() == 13 ? 1'000
                 : whole.size() == 16 ? 1'000'000
                 : whole.size() == 19 ? 1'000'000'000
                                      : 0;
  if (told == 0) told = units_per_second;
  if (told == 0) return reading;
  int64_t units = 0;
  if (std::from_chars(whole.data(), whole.data() + whole.size(), units).ec != std::errc()) return reading;
  // In integers: a double of today's time in milliseconds does not hold every microsecond.
  absl::Duration digit = absl::Seconds(1) / told;
  absl::Duration since = units * digit;
  for (size_t i = 0; i < fraction.size() && digit > absl::Microseconds(1); ++i) {
    digit /= 10;
    since += (fraction[i] - '0') * digit;
  }
  reading.time = Writable(negative ? absl::UnixEpoch() - since : absl::UnixEpoch() + since);
  reading.other_unit = units_per_second != 0 && told != units_per_second;
  return reading;
}

}  // namespace

TimeReading ReadTime(std::string_view text, const std::optional<absl::TimeZone>& zone, int64_t units_per_second,
                     std::optional<DateOrder> order) {
  text = Trim(text);
  TimeReading reading;
  // Fourteen digits without a unit are a date and a time of day.
  if (IsCount(text) && (units_per_second != 0 || text.substr(0, text.find_first_of(kPoints)).size() != 14)) {
    return ReadCount(text, units_per_second);
  }
  if (const std::string in_digits = WithoutNames(text); !in_digits.empty()) return ReadTime(in_digits, zone, 0);
  bool is_such = false;
  if (const std::string in_order = InOrder(text, order, is_such); !in_order.empty()) return ReadTime(in_order, zone, 0);
  reading.order_missing = is_such && !order;
  Scanner in(text);
  Date date;
  TimeOfDay time;
  std::optional<absl::Duration> offset;
  char mark = 0;
  if (!ReadDate(in, date)) return reading;
  bool apart = in.TakeAnyOf("Tt _", mark);
  if (mark == ' ') in.SkipSpaces();
  if ((!apart && !date.basic) || !ReadTimeOfDay(in, time) || !ReadZone(in, offset)) return reading;
  absl::CivilSecond civil(date.year, date.month, date.day, time.hour, time.minute, time.second);
  absl::Duration micros = absl::Microseconds(time.micros);
  if (offset) {
    reading.time = Writable(absl::FromCivil(civil, absl::UTCTimeZone()) - *offset + micros);
    return reading;
  }
  reading.zone_missing = true;
  if (!zone) return reading;
  absl::TimeZone::TimeInfo info = zone->At(civil);
  reading.zone_changes = info.kind != absl::TimeZone::TimeInfo::UNIQUE;
  reading.time = Writable(info.pre + micros);
  return reading;
}

bool IsDate(std::string_view text) {
  char storage[8];
  Scanner in(WithCentury(Trim(text), storage));
  Date date;
  return ReadDate(in, date) && in.done();
}

std::string_view WithCentury(std::string_view date, char (&storage)[8]) {
  if (date.size() != 6 || !std::all_of(date.begin(), date.end(), IsDigit)) return date;
  storage[0] = '2';
  storage[1] = '0';
  std::copy(date.begin(), date.end(), storage + 2);
  return {storage, sizeof(storage)};
}

}  // namespace waybill::tracks
