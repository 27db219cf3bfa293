#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
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

// What is wrong with "type", for messages: what stands there, short.
std::string Shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= 60 ? text : text.substr(0, 57) + "...";
}

class GeoJsonSource final : public TrackSource {
 public:
  GeoJsonSource(const std::string& text, const std::string& default_driver_id) : default_driver_id_(default_driver_id) {
    try {
      document_ = json::parse(text);
    } catch (const json::parse_error& error) {
      broken_ = Found::Broken(LineOf(text, error.byte), "is no JSON: " + std::string(error.what()));
      return;
    } catch (const json::exception& error) {  // a number that no double holds
      broken_ = Found::Broken(0, "is no JSON: " + std::string(error.what()));
      return;
    }
    std::string type = Text(Member(document_, "type"));
    if (type == "Feature") {
      features_ = json::array({std::move(document_)});
    } else if (type == "FeatureCollection" && Member(document_, "features").is_array()) {
      features_ = std::move(document_["features"]);
    } else {
      broken_ = Found::Broken(0, "is no GeoJSON: neither a FeatureCollection with features nor a Feature");
    }
  }

  Found Next() override {
    if (broken_) return *broken_;
    while (at_ == pending_.size()) {
      pending_.clear();
      at_ = 0;
      if (feature_ == features_.size()) return Found();
      Read(features_[feature_]);
      features_[feature_++] = nullptr;  // it is not needed again
    }
    return std::move(pending_[at_++]);
  }

  std::optional<double> Share() const override {
    return features_.empty()
               ? std::nullopt
               : std::optional<double>(static_cast<double>(feature_) / static_cast<double>(features_.size()));
  }

 private:
  void Bad(const std::string& why) {
    pending_.push_back(Found::Bad(0, fmt::format("feature {} {}", feature_ + 1, why)));
  }

  void Read(const json& feature) {
    const json& geometry = Member(feature, "geometry");
    const json& properties = Member(feature, "properties");
    const json& coordinates = Member(geometry, "coordinates");
    std::string type = Text(Member(geometry, "type"));
    std::string driver_id = Text(Member(properties, "driver_id"));
    if (driver_id.empty() && IsDriverId(Text(Member(properties, "name")))) driver_id = Text(Member(properties, "name"));
    if (driver_id.empty()) driver_id = default_driver_id_;
    if (driver_id.empty()) return Bad("names no driver");
    if (type == "Point") {
      const json& time =
          Member(properties, "recorded_at").is_null() ? Member(properties, "time") : Member(properties, "recorded_at");
      return Add(driver_id, coordinates, time, properties, "");
    }
    const json* times = &Member(properties, "coordTimes");
    if (times->is_null()) times = &Member(Member(properties, "coordinateProperties"), "times");
    if (type == "LineString") return AddLine(driver_id, coordinates, *times);
    if (type == "MultiLineString") {
      if (!coordinates.is_array() || !times->is_array() || coordinates.size() != times->size()) {
        return Bad("has no array of coordTimes for each of its lines");
      }
      for (size_t i = 0; i < coordinates.size(); ++i) AddLine(driver_id, coordinates[i], (*times)[i]);
      return;
    }
    Bad(fmt::format("is a {}, which is no track", Shown(Member(geometry, "type"))));
  }

  void AddLine(const std::string& driver_id, const json& coordinates, const json& times) {
    if (!coordinates.is_array() || !times.is_array() || coordinates.size() != times.size()) {
      return Bad("has no coordTimes with one time for each of its coordinates");
    }
    for (size_t i = 0; i < coordinates.size(); ++i) {
      Add(driver_id, coordinates[i], times[i], json(), fmt::format("has at position {}", i + 1));
    }
  }

  void Add(const std::string& driver_id, const json& coordinates, const json& time, const json& properties,
           const std::string& where) {
    const std::string has = where.empty() ? "has" : where;
    if (!coordinates.is_array() || coordinates.size() < 2 || !coordinates[0].is_number() ||
        !coordinates[1].is_number()) {
      return Bad(fmt::format("{} coordinates that are not two numbers: {}", has, Shown(coordinates)));
    }
    storage::DriverPosition position;
    position.driver_id = driver_id;
    position.point = {coordinates[1].get<double>(), coordinates[0].get<double>()};
    std::optional<absl::Time> recorded_at = time.is_string() ? ParseRfc3339(Text(time)) : std::nullopt;
    if (!recorded_at) return Bad(fmt::format("{} no time in RFC 3339: {}", has, Shown(time)));
    position.recorded_at = *recorded_at;
    std::string wrong;
    auto number = [&](const char* name, const char* short_name) -> std::optional<double> {
      const json& value =
          Member(properties, name).is_null() ? Member(properties, short_name) : Member(properties, name);
      if (value.is_number()) return value.get<double>();
      if (!value.is_null()) wrong = fmt::format("{} a {} that is not a number: {}", has, name, Shown(value));
      return std::nullopt;
    };
    position.speed_mps = number("speed_mps", "speed");
    position.heading_deg = number("heading_deg", "heading");
    position.accuracy_m = number("accuracy_m", "accuracy");
    if (!wrong.empty()) return Bad(wrong);
    pending_.push_back(Found::Point(std::move(position)));
  }

  json document_;
  json features_;
  std::string default_driver_id_;
  std::optional<Found> broken_;
  size_t feature_ = 0;
  std::vector<Found> pending_;  // of the feature that was read last
  size_t at_ = 0;
};

}  // namespace

std::unique_ptr<TrackSource> MakeGeoJsonSource(const std::string& text, const std::string& default_driver_id) {
  return std::make_unique<GeoJsonSource>(text, default_driver_id);
}

}  // namespace waybill::tracks
