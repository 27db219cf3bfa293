// What the readers of the formats have in common; used inside tracks/ only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/fleet.h"

namespace waybill::tracks {

// One step through a file.
struct Found {
  enum class Kind {
    kPoint,
    kBad,     // no point, but the next step may find one
    kBroken,  // the rest of the file cannot be read
    kEnd,
  };
  Kind kind = Kind::kEnd;
  storage::DriverPosition position;  // of kPoint
  int64_t line = 0;                  // of kBad and kBroken, from 1; 0: not known
  std::string why;                   // of kBad and kBroken

  static Found Point(storage::DriverPosition position);
  static Found Bad(int64_t line, std::string why);
  static Found Broken(int64_t line, std::string why);
};

class TrackSource {
 public:
  virtual ~TrackSource() = default;
  virtual Found Next() = 0;
  // How much of the file is behind it, 0 to 1; nullopt: not known.
  virtual std::optional<double> Share() const = 0;
};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // As many as there are, up to `size`; 0: the end.
  virtual absl::StatusOr<size_t> Read(char* to, size_t size) = 0;
  // How much of the file was read, 0 to 1; nullopt: not known.
  virtual std::optional<double> Share() const = 0;
};

std::unique_ptr<TrackSource> MakeCsvSource(std::unique_ptr<ByteSource> bytes, std::string default_driver_id);
std::unique_ptr<TrackSource> MakeGpxSource(const std::string& text, const std::string& default_driver_id);
std::unique_ptr<TrackSource> MakeGeoJsonSource(const std::string& text, const std::string& default_driver_id);

bool IsDriverId(std::string_view text);
std::string_view Trim(std::string_view text);
// The line that the byte at `offset` stands in, from 1.
int64_t LineOf(std::string_view text, size_t offset);

// A decimal number that fills the text but for spaces around it; finite.
std::optional<double> ParseNumber(std::string_view text);
// To the microsecond; what is finer is cut off. Years 1 to 9999.
std::optional<absl::Time> ParseRfc3339(std::string_view text);
// "1212130800.25" with `units_per_second` 1, "1212130800250" with 1,000. Also to the microsecond, years 1 to 9999.
std::optional<absl::Time> ParseUnixTime(std::string_view text, int64_t units_per_second);
bool IsWritableTime(absl::Time time);

}  // namespace waybill::tracks
