#include "tracks/track_file.h"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <system_error>
#include <utility>

#include "domain/driver.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tracks/file_bytes.h"
#include "tracks/track_source.h"
#include "tracks/track_time.h"

namespace waybill::tracks {
namespace {

constexpr size_t kWholeFileMax = size_t{512} << 20;
constexpr size_t kFirstSkipped = 5;

std::string ErrnoText() { return std::generic_category().message(errno); }

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

std::string Lowered(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return low;
}

std::string ShownName(const std::string& path, std::string_view standard) {
  return path == "-" ? std::string(standard) : path;
}

struct CloseGz {
  void operator()(gzFile_s* file) const { gzclose(file); }
};
using GzFile = std::unique_ptr<gzFile_s, CloseGz>;

// A file, or standard output for "-". Null: errno says why.
GzFile OpenGz(const std::string& path, const char* mode) {
  errno = 0;
  if (path != "-") return GzFile(gzopen(path.c_str(), mode));
  int copy = dup(STDOUT_FILENO);
  return GzFile(copy < 0 ? nullptr : gzdopen(copy, mode));
}

class TextBytes final : public ByteSource {
 public:
  explicit TextBytes(std::string text) : text_(std::move(text)) {}

  absl::StatusOr<size_t> Read(char* to, size_t size) override {
    size_t got = text_.copy(to, size, at_);
    at_ += got;
    return got;
  }

  std::optional<double> Share() const override {
    return text_.empty() ? 1 : static_cast<double>(at_) / static_cast<double>(text_.size());
  }

 private:
  std::string text_;
  size_t at_ = 0;
};

// The whole text; where it breaks off, what came before, and why in `cut`.
absl::StatusOr<std::string> ReadAll(ByteSource& bytes, std::string& cut) {
  std::string text;
  constexpr size_t kChunk = 256 * 1024;
  while (true) {
    size_t had = text.size();
    text.resize(had + kChunk);
    absl::StatusOr<size_t> got = bytes.Read(text.data() + had, kChunk);
    text.resize(had + (got.ok() ? *got : 0));
    if (!got.ok() && got.status().code() != absl::StatusCode::kInvalidArgument) return got.status();
    if (!got.ok()) cut = std::string(got.status().message());
    if (!got.ok() || *got == 0) return text;
    if (text.size() > kWholeFileMax) return absl::InvalidArgumentError("is larger than 512 MiB; CSV may be");
  }
}

std::string Rfc3339(absl::Time time) { return absl::FormatTime("%E4Y-%m-%dT%H:%M:%E6SZ", time, absl::UTCTimeZone()); }

// To a tenth of a millimetre in degrees. GPX's schema knows no exponents, and some readers of the others do not either.
std::string Plain(double value) {
  std::string text = fmt::format("{:.9f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string OrEmpty(const std::optional<double>& value) { return value ? Plain(*value) : std::string(); }

class FileWriter : public TrackWriter {
 public:
  FileWriter(GzFile file, std::string name) : file_(std::move(file)), name_(std::move(name)) {}

  absl::Status Close() override {
    if (!file_) return absl::OkStatus();
    absl::Status status = Put(End());
    int code = gzclose(file_.release());
    if (status.ok() && code != Z_OK) status = Failed();
    return status;
  }

 protected:
  absl::Status Put(const std::string& text) {
    if (!file_) return absl::FailedPreconditionError(name_ + " is closed");
    if (text.empty() || gzwrite(file_.get(), text.data(), static_cast<unsigned>(text.size())) > 0) {
      return absl::OkStatus();
    }
    return Failed();
  }

 private:
  absl::Status Failed() { return absl::UnavailableError(fmt::format("{} cannot be written: {}", name_, ErrnoText())); }
  absl::Status WriteChecked(const domain::DriverPosition& position) override { return Put(Point(position)); }

  virtual std::string Point(const domain::DriverPosition& position) = 0;
  virtual std::string End() = 0;

  GzFile file_;
  std::string name_;
};

class CsvWriter final : public FileWriter {
 public:
  CsvWriter(GzFile file, std::string name) : FileWriter(std::move(file), std::move(name)) {}

 private:
  std::string Point(const domain::DriverPosition& position) override {
    std::string row = Begin();
    if (position.driver_id.find_first_of(",\"") == std::string::npos) {
      row += position.driver_id;
    } else {
      row += '"';
      for (char c : position.driver_id) row.append(c == '"' ? 2 : 1, c);
      row += '"';
    }
    return row + fmt::format(",{},{},{},{},{},{}\n", Rfc3339(position.recorded_at), Plain(position.point.latitude),
                             Plain(position.point.longitude), OrEmpty(position.speed_mps),
                             OrEmpty(position.heading_deg), OrEmpty(position.accuracy_m));
  }
  std::string End() override { return Begin(); }
  std::string Begin() {
    return std::exchange(begun_, true) ? "" : "driver_id,recorded_at,lat,lng,speed,heading,accuracy\n";
  }

  bool begun_ = false;
};

class GpxWriter final : public FileWriter {
 public:
  GpxWriter(GzFile file, std::string name) : FileWriter(std::move(file), std::move(name)) {}

 private:
  std::string Point(const domain::DriverPosition& position) override {
    std::string text = Begin();
    if (position.driver_id != driver_id_) {
      text += EndTrack();
      driver_id_ = position.driver_id;
      text += fmt::format("<trk><name>{}</name><trkseg>\n", Escaped(driver_id_));
    }
    // The schema's longitudes end before 180, and its courses before 360.
    std::string longitude = Plain(position.point.longitude);
    if (longitude == "180") longitude = "-180";
    text += fmt::format(R"(<trkpt lat="{}" lon="{}"><time>{}</time>)", Plain(position.point.latitude), longitude,
                        Rfc3339(position.recorded_at));
    std::string extension;
    if (position.speed_mps) extension += fmt::format("<gpxtpx:speed>{}</gpxtpx:speed>", Plain(*position.speed_mps));
    if (position.heading_deg) {
      const std::string heading = Plain(*position.heading_deg);
      extension += fmt::format("<gpxtpx:course>{}</gpxtpx:course>", heading == "360" ? "0" : heading);
    }
    if (!extension.empty()) {
      extension = fmt::format("<gpxtpx:TrackPointExtension>{}</gpxtpx:TrackPointExtension>", extension);
    }
    if (position.accuracy_m) extension += fmt::format("<w:accuracy>{}</w:accuracy>", Plain(*position.accuracy_m));
    if (!extension.empty()) text += fmt::format("<extensions>{}</extensions>", extension);
    return text + "</trkpt>\n";
  }
  std::string End() override { return Begin() + EndTrack() + "</gpx>\n"; }
  std::string Begin() {
    if (std::exchange(begun_, true)) return "";
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
           "<gpx version=\"1.1\" creator=\"Waybill\" xmlns=\"http://www.topografix.com/GPX/1/1\" "
           "xmlns:gpxtpx=\"http://www.garmin.com/xmlschemas/TrackPointExtension/v2\" xmlns:w=\"urn:waybill:track\">\n";
  }
  std::string EndTrack() const { return driver_id_.empty() ? "" : "</trkseg></trk>\n"; }
  static std::string Escaped(const std::string& text) {
    std::string out;
    for (char c : text) {
      if (c == '&') {
        out += "&amp;";
      } else if (c == '<') {
        out += "&lt;";
      } else if (c == '>') {
        out += "&gt;";
      } else {
        out += c;
      }
    }
    return out;
  }

  bool begun_ = false;
  std::string driver_id_;  // of the open trk
};

class GeoJsonWriter final : public FileWriter {
 public:
  GeoJsonWriter(GzFile file, std::string name) : FileWriter(std::move(file), std::move(name)) {}

 private:
  std::string Point(const domain::DriverPosition& position) override {
    std::string text = points_++ == 0 ? Begin() : ",\n";
    text += fmt::format(
        R"({{"type":"Feature","geometry":{{"type":"Point","coordinates":[{},{}]}},"properties":{{"driver_id":{},)"
        R"("recorded_at":"{}")",
        Plain(position.point.longitude), Plain(position.point.latitude), nlohmann::json(position.driver_id).dump(),
        Rfc3339(position.recorded_at));
    auto add = [&text](const char* name, const std::optional<double>& value) {
      if (value) text += fmt::format(",\"{}\":{}", name, Plain(*value));
    };
    add("speed_mps", position.speed_mps);
    add("heading_deg", position.heading_deg);
    add("accuracy_m", position.accuracy_m);
    return text + "}}";
  }
  std::string End() override { return (points_ == 0 ? Begin() : "\n") + "]}\n"; }
  static std::string Begin() { return "{\"type\":\"FeatureCollection\",\"features\":[\n"; }

  int64_t points_ = 0;
};

}  // namespace

absl::StatusOr<TrackFormat> ParseTrackFormat(std::string_view name) {
  if (name == "csv") return TrackFormat::kCsv;
  if (name == "gpx") return TrackFormat::kGpx;
  if (name == "geojson") return TrackFormat::kGeoJson;
  return absl::InvalidArgumentError(fmt::format("\"{}\" is no format of tracks: csv, gpx or geojson", name));
}

absl::StatusOr<TrackFormat> TrackFormatOf(std::string_view path) {
  // Card readers and some devices write names in capitals.
  std::string low = Lowered(path);
  std::string_view plain = low;
  if (EndsWith(plain, ".gz")) plain.remove_suffix(3);
  if (EndsWith(plain, ".csv")) return TrackFormat::kCsv;
  if (EndsWith(plain, ".gpx")) return TrackFormat::kGpx;
  if (EndsWith(plain, ".geojson") || EndsWith(plain, ".json")) return TrackFormat::kGeoJson;
  const std::string other = NotReadBut(plain.substr(plain.rfind('.') + 1));
  if (!other.empty()) return absl::InvalidArgumentError(fmt::format("{} is {}", path, other));
  return absl::InvalidArgumentError(fmt::format(
      "the name of {} does not say its format: .csv, .gpx or .geojson, also with .gz; --format says it", path));
}

absl::StatusOr<absl::TimeZone> ParseZone(std::string_view text) {
  absl::TimeZone zone;
  // An offset is one of a time that is known to have none other.
  TimeReading fixed = ReadTime(fmt::format("2000-01-01T00:00:00{}", text), std::nullopt, 0);
  if (fixed.time) {
    return absl::FixedTimeZone(
        static_cast<int>(absl::ToInt64Seconds(absl::FromUnixSeconds(946'684'800) - *fixed.time)));
  }
  if (!text.empty() && absl::LoadTimeZone(std::string(text), &zone)) return zone;
  return absl::InvalidArgumentError(fmt::format(
      "\"{}\" is no zone; write it like UTC, +01:00 or Europe/Berlin (names are those of this machine's tzdata)",
      text));
}

TrackReader::TrackReader(std::string name, TrackReadOptions options)
    : name_(std::move(name)), options_(std::move(options)), notes_(std::make_unique<Notes>()) {}

TrackReader::~TrackReader() = default;

absl::StatusOr<std::unique_ptr<TrackReader>> TrackReader::Open(const std::string& path, TrackReadOptions options) {
  std::string name = ShownName(path, "standard input");
  if (!options.format && path == "-") options.format = TrackFormat::kCsv;
  if (!options.format) {
    absl::StatusOr<TrackFormat> format = TrackFormatOf(path);
    if (!format.ok()) return format.status();
    options.format = *format;
  }
  absl::StatusOr<std::unique_ptr<ByteSource>> bytes = OpenBytes(path);
  if (!bytes.ok()) {
    return absl::NotFoundError(fmt::format("cannot read {}: {}", name, std::string(bytes.status().message())));
  }
  std::unique_ptr<TrackReader> reader(new TrackReader(std::move(name), std::move(options)));
  absl::Status begun = reader->Begin(*std::move(bytes));
  if (!begun.ok()) return begun;
  return reader;
}

absl::StatusOr<std::unique_ptr<TrackReader>> TrackReader::FromText(std::string text, const std::string& name,
                                                                   TrackReadOptions options) {
  std::unique_ptr<TrackReader> reader(new TrackReader(name, std::move(options)));
  absl::Status begun = reader->Begin(std::make_unique<TextBytes>(std::move(text)));
  if (!begun.ok()) return begun;
  return reader;
}

absl::Status TrackReader::Begin(std::unique_ptr<ByteSource> bytes) {
  const TrackFormat format = options_.format.value_or(TrackFormat::kCsv);
  if (format == TrackFormat::kCsv) {
    source_ = MakeCsvSource(std::move(bytes), options_, *notes_);
    return absl::OkStatus();
  }
  std::string cut;
  absl::StatusOr<std::string> text = ReadAll(*bytes, cut);
  if (!text.ok()) {
    return absl::InvalidArgumentError(fmt::format("{}: {}", name_, std::string(text.status().message())));
  }
  source_ = format == TrackFormat::kGpx ? MakeGpxSource(*text, cut, options_, *notes_)
                                        : MakeGeoJsonSource(*std::move(text), cut, options_, *notes_);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<domain::DriverPosition>> TrackReader::Next() {
  while (broken_.ok() && !cut_) {
    Found found = source_->Next();
    if (found.kind == Found::Kind::kPoint) {
      found.position.recorded_at += options_.later;
      return std::move(found.position);
    }
    if (found.kind == Found::Kind::kEnd) return std::nullopt;
    std::string what = found.line > 0 ? fmt::format("{}:{}: {}", name_, found.line, found.why)
                                      : fmt::format("{}: {}", name_, found.why);
    const bool skip = found.kind == Found::Kind::kUntimed || (options_.skip_bad && found.kind != Found::Kind::kBroken);
    if (!skip) {
      if (found.kind == Found::Kind::kCut) what += "; --skip-bad takes what stands before it";
      broken_ = absl::InvalidArgumentError(what);
      break;
    }
    cut_ = found.kind == Found::Kind::kCut;
    skipped_ += found.positions;
    if (first_skipped_.size() < kFirstSkipped) first_skipped_.push_back(std::move(what));
  }
  if (!broken_.ok()) return broken_;
  return std::nullopt;
}

std::optional<double> TrackReader::share() const { return source_->Share(); }
std::vector<std::string> TrackReader::notes() const { return notes_->lines(); }
std::string TrackReader::besides() const { return source_->Besides(); }

absl::StatusOr<std::vector<domain::DriverPosition>> ReadTrackFile(const std::string& path, TrackReadOptions options) {
  absl::StatusOr<std::unique_ptr<TrackReader>> reader = TrackReader::Open(path, std::move(options));
  if (!reader.ok()) return reader.status();
  std::vector<domain::DriverPosition> points;
  while (true) {
    absl::StatusOr<std::optional<domain::DriverPosition>> point = (*reader)->Next();
    if (!point.ok()) return point.status();
    if (!*point) return points;
    points.push_back(**std::move(point));
  }
}

absl::StatusOr<std::unique_ptr<TrackWriter>> TrackWriter::Create(const std::string& path,
                                                                 std::optional<TrackFormat> format) {
  std::string name = ShownName(path, "standard output");
  if (!format && path == "-") format = TrackFormat::kCsv;
  if (!format) {
    absl::StatusOr<TrackFormat> told = TrackFormatOf(path);
    if (!told.ok()) return told.status();
    format = *told;
  }
  GzFile file = OpenGz(path, EndsWith(Lowered(path), ".gz") ? "wb" : "wbT");
  if (!file) return absl::UnavailableError(fmt::format("{} cannot be written: {}", name, ErrnoText()));
  switch (*format) {
    case TrackFormat::kCsv:
      return std::make_unique<CsvWriter>(std::move(file), std::move(name));
    case TrackFormat::kGpx:
      return std::make_unique<GpxWriter>(std::move(file), std::move(name));
    case TrackFormat::kGeoJson:
      break;
  }
  return std::make_unique<GeoJsonWriter>(std::move(file), std::move(name));
}

absl::Status TrackWriter::Write(const domain::DriverPosition& position) {
  auto finite = [](const std::optional<double>& value) { return !value || std::isfinite(*value); };
  if (!domain::IsDriverId(position.driver_id)) {
    return absl::InvalidArgumentError("driver_id has to be 1-128 visible ASCII characters");
  }
  if (!finite(position.point.latitude) || !finite(position.point.longitude) || !finite(position.speed_mps) ||
      !finite(position.heading_deg) || !finite(position.accuracy_m)) {
    return absl::InvalidArgumentError("a number of the position is not finite");
  }
  if (!IsWritableTime(position.recorded_at))
    return absl::InvalidArgumentError("recorded_at is outside years 1 to 9999");
  return WriteChecked(position);
}

}  // namespace waybill::tracks
