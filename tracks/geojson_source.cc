#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tracks/field_names.h"
#include "tracks/json_text.h"
#include "tracks/position_builder.h"
#include "tracks/track_source.h"

namespace waybill::tracks {
namespace {

using nlohmann::json;

// The member of an object; null when there is none, or no object.
const json& Member(const json& object, const char* name) {
  static const json kNull;
  auto it = object.is_object() ? object.find(name) : object.end();
  return it == object.end() ? kNull : *it;
}

std::string Text(const json& value) { return value.is_string() ? value.get<std::string>() : std::string(); }

std::string Dump(const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); }

// For messages: what stands there, short.
std::string Shown(const json& value) {
  std::string text = Dump(value);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

// A value that is one, as text; numbers as they are written.
std::string Scalar(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() || value.is_structured() ? std::string() : Dump(value);
}

bool IsGeometry(std::string_view type) {
  return type == "Point" || type == "MultiPoint" || type == "LineString" || type == "MultiLineString" ||
         type == "Polygon" || type == "MultiPolygon" || type == "GeometryCollection";
}

// What positions of a line have one by one, in an array beside them.
struct Series {
  Field field;
  std::string name;
  const json* values;
};

class GeoJsonSource final : public TrackSource {
 public:
  GeoJsonSource(std::string text, const std::string& cut, const TrackReadOptions& options, Notes& notes)
      : notes_(notes), builder_(options, notes) {
    ParseAll(text, cut);
    if (features_.empty() && end_.kind == Found::Kind::kCut) end_.kind = Found::Kind::kBroken;
  }

  Found Next() override {
    while (at_ == pending_.size()) {
      pending_.clear();
      at_ = 0;
      if (feature_ == features_.size()) return end_;
      ReadFeature(features_[feature_]);
      features_[feature_++] = nullptr;  // it is not needed again
    }
    return std::move(pending_[at_++]);
  }

  std::optional<double> Share() const override {
    if (features_.empty()) return std::nullopt;
    return static_cast<double>(feature_) / static_cast<double>(features_.size());
  }

 private:
  // One document or several, one behind the other or one a line.
  void ParseAll(std::string& text, const std::string& cut) {
    constexpr std::string_view kBetween = " \t\r\n,\x1e";  // the last is RFC 8142's
    size_t from = 0;
    if (text.compare(0, 3, "\xef\xbb\xbf") == 0) from = 3;
    bool any = false;
    while ((from = text.find_first_not_of(kBetween, from)) != std::string::npos) {
      if (any && text.compare(from, 3, "\xef\xbb\xbf") == 0) from += 3;
      const bool bracket = text[from] == '{' || text[from] == '[';
      const size_t end = bracket ? EndOfJson(text, from) : std::string::npos;
      const bool unended = end == std::string::npos;
      if (!Parse(text, from, std::string_view(text).substr(from, unended ? end : end - from), unended, cut)) return;
      if (end == std::string::npos) return;
      any = true;
      from = end;
    }
    if (!any) end_ = Found::Broken(1, cut.empty() ? "is no JSON: it is empty" : cut);
    if (any && !cut.empty()) end_ = Found::Cut(LineOf(text, text.size()), "the file breaks off: " + cut);
  }

  // False: it is the last.
  bool Parse(const std::string& text, size_t from, std::string_view document, bool unended, const std::string& cut) {
    json parsed;
    std::string why, replaced;
    size_t at = 0;
    if (!TryParse(document, parsed, why, at)) {
      replaced = document;
      if (ReplaceNonNumbers(replaced)) {
        notes_.Say("NaN and its like, which are no JSON, are values that are not known");
        document = replaced;
        TryParse(document, parsed, why, at);
      }
    }
    if (why.empty()) {
      Collect(std::move(parsed), std::string::npos);
      return end_.kind == Found::Kind::kEnd;
    }
    const int64_t line = LineOf(text, from + at);
    MendedJson mended = MendJson(document.substr(0, unended ? document.size() : at));
    std::string mended_why;
    size_t ignored = 0;
    if (mended.open > 0 && TryParse(mended.text, parsed, mended_why, ignored)) Collect(std::move(parsed), mended.open);
    std::string what = !cut.empty() ? cut : why;
    end_ = features_.empty() ? Found::Broken(line, cut.empty() ? "is no JSON: " + why : cut)
                             : Found::Cut(line, "the file breaks off: " + what);
    return false;
  }

  static bool TryParse(std::string_view text, json& parsed, std::string& why, size_t& at) {
    why.clear();
    try {
      parsed = json::parse(text.begin(), text.end());
      return true;
    } catch (const json::parse_error& error) {
      at = error.byte > 0 ? error.byte - 1 : 0;
      why = error.what();
    } catch (const json::exception& error) {  // a number that no double holds
      why = error.what();
    }
    return false;
  }

  // `open`: brackets that had to be closed to make a document of it; npos: it is whole.
  void Collect(json document, size_t open) {
    std::string type = Text(Member(document, "type"));
    size_t depth = 2;  // brackets around a feature
    json* list = nullptr;
    if (document.is_array()) {
      list = &document;
      depth = 1;
    } else if (document.is_object() && type != "Feature") {
      // Of Overland, and of OwnTracks' recorder.
      for (const char* name : {"features", "locations", "data"}) {
        if (list == nullptr && document.contains(name) && document[name].is_array()) list = &document[name];
      }
    }
    if (list != nullptr) {
      for (json& feature : *list) features_.push_back(std::move(feature));
    } else if (type == "Feature" || IsOwnTracks(document) || IsRecord(document)) {
      depth = 0;
      features_.push_back(std::move(document));
    } else if (IsGeometry(type)) {
      depth = 0;
      features_.push_back(json{{"type", "Feature"}, {"geometry", std::move(document)}});
    } else if (type != "FeatureCollection" || open == std::string::npos) {
      end_ = Found::Broken(
          0, "is no GeoJSON: neither a FeatureCollection with features, a Feature, nor an array of locations");
      return;
    }
    if (open != std::string::npos && open > depth && !features_.empty()) cut_feature_ = features_.size() - 1;
  }

  static bool IsOwnTracks(const json& object) {
    return Text(Member(object, "_type")) == "location" ||
           (object.is_object() && object.contains("tst") && object.contains("lat") && object.contains("lon"));
  }

  // A place and a time side by side, whatever they are called.
  static bool IsRecord(const json& object) {
    if (!object.is_object() || object.contains("geometry")) return false;
    bool latitude = false, longitude = false, time = false;
    for (const auto& [name, value] : object.items()) {
      const std::optional<Field> field = value.is_structured() ? std::nullopt : FieldOf(name);
      if (!field) continue;
      latitude = latitude || field->meaning == Meaning::kLatitude;
      longitude = longitude || field->meaning == Meaning::kLongitude;
      time = time || field->meaning == Meaning::kTime || field->meaning == Meaning::kDate;
    }
    return latitude && longitude && time;
  }

  bool IsCut() const { return cut_feature_ == feature_; }
  std::string Where() const { return fmt::format("feature {}", feature_ + 1); }
  void Bad(const std::string& why, int64_t positions = 1) {
    pending_.push_back(Found::Bad(0, fmt::format("{} {}", Where(), why), std::max<int64_t>(1, positions)));
  }

  void ReadFeature(const json& feature) {
    if (IsOwnTracks(feature) || IsRecord(feature)) return ReadRecord(feature);
    const json& geometry = Member(feature, "geometry");
    const json& coordinates = Member(geometry, "coordinates");
    std::string type = Text(Member(geometry, "type"));
    if (type == "Point") return ReadPoint(feature, coordinates);
    if (type == "LineString" || type == "MultiPoint") {
      return ReadLine(feature, coordinates, SeriesOf(feature), coordinates.size());
    }
    if (type == "MultiLineString") return ReadLines(feature, coordinates);
    if (IsCut()) return;  // told as what the file breaks off in
    const std::string kind = Text(Member(feature, "_type"));
    if (!kind.empty() || (Text(Member(feature, "type")) == "Feature" && geometry.is_null())) {
      notes_.Count(
          fmt::format("{} without a place are not read", kind.empty() ? "features" : "records of type " + kind));
      return;
    }
    Bad(fmt::format("is a {}, which is no track", Shown(Member(geometry, "type"))));
  }

  // A location of OwnTracks: its values side by side, without a geometry.
  void ReadRecord(const json& record) {
    if (IsCut()) return;
    builder_.Begin();
    SayMembers(record, true);
    pending_.push_back(builder_.End(0, Where()));
  }

  void ReadPoint(const json& feature, const json& coordinates) {
    if (IsCut()) return;  // it may have had more to say
    builder_.Begin();
    const json& properties = Member(feature, "properties");
    for (const auto& [name, value] : feature.items()) {
      if (name != "properties" && name != "geometry" && name != "id") SayMember(name, value, false);
    }
    SayMembers(properties, true);  // its name is a place's, not a driver's
    AddPosition(coordinates, Where());
  }

  void SayMembers(const json& object, bool note) {
    if (!object.is_object()) return;
    for (const auto& [name, value] : object.items()) SayMember(name, value, note);
  }

  void SayMember(const std::string& name, const json& value, bool note) {
    const json& one = value.is_array() && value.size() == 1 ? value[0] : value;
    std::optional<Field> field = one.is_structured() ? std::nullopt : FieldOf(name);
    if (field) {
      builder_.Say(*field, name, Scalar(one));
    } else if (note && name != "name" && name != "_type") {
      notes_.NotRead(name);
    }
  }

  // Adds the position that `builder_` was told all about but the place, and perhaps the time.
  void AddPosition(const json& coordinates, const std::string& where) {
    auto number = [&](size_t i) {
      return coordinates.is_array() && i < coordinates.size() && coordinates[i].is_number();
    };
    if (!number(0) || !number(1)) {
      pending_.push_back(
          Found::Bad(0, fmt::format("{}: coordinates are not two numbers: {}", where, Shown(coordinates))));
      return;
    }
    builder_.Say({.meaning = Meaning::kLongitude}, "longitude", Dump(coordinates[0]));
    builder_.Say({.meaning = Meaning::kLatitude}, "latitude", Dump(coordinates[1]));
    // Of kepler.gl's trips: height and time behind the place. A third number may be a time only if it looks like one.
    constexpr int kLast = 9;
    if (coordinates.size() >= 4) {
      builder_.Say({.meaning = Meaning::kTime, .rank = kLast}, "the fourth coordinate", Scalar(coordinates[3]));
    } else if (number(2) && coordinates[2].get<double>() >= 1e9) {
      builder_.Say({.meaning = Meaning::kTime, .rank = kLast}, "the third coordinate", Scalar(coordinates[2]));
    }
    pending_.push_back(builder_.End(0, where));
  }

  std::vector<Series> SeriesOf(const json& feature) {
    std::vector<Series> series;
    const json& properties = Member(feature, "properties");
    for (const json* object :
         {&properties, &Member(properties, "coordinateProperties"), &Member(feature, "geometry")}) {
      if (!object->is_object()) continue;
      for (const auto& [name, value] : object->items()) {
        if (!value.is_array() || name == "coordinates" || name == "bbox") continue;
        std::optional<Field> field = FieldOf(name);
        if (field) series.push_back({*field, name, &value});
        if (!field) notes_.NotRead(name);
      }
    }
    return series;
  }

  // Of several lines: those whose values are known to belong to a line, by a list for each or by one that goes on from
  // line to line. nullopt: the times are not. A line without times may just lack its list, and those of the next be in
  // its place; so nothing of the feature is given out.
  std::optional<std::vector<Series>> SeriesOfLines(const json& feature, const json& lines, size_t total) {
    std::vector<Series> kept;
    for (const Series& series : SeriesOf(feature)) {
      const bool nested = IsNested(series);
      const size_t has = series.values->size();
      const bool times = series.field.meaning == Meaning::kTime;
      if (has == (nested ? lines.size() : total) && !(nested && IsCut())) {
        kept.push_back(series);
      } else if (IsCut()) {
        if (times) return std::nullopt;  // told as what the file breaks off in
      } else if (times) {
        Bad(fmt::format("has {} lines of {} coordinates and {} {}, so that none is known to belong to another; GPX, if "
                        "it was converted from that, can be replayed as it is",
                        lines.size(), total, has, series.name),
            static_cast<int64_t>(total));
        return std::nullopt;
      } else {
        notes_.Count(fmt::format("{} whose number is not that of the coordinates are not read", series.name));
      }
    }
    return kept;
  }

  static bool IsNested(const Series& series) {
    return std::any_of(series.values->begin(), series.values->end(), [](const json& one) { return one.is_array(); });
  }

  void ReadLines(const json& feature, const json& lines) {
    if (!lines.is_array()) return Bad("has no array of lines");
    size_t total = 0;
    for (const json& line : lines) total += line.is_array() ? line.size() : 0;
    const std::optional<std::vector<Series>> all = SeriesOfLines(feature, lines, total);
    if (!all) return;
    const json none(json::value_t::array);
    size_t before = 0;
    for (size_t i = 0; i < lines.size(); ++i) {
      std::vector<Series> series;
      std::vector<json> parts;  // of those that go on from line to line
      parts.reserve(all->size());
      for (const Series& of_all : *all) {
        if (IsNested(of_all)) {
          const json& own = (*of_all.values)[i];
          series.push_back({of_all.field, of_all.name, own.is_array() ? &own : &none});
          continue;
        }
        auto begin = of_all.values->begin() + static_cast<std::ptrdiff_t>(before);
        parts.push_back(json(json::value_t::array));
        parts.back().insert(parts.back().end(), begin,
                            begin + static_cast<std::ptrdiff_t>(lines[i].is_array() ? lines[i].size() : 0));
        series.push_back({of_all.field, of_all.name, &parts.back()});
      }
      ReadLine(feature, lines[i], series, lines[i].size());
      before += lines[i].is_array() ? lines[i].size() : 0;
    }
  }

  void ReadLine(const json& feature, const json& coordinates, const std::vector<Series>& series, size_t size) {
    if (!coordinates.is_array()) return Bad("has no array of coordinates");
    const json& properties = Member(feature, "properties");
    if (IsCut() && std::none_of(series.begin(), series.end(),
                                [](const Series& of) { return of.field.meaning == Meaning::kTime; })) {
      return;  // its times are lost, or it had none
    }
    size_t usable = size;
    for (const Series& of : series) {
      const size_t has = of.values->size();
      if (has == size) continue;
      if (of.field.meaning == Meaning::kTime && IsCut()) {
        usable = std::min(usable, has);  // the beginning of both still belongs together
      } else if (of.field.meaning == Meaning::kTime) {
        return Bad(
            fmt::format("has {} coordinates and {} {}, so that none is known to belong to another; GPX, if it was "
                        "converted from that, can be replayed as it is",
                        size, has, of.name),
            static_cast<int64_t>(size));
      } else if (!IsCut()) {
        notes_.Count(fmt::format("{} whose number is not that of the coordinates are not read", of.name));
      }
    }
    if (properties.is_object()) {
      // Of the line as a whole: only the driver and the name are taken for its positions.
      for (const auto& [name, value] : properties.items()) {
        if (value.is_structured() || name == "name") continue;
        const std::optional<Field> field = FieldOf(name);
        if (!field || field->meaning != Meaning::kDriver) notes_.NotRead(name);
      }
    }
    for (size_t i = 0; i < usable; ++i) {
      builder_.Begin();
      if (properties.is_object()) {
        for (const auto& [name, value] : properties.items()) {
          std::optional<Field> field = value.is_structured() ? std::nullopt : FieldOf(name);
          if (field && field->meaning == Meaning::kDriver) builder_.Say(*field, name, Scalar(value));
        }
      }
      builder_.SayName(Scalar(Member(properties, "name")));
      for (const Series& of : series) {
        if (i < of.values->size() && (of.values->size() == size || IsCut())) {
          builder_.Say(of.field, of.name, Scalar((*of.values)[i]));
        }
      }
      AddPosition(coordinates[i], fmt::format("{}, position {}", Where(), i + 1));
    }
  }

  Notes& notes_;
  PositionBuilder builder_;
  std::vector<json> features_;
  size_t feature_ = 0;
  std::optional<size_t> cut_feature_;  // the one that the file breaks off in
  Found end_;                          // what comes behind the features
  std::vector<Found> pending_;         // of the feature that was read last
  size_t at_ = 0;
};

}  // namespace

std::unique_ptr<TrackSource> MakeGeoJsonSource(std::string text, const std::string& cut,
                                               const TrackReadOptions& options, Notes& notes) {
  return std::make_unique<GeoJsonSource>(std::move(text), cut, options, notes);
}

}  // namespace waybill::tracks
