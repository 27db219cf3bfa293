#include "bench/location_message.h"

#include <algorithm>
#include <cstring>

#include "fmt/format.h"

namespace waybill::bench {
namespace {

constexpr int64_t kMicrosPerSecond = 1'000'000;
// Everybody drives north at 10 m/s, which is no jump between any two points.
constexpr int64_t kNorthwardE7PerSecond = 898;
constexpr double kAccuracyM = 5, kHeadingDeg = 0, kSpeedMps = 10;

// Wire format, see the Protocol Buffers encoding: a tag is field number * 8 + wire type.
constexpr char kTagSequence = 1 << 3 | 0;
constexpr char kTagPoint = 2 << 3 | 2;
constexpr char kTagDriver = 1 << 3 | 2;
constexpr char kTagLatitude = 2 << 3 | 1;
constexpr char kTagLongitude = 3 << 3 | 1;
constexpr char kTagRecordedAt = 4 << 3 | 2;
constexpr char kTagSeconds = 1 << 3 | 0;
constexpr char kTagNanos = 2 << 3 | 0;
constexpr char kTagAccuracy = 5 << 3 | 5;
constexpr char kTagHeading = 6 << 3 | 5;
constexpr char kTagSpeed = 7 << 3 | 5;

// Every varint that changes takes five bytes, whatever its value: leading zeros are allowed.
constexpr size_t kVarintBytes = 5;
constexpr size_t kSequenceAt = 1;
constexpr size_t kTimestampBytes = 2 * (1 + kVarintBytes);
// From a point's latitude on.
constexpr size_t kSecondsAt = 8 + 1 + 8 + 2 + 1;
constexpr size_t kNanosAt = kSecondsAt + kVarintBytes + 1;

void PutVarint(char* at, uint64_t value) {
  for (size_t i = 0; i + 1 < kVarintBytes; ++i, value >>= 7) at[i] = static_cast<char>(value | 0x80);
  at[kVarintBytes - 1] = static_cast<char>(value & 0x7f);
}

// The machines this is built for are little-endian, as the format is.
template <typename T>
void Append(std::string& bytes, T value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  bytes.append(raw, sizeof value);
}

void AppendLength(std::string& bytes, size_t length) {
  for (; length >= 0x80; length >>= 7) bytes += static_cast<char>(length | 0x80);
  bytes += static_cast<char>(length);
}

// With zeros where Next writes. Answers where the latitude begins.
size_t AppendPoint(std::string& batch, std::string_view driver_id, double longitude) {
  std::string point;
  point += kTagDriver;
  AppendLength(point, driver_id.size());
  point += driver_id;
  point += kTagLatitude;
  const size_t latitude_at = point.size();
  Append(point, 0.0);
  point += kTagLongitude;
  Append(point, longitude);
  point += kTagRecordedAt;
  AppendLength(point, kTimestampBytes);
  point += kTagSeconds;
  point.append(kVarintBytes, '\0');
  point += kTagNanos;
  point.append(kVarintBytes, '\0');
  point += kTagAccuracy;
  Append(point, static_cast<float>(kAccuracyM));
  point += kTagHeading;
  Append(point, static_cast<float>(kHeadingDeg));
  point += kTagSpeed;
  Append(point, static_cast<float>(kSpeedMps));
  batch += kTagPoint;
  AppendLength(batch, point.size());
  const size_t point_at = batch.size();
  batch += point;
  return point_at + latitude_at;
}

}  // namespace

LocationMessage::LocationMessage(std::string_view run, int64_t first_driver, int drivers, int points, int64_t epoch)
    : points_(points), epoch_(epoch) {
  for (int64_t number = first_driver; number < first_driver + drivers; ++number) {
    DriverTally& tally = tallies_.emplace_back();
    tally.driver_id = fmt::format("{}-{:07}", run, number);
    // On a grid over a city.
    const int64_t row = number % 1'000, column = number / 1'000;
    homes_e7_.push_back(523'000'000 + row * 5'000);
    tally.longitude = static_cast<double>(131'000'000 + column * 5'000) / 1e7;
  }
  // As many as it takes until a batch begins with the first driver again.
  int driver = 0;
  do {
    Template& batch = templates_.emplace_back();
    batch.bytes += kTagSequence;
    batch.bytes.append(kVarintBytes, '\0');
    for (int i = 0; i < points; ++i, driver = (driver + 1) % drivers) {
      const DriverTally& tally = tallies_[static_cast<size_t>(driver)];
      batch.point_at.push_back(AppendPoint(batch.bytes, tally.driver_id, tally.longitude));
    }
  } while (driver != 0);
}

std::string_view LocationMessage::Next(int64_t sequence, int64_t now) {
  Template& batch = templates_[next_template_];
  if (++next_template_ == templates_.size()) next_template_ = 0;
  PutVarint(&batch.bytes[kSequenceAt], static_cast<uint64_t>(sequence));
  last_ = std::max(last_, now - 1);
  for (const size_t at : batch.point_at) {
    const int64_t recorded_at = ++last_;
    DriverTally& tally = tallies_[next_driver_];
    const int64_t driven_e7 = (recorded_at - epoch_) * kNorthwardE7PerSecond / kMicrosPerSecond;
    tally.latitude = static_cast<double>(homes_e7_[next_driver_] + driven_e7) / 1e7;
    ++tally.points;
    tally.time_sum += recorded_at - epoch_;
    tally.newest = recorded_at;
    char* point = &batch.bytes[at];
    std::memcpy(point, &tally.latitude, sizeof tally.latitude);
    PutVarint(point + kSecondsAt, static_cast<uint64_t>(recorded_at / kMicrosPerSecond));
    PutVarint(point + kNanosAt, static_cast<uint64_t>(recorded_at % kMicrosPerSecond * 1'000));
    if (++next_driver_ == tallies_.size()) next_driver_ = 0;
  }
  return batch.bytes;
}

}  // namespace waybill::bench
