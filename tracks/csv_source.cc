#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "tracks/track_source.h"

namespace waybill::tracks {
namespace {

// Far above any row of ours; a file without line ends must not fill the memory.
constexpr size_t kLineMax = 64 * 1024;

// A line into its fields, quotes taken off ("" inside them is one). False: a quote is left open, or text follows one.
bool SplitRow(std::string_view line, std::vector<std::string>& fields) {
  fields.clear();
  size_t at = 0;
  while (true) {
    std::string field;
    if (at < line.size() && line[at] == '"') {
      bool closed = false;
      for (++at; at < line.size() && !closed; ++at) {
        if (line[at] != '"') {
          field += line[at];
        } else if (at + 1 < line.size() && line[at + 1] == '"') {
          field += line[++at];
        } else {
          closed = true;
        }
      }
      if (!closed || (at < line.size() && line[at] != ',')) return false;
    } else {
      size_t end = std::min(line.find(',', at), line.size());
      field = std::string(Trim(line.substr(at, end - at)));
      at = end;
    }
    fields.push_back(std::move(field));
    if (at >= line.size()) return true;
    ++at;  // the comma
  }
}

struct Columns {
  std::optional<size_t> driver, latitude, longitude, time, speed, heading, accuracy;
  int64_t time_units_per_second = 0;  // 0: RFC 3339
  size_t count = 0;
};

// The column of a time, and how it counts.
std::optional<int64_t> UnitsOfTime(std::string_view name) {
  for (std::string_view base : {"recorded_at", "timestamp", "time"}) {
    if (name.substr(0, base.size()) != base) continue;
    std::string_view unit = name.substr(base.size());
    if (unit.empty()) return 0;
    if (unit == "_unix_ms" || unit == "_ms") return 1000;
    if (unit == "_unix_s" || unit == "_s" || unit == "_unix") return 1;
  }
  return std::nullopt;
}

// What is wrong with the header; "" when nothing is.
std::string ReadHeader(const std::vector<std::string>& names, bool driver_needed, Columns& columns) {
  struct Known {
    std::optional<size_t> Columns::*column;
    std::string_view names;  // each between bars
  };
  constexpr std::array<Known, 6> kKnown = {{{&Columns::driver, "|driver_id|"},
                                            {&Columns::latitude, "|lat|latitude|"},
                                            {&Columns::longitude, "|lng|long|lon|longitude|"},
                                            {&Columns::speed, "|speed|speed_mps|"},
                                            {&Columns::heading, "|heading|heading_deg|"},
                                            {&Columns::accuracy, "|accuracy|accuracy_m|"}}};
  columns.count = names.size();
  for (size_t i = 0; i < names.size(); ++i) {
    std::string name = names[i];
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    std::optional<size_t>* column = nullptr;
    std::optional<int64_t> units = UnitsOfTime(name);
    if (units) {
      column = &columns.time;
    } else if (!name.empty()) {
      for (const Known& known : kKnown) {
        if (known.names.find("|" + name + "|") != std::string_view::npos) column = &(columns.*known.column);
      }
    }
    if (column == nullptr) continue;
    if (*column) return fmt::format("the columns {} and {} say the same", names[**column], names[i]);
    *column = i;
    if (units) columns.time_units_per_second = *units;
  }
  std::string missing;
  auto need = [&missing](const std::optional<size_t>& column, std::string_view name) {
    if (!column) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  if (driver_needed) need(columns.driver, "driver_id");
  need(columns.latitude, "lat");
  need(columns.longitude, "lng");
  need(columns.time, "recorded_at");
  return missing.empty() ? "" : "the first line names no column for " + missing;
}

class CsvSource final : public TrackSource {
 public:
  CsvSource(std::unique_ptr<ByteSource> bytes, std::string default_driver_id)
      : bytes_(std::move(bytes)), default_driver_id_(std::move(default_driver_id)) {}

  Found Next() override {
    std::string_view line;
    while (true) {
      if (!ReadLine(line)) return failed_.ok() ? Found() : Found::Broken(line_, std::string(failed_.message()));
      if (line.size() > kLineMax) return Found::Broken(line_, "the line is too long for a CSV of positions");
      if (line_ == 1 && line.substr(0, 3) == "\xef\xbb\xbf") line.remove_prefix(3);
      if (Trim(line).empty()) continue;
      if (columns_.count > 0) break;
      if (!SplitRow(line, fields_)) return Found::Broken(line_, "a quote does not end");
      std::string wrong = ReadHeader(fields_, default_driver_id_.empty(), columns_);
      if (!wrong.empty()) return Found::Broken(line_, wrong);
    }
    if (!SplitRow(line, fields_)) return Found::Bad(line_, "a quote does not end, or text follows it");
    if (fields_.size() != columns_.count) {
      return Found::Bad(line_, fmt::format("has {} fields; the header has {}", fields_.size(), columns_.count));
    }
    return Row();
  }

  std::optional<double> Share() const override { return bytes_->Share(); }

 private:
  // The next line without its end; false at the end of the file, or when it cannot be read.
  bool ReadLine(std::string_view& line) {
    size_t end;
    while ((end = buffer_.find('\n', scanned_)) == std::string::npos) {
      scanned_ = buffer_.size();
      if (ended_ || buffer_.size() - from_ > kLineMax) break;
      buffer_.erase(0, from_);
      scanned_ -= from_;
      from_ = 0;
      size_t had = buffer_.size();
      buffer_.resize(had + kLineMax);
      absl::StatusOr<size_t> got = bytes_->Read(buffer_.data() + had, kLineMax);
      buffer_.resize(had + (got.ok() ? *got : 0));
      if (!got.ok()) failed_ = got.status();
      ended_ = !got.ok() || *got == 0;
    }
    // What stands before a break is not the line that was written.
    if (!failed_.ok() && end == std::string::npos) return false;
    if (end == std::string::npos && from_ == buffer_.size()) return false;
    ++line_;
    end = std::min(end, buffer_.size());
    line = std::string_view(buffer_).substr(from_, end - from_);
    from_ = std::min(end + 1, buffer_.size());
    scanned_ = from_;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return true;
  }

  Found Row() {
    storage::DriverPosition position;
    position.driver_id = columns_.driver ? fields_[*columns_.driver] : "";
    if (position.driver_id.empty()) position.driver_id = default_driver_id_;
    if (position.driver_id.empty()) return Found::Bad(line_, "names no driver");
    std::string why;
    auto number = [&](const std::optional<size_t>& column, std::string_view name) -> std::optional<double> {
      if (!column || fields_[*column].empty()) return std::nullopt;
      std::optional<double> value = ParseNumber(fields_[*column]);
      if (!value && why.empty()) why = fmt::format("{}: \"{}\" is not a number", name, fields_[*column]);
      return value;
    };
    std::optional<double> latitude = number(columns_.latitude, "latitude");
    std::optional<double> longitude = number(columns_.longitude, "longitude");
    position.speed_mps = number(columns_.speed, "speed");
    position.heading_deg = number(columns_.heading, "heading");
    position.accuracy_m = number(columns_.accuracy, "accuracy");
    if (!why.empty()) return Found::Bad(line_, why);
    if (!latitude || !longitude) return Found::Bad(line_, "has no latitude or no longitude");
    position.point = {*latitude, *longitude};
    const std::string& text = fields_[*columns_.time];
    std::optional<absl::Time> time =
        columns_.time_units_per_second == 0 ? ParseRfc3339(text) : ParseUnixTime(text, columns_.time_units_per_second);
    if (!time) {
      return Found::Bad(line_,
                        fmt::format("time: \"{}\" is not {}", text,
                                    columns_.time_units_per_second == 0      ? "a time in RFC 3339"
                                    : columns_.time_units_per_second == 1000 ? "a time in milliseconds since 1970"
                                                                             : "a time in seconds since 1970"));
    }
    position.recorded_at = *time;
    return Found::Point(std::move(position));
  }

  std::unique_ptr<ByteSource> bytes_;
  std::string default_driver_id_;
  std::string buffer_;
  size_t from_ = 0;     // where the next line begins in it
  size_t scanned_ = 0;  // no line end stands between the two
  bool ended_ = false;
  absl::Status failed_;
  int64_t line_ = 0;
  Columns columns_;
  std::vector<std::string> fields_;
};

}  // namespace

std::unique_ptr<TrackSource> MakeCsvSource(std::unique_ptr<ByteSource> bytes, std::string default_driver_id) {
  return std::make_unique<CsvSource>(std::move(bytes), std::move(default_driver_id));
}

}  // namespace waybill::tracks
