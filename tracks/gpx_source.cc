#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "pugixml.hpp"
#include "tracks/track_source.h"

namespace waybill::tracks {
namespace {

// A receiver's error for each unit of horizontal dilution, as receivers' makers reckon it.
constexpr double kMetresPerHdop = 5;

// Prefixes of namespaces are each writer's own choice.
std::string_view LocalName(const pugi::xml_node& node) {
  std::string_view name = node.name();
  size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

class GpxSource final : public TrackSource {
 public:
  GpxSource(const std::string& text, const std::string& default_driver_id) : default_driver_id_(default_driver_id) {
    pugi::xml_parse_result parsed = document_.load_buffer(text.data(), text.size());
    if (!parsed) {
      broken_ = Found::Broken(LineOf(text, static_cast<size_t>(parsed.offset)), parsed.description());
      return;
    }
    if (LocalName(document_.document_element()) != "gpx") {
      broken_ = Found::Broken(0, "is no GPX: the outermost element is not <gpx>");
      return;
    }
    track_ = Find(document_.document_element().first_child(), "trk");
    EnterTrack();
    for (size_t at = text.find("<trkpt"); at != std::string::npos; at = text.find("<trkpt", at + 1)) ++points_;
  }

  Found Next() override {
    if (broken_) return *broken_;
    while (!point_) {
      if (segment_) segment_ = Find(segment_.next_sibling(), "trkseg");
      while (!segment_ && track_) {
        track_ = Find(track_.next_sibling(), "trk");
        EnterTrack();
      }
      if (!track_) return Found();
      point_ = Find(segment_.first_child(), "trkpt");
    }
    ++number_;
    Found found = Read(point_);
    point_ = Find(point_.next_sibling(), "trkpt");
    return found;
  }

  std::optional<double> Share() const override {
    return points_ > 0 ? std::optional<double>(static_cast<double>(number_) / static_cast<double>(points_))
                       : std::nullopt;
  }

 private:
  static pugi::xml_node Find(pugi::xml_node node, std::string_view name) {
    while (node && LocalName(node) != name) node = node.next_sibling();
    return node;
  }

  void EnterTrack() {
    segment_ = Find(track_.first_child(), "trkseg");
    point_ = Find(segment_.first_child(), "trkpt");
    std::string_view name = Trim(Find(track_.first_child(), "name").text().get());
    driver_id_ = IsDriverId(name) ? std::string(name) : default_driver_id_;
  }

  Found Bad(std::string_view why) { return Found::Bad(0, fmt::format("point {} {}", number_, why)); }

  Found Read(const pugi::xml_node& point) {
    storage::DriverPosition position;
    position.driver_id = driver_id_;
    if (driver_id_.empty()) return Bad("names no driver: its track's name is not one, and no default is given");
    std::optional<double> latitude = ParseNumber(point.attribute("lat").value());
    std::optional<double> longitude = ParseNumber(point.attribute("lon").value());
    if (!latitude || !longitude) return Bad("has no lat and lon that are numbers");
    position.point = {*latitude, *longitude};
    pugi::xml_node time = Find(point.first_child(), "time");
    if (!time) return Bad("has no time");
    std::optional<absl::Time> recorded_at = ParseRfc3339(time.text().get());
    if (!recorded_at) return Bad(fmt::format("has the time \"{}\", which is not RFC 3339", time.text().get()));
    position.recorded_at = *recorded_at;
    std::optional<double> hdop;
    std::string wrong;
    // At most one level of wrapping inside the extensions, as Garmin's TrackPointExtension has it.
    auto visit = [&](const pugi::xml_node& node) {
      std::string_view name = LocalName(node);
      std::optional<double>* value = nullptr;
      if (name == "speed") value = &position.speed_mps;
      if (name == "course" || name == "heading" || name == "bearing") value = &position.heading_deg;
      if (name == "accuracy") value = &position.accuracy_m;
      if (name == "hdop") value = &hdop;
      if (value == nullptr || *value) return;
      *value = ParseNumber(node.text().get());
      if (!*value && wrong.empty()) wrong = fmt::format("has a {} that is not a number", name);
    };
    for (const pugi::xml_node& child : point.children()) {
      visit(child);
      if (LocalName(child) != "extensions") continue;
      for (const pugi::xml_node& extension : child.children()) {
        visit(extension);
        for (const pugi::xml_node& wrapped : extension.children()) visit(wrapped);
      }
    }
    if (!wrong.empty()) return Bad(wrong);
    if (hdop && !position.accuracy_m) position.accuracy_m = *hdop * kMetresPerHdop;
    return Found::Point(std::move(position));
  }

  pugi::xml_document document_;
  std::string default_driver_id_;
  std::optional<Found> broken_;
  pugi::xml_node track_, segment_, point_;
  std::string driver_id_;  // of track_
  int64_t number_ = 0;
  int64_t points_ = 0;  // about; for Share only
};

}  // namespace

std::unique_ptr<TrackSource> MakeGpxSource(const std::string& text, const std::string& default_driver_id) {
  return std::make_unique<GpxSource>(text, default_driver_id);
}

}  // namespace waybill::tracks
