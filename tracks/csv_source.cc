#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "runtime/csv.h"
#include "tracks/field_names.h"
#include "tracks/position_builder.h"
#include "tracks/track_source.h"

namespace waybill::tracks {
namespace {

// Far above any row of ours; a file without line ends must not fill the memory.
constexpr size_t kLineMax = 64 * 1024;

// The first is the one that is meant where nothing tells.
constexpr char kSeparators[] = ",;\t|";

// Rows may have fields that go on for lines, such as notes. A quote that nobody closes must not swallow the file.
constexpr int kLinesMax = 100;

struct Column {
  size_t index = 0;
  std::string name;
  Field field;
};

struct Header {
  std::vector<Column> columns;  // that mean something
  std::vector<std::string> names;
  std::string missing;  // what a position needs and no column has; empty: nothing
  bool of_a_logger = false;
};

Header ReadHeader(const std::vector<std::string>& names, bool driver_needed) {
  Header header;
  header.names = names;
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::optional<Field> field = FieldOf(names[i])) header.columns.push_back({i, names[i], *field});
  }
  auto has = [&header](Meaning meaning) {
    return std::any_of(header.columns.begin(), header.columns.end(),
                       [meaning](const Column& column) { return column.field.meaning == meaning; });
  };
  auto need = [&header](bool there, std::string_view name) {
    if (!there) header.missing += (header.missing.empty() ? "" : ", ") + std::string(name);
  };
  if (driver_needed) need(has(Meaning::kDriver), "driver_id (or --driver)");
  need(has(Meaning::kLatitude), "lat");
  need(has(Meaning::kLongitude), "lng");
  need(has(Meaning::kTime) || has(Meaning::kDate), "recorded_at");
  header.of_a_logger =
      has(Meaning::kNorthSouth) || std::any_of(header.columns.begin(), header.columns.end(),
                                               [](const Column& column) { return column.field.hemisphere; });
  return header;
}

class CsvSource final : public TrackSource {
 public:
  CsvSource(std::unique_ptr<ByteSource> bytes, const TrackReadOptions& options, Notes& notes)
      : bytes_(std::move(bytes)), options_(options), notes_(notes), builder_(options, notes) {}

  Found Next() override {
    std::string_view line;
    while (ReadLine(line)) {
      if (line.size() > kLineMax) return Rest("the line is too long for a CSV of positions");
      if (line.substr(0, 3) == "\xef\xbb\xbf") line.remove_prefix(3);
      if (Trim(line).empty() || TakeSeparator(line)) continue;
      const int64_t first = line_;
      const bool unended = unended_;
      if (header_.columns.empty()) {
        std::string wrong = Begin(line);
        if (!wrong.empty() && LeavesOpen(line) && Join(line, [this](std::string_view row) { return IsHeader(row); }))
          wrong = Begin(row_);
        if (!wrong.empty()) return Found::Broken(first, wrong);
        continue;
      }
      if (SplitCsvRow(line, separator_, fields_) == CsvRow::kOpen &&
          Join(line, [this](std::string_view row) { return IsRow(row); })) {
        return Row(row_, first, unended_);
      }
      Found found = Row(line, first, unended);
      // Files that were put together by cat have a header in their middle, and no row of values is one.
      if (found.kind == Found::Kind::kPoint || !TakeHeader(Guess(line))) return found;
    }
    return failed_.ok() ? Found() : Rest(std::string(failed_.message()));
  }

  std::optional<double> Share() const override { return bytes_->Share(); }

 private:
  struct Line {
    std::string text;
    int64_t number = 0;
    bool unended = false;
  };

  // Puts lines behind `line` until `is_row` takes them together: then they are in row_. False: they are none, and are
  // read again one by one. `line` is kept in any case.
  template <typename IsRow>
  bool Join(std::string_view& line, IsRow is_row) {
    const int64_t number = line_;
    const bool unended = unended_;
    first_ = line;
    row_ = first_;
    std::vector<Line> taken;
    bool joined = false;
    for (std::string_view next; !joined && static_cast<int>(taken.size()) < kLinesMax && row_.size() < kLineMax;) {
      if (!ReadLine(next)) break;
      taken.push_back({std::string(next), line_, unended_});
      row_ += '\n';
      row_ += next;
      joined = is_row(row_);
    }
    line = first_;
    if (joined) return true;
    for (auto one = taken.rbegin(); one != taken.rend(); ++one) ahead_.push_front(std::move(*one));
    line_ = number;
    unended_ = unended;
    return false;
  }

  bool IsRow(std::string_view row) {
    return SplitCsvRow(row, separator_, fields_) == CsvRow::kWhole && fields_.size() >= header_.names.size();
  }
  // Whether the line may be the beginning of a header.
  bool LeavesOpen(std::string_view line) {
    const std::string_view separators = kSeparators;
    return std::any_of(separators.begin(), separators.end(),
                       [&](char separator) { return SplitCsvRow(line, separator, fields_) == CsvRow::kOpen; });
  }
  bool IsHeader(std::string_view row) {
    const Guessed guessed = Guess(row);
    return guessed.separator != 0 && guessed.header.missing.empty();
  }

  // The next line without its end; false at the end of the file, or when it cannot be read.
  bool ReadLine(std::string_view& line) {
    if (!ahead_.empty()) {
      again_ = std::move(ahead_.front());
      ahead_.pop_front();
      line_ = again_.number;
      unended_ = again_.unended;
      line = again_.text;
      return true;
    }
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
    unended_ = end == std::string::npos;
    end = std::min(end, buffer_.size());
    line = std::string_view(buffer_).substr(from_, end - from_);
    from_ = std::min(end + 1, buffer_.size());
    scanned_ = from_;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    return true;
  }

  // The rest of the file cannot be read.
  Found Rest(const std::string& why) {
    return header_.columns.empty() ? Found::Broken(line_, why) : Found::Cut(line_ + 1, "the file breaks off: " + why);
  }

  // "sep=;", a line that spreadsheets write in front and heed.
  bool TakeSeparator(std::string_view line) {
    if (line.size() > 6 && line.front() == '"' && line.back() == '"') line = line.substr(1, line.size() - 2);
    if (line.size() != 5 || line.substr(0, 4) != "sep=") return false;
    told_separator_ = line[4];
    return true;
  }

  struct Guessed {
    char separator = 0;  // 0: a quote is left open
    Header header;
  };

  // The line as a header, by the separator under which most of it means something.
  Guessed Guess(std::string_view line) {
    Guessed best;
    const std::string separators = told_separator_ ? std::string(1, *told_separator_) : kSeparators;
    for (char separator : separators) {
      if (SplitCsvRow(line.front() == '#' ? line.substr(1) : line, separator, fields_) != CsvRow::kWhole) continue;
      Header header = ReadHeader(fields_, options_.default_driver_id.empty());
      if (best.separator != 0 && header.columns.size() <= best.header.columns.size()) continue;
      best = {separator, std::move(header)};
    }
    return best;
  }

  bool TakeHeader(Guessed guessed) {
    if (guessed.separator == 0 || !guessed.header.missing.empty()) return false;
    header_ = std::move(guessed.header);
    separator_ = guessed.separator;
    builder_.set_comma_is_decimal(separator_ != ',');
    told_separator_.reset();
    std::vector<bool> read(header_.names.size());
    bool bare_speed = false;
    for (const Column& column : header_.columns) {
      read[column.index] = true;
      bare_speed = bare_speed ||
                   (column.field.meaning == Meaning::kSpeed && !column.field.unit_named && column.field.usual.empty());
    }
    for (size_t i = 0; i < read.size(); ++i) {
      if (!read[i] && !header_.names[i].empty()) notes_.NotRead(header_.names[i]);
    }
    builder_.set_speed_is_kmh(header_.of_a_logger);
    if (header_.of_a_logger && bare_speed && !options_.speed_unit_mps) {
      notes_.Say("speed is taken as km/h, as loggers write it that name N, S, E and W; --speed-unit says another");
    }
    return true;
  }

  // What is wrong with the line in front of the points; empty: nothing.
  std::string Begin(std::string_view line) {
    if (line.substr(0, 2) == "\xff\xfe" || line.substr(0, 2) == "\xfe\xff") return "is UTF-16; save it as UTF-8";
    if (line.substr(0, 5) == "!AIVD") return "is AIS in NMEA, which is not read; a decoder of AIS makes CSV of it";
    if (line.front() == '$' && line.size() > 6 && line[6] == ',') return fmt::format("is {}", NotReadBut("nmea"));
    if (line.front() == '<') return "is no CSV but XML; --format gpx reads GPX";
    if (line.front() == '{' || line.front() == '[') return "is no CSV but JSON; --format geojson reads GeoJSON";
    Guessed guessed = Guess(line);
    if (guessed.separator == 0) return "a quote does not end";
    const Header header = guessed.header;
    if (TakeHeader(std::move(guessed)) || line.front() == '#') return "";  // or a remark
    std::string names;
    for (const std::string& name : header.names) names += (names.empty() ? "" : ", ") + name;
    if (names.size() > 200) names = names.substr(0, 200) + "...";
    return fmt::format("the first line names no column for {}; it has: {}", header.missing, names);
  }

  Found Row(std::string_view line, int64_t number, bool unended) {
    if (SplitCsvRow(line, separator_, fields_) != CsvRow::kWhole) {
      return Found::Bad(number, "a quote does not end, or text follows it");
    }
    const size_t count = header_.names.size();
    while (fields_.size() > count && fields_.back().empty()) fields_.pop_back();
    if (fields_.size() != count) {
      const std::string why = fmt::format("has {} fields; the header has {}", fields_.size(), count);
      const bool broken_off = fields_.size() < count && unended;
      return broken_off ? Found::Cut(number, "the file breaks off: " + why) : Found::Bad(number, why);
    }
    builder_.Begin();
    for (const Column& column : header_.columns) builder_.Say(column.field, column.name, fields_[column.index]);
    return builder_.End(number, "");
  }

  std::unique_ptr<ByteSource> bytes_;
  const TrackReadOptions& options_;
  Notes& notes_;
  PositionBuilder builder_;
  std::string buffer_;
  size_t from_ = 0;     // where the next line begins in it
  size_t scanned_ = 0;  // no line end stands between the two
  bool ended_ = false;
  bool unended_ = false;  // the line that was read last is the last one, and has no end
  absl::Status failed_;
  int64_t line_ = 0;
  std::deque<Line> ahead_;  // read already, and to be read again
  Line again_;
  std::string first_, row_;
  std::optional<char> told_separator_;
  char separator_ = kSeparators[0];
  Header header_;
  std::vector<std::string> fields_;
};

}  // namespace

std::unique_ptr<TrackSource> MakeCsvSource(std::unique_ptr<ByteSource> bytes, const TrackReadOptions& options,
                                           Notes& notes) {
  return std::make_unique<CsvSource>(std::move(bytes), options, notes);
}

}  // namespace waybill::tracks
