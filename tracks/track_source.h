// What the readers of the formats have in common; used inside tracks/ only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/driver.h"
#include "tracks/track_file.h"

namespace waybill::tracks {

// One step through a file.
struct Found {
  enum class Kind {
    kPoint,
    kUntimed,  // positions that cannot be replayed, though nothing is wrong with them
    kBad,      // no point, but the next step may find one
    kCut,      // the rest of the file is lost; what stands before it is whole
    kBroken,   // nothing of the file can be read
    kEnd,
  };
  Kind kind = Kind::kEnd;
  domain::DriverPosition position;  // of kPoint
  int64_t line = 0;                 // of the others, from 1; 0: not known
  std::string why;
  int64_t positions = 1;  // of kUntimed, kBad and kCut: how many are lost, as far as that is known

  static Found Point(domain::DriverPosition position);
  static Found Untimed(int64_t line, std::string why, int64_t positions = 1);
  static Found Bad(int64_t line, std::string why, int64_t positions = 1);
  static Found Cut(int64_t line, std::string why, int64_t positions = 1);
  static Found Broken(int64_t line, std::string why);
};

// What people should know about how a file was understood: a line for each kind of thing, with how often it came.
class Notes {
 public:
  void Count(std::string_view text);    // "… (17)"
  void Say(std::string_view text);      // once, however often it is said
  void NotRead(std::string_view name);  // a column, property or element that means nothing to us
  std::vector<std::string> lines() const;

 private:
  std::map<std::string, int64_t, std::less<>> counts_;  // 0: said
  std::set<std::string, std::less<>> not_read_;
};

class TrackSource {
 public:
  virtual ~TrackSource() = default;
  virtual Found Next() = 0;
  // How much of the file is behind it, 0 to 1; nullopt: not known.
  virtual std::optional<double> Share() const = 0;
  // What else the file holds that could be meant, "2 route points"; empty: nothing.
  virtual std::string Besides() const { return {}; }
};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // As many as there are, up to `size`; 0: the end.
  virtual absl::StatusOr<size_t> Read(char* to, size_t size) = 0;
  // How much of the file was read, 0 to 1; nullopt: not known.
  virtual std::optional<double> Share() const = 0;
};

// `options` and `notes` outlive the source. `cut`: why the text ends too early; empty: it does not.
std::unique_ptr<TrackSource> MakeCsvSource(std::unique_ptr<ByteSource> bytes, const TrackReadOptions& options,
                                           Notes& notes);
std::unique_ptr<TrackSource> MakeGpxSource(const std::string& text, const std::string& cut,
                                           const TrackReadOptions& options, Notes& notes);
std::unique_ptr<TrackSource> MakeGeoJsonSource(std::string text, const std::string& cut,
                                               const TrackReadOptions& options, Notes& notes);

std::string_view Trim(std::string_view text);
// The line that the byte at `offset` stands in, from 1.
int64_t LineOf(std::string_view text, size_t offset);

// A decimal number, its point perhaps a comma, that fills the text but for spaces around it; finite.
std::optional<double> ParseNumber(std::string_view text);
// Years 1 to 9999.
bool IsWritableTime(absl::Time time);
// Of a format that is not read, by the usual extension of its files: what it is and how to convert it, "KML, which
// ..."; empty: none that we know of.
std::string NotReadBut(std::string_view extension);
// What stands where nothing is known: nothing, "nan", "N/A", "null", "-" and their like.
bool IsNothing(std::string_view text);

}  // namespace waybill::tracks
