#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "pugixml.hpp"
#include "tracks/field_names.h"
#include "tracks/position_builder.h"
#include "tracks/track_source.h"

namespace waybill::tracks {
namespace {

// Prefixes of namespaces are each writer's own choice.
std::string_view LocalName(const pugi::xml_node& node) {
  std::string_view name = node.name();
  size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node Find(pugi::xml_node node, std::string_view name) {
  while (node && LocalName(node) != name) node = node.next_sibling();
  return node;
}

std::string Counted(int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// Writers that put an accuracy in metres where GPX has the dilution.
bool WritesMetresAsHdop(std::string_view creator) {
  return creator.find("OsmAnd") != std::string_view::npos || creator.find("Locus") != std::string_view::npos;
}

class GpxSource final : public TrackSource {
 public:
  GpxSource(const std::string& text, const std::string& cut, const TrackReadOptions& options, Notes& notes)
      : options_(options), notes_(notes), builder_(options, notes) {
    builder_.set_zone_is_utc();
    pugi::xml_parse_result parsed = document_.load_buffer(text.data(), text.size());
    for (const pugi::xml_node& root : document_.children()) {
      if (LocalName(root) == "gpx") AddDocument(root);
    }
    if (!parsed || !cut.empty()) {
      const auto at = static_cast<size_t>(std::max<ptrdiff_t>(0, parsed ? 0 : parsed.offset));
      const size_t end = parsed ? text.size() : std::min(at, text.size());
      const int64_t line = LineOf(text, end);
      std::string why = cut.empty() ? parsed.description() : cut;
      // The parser keeps what it had read, the point that it broke off in included.
      if (!points_.empty() && !EndsBefore(points_.back().node, text, end)) points_.pop_back();
      if (points_.empty()) {
        end_ = Found::Broken(line, why);
      } else {
        int64_t lost = 0;
        for (size_t i = text.find("<trkpt", end); i != std::string::npos; i = text.find("<trkpt", i + 1)) ++lost;
        end_ = Found::Cut(line, "the file breaks off: " + why, 1 + lost);
      }
    } else if (documents_.empty()) {
      const std::string_view root = LocalName(document_.document_element());
      const std::string other = NotReadBut(root == "kml" ? "kml" : root == "TrainingCenterDatabase" ? "tcx" : "");
      end_ = Found::Broken(0, !other.empty() ? "is " + other
                                             : fmt::format("is no GPX: the outermost element is <{}>, not <gpx>",
                                                           document_.document_element().name()));
    }
    if (besides_.empty() || points_.empty()) return;
    notes_.Say(fmt::format("{} are not read; --waypoints takes those that have a time", besides_));
  }

  Found Next() override {
    if (at_ == points_.size()) return end_;
    const Point& point = points_[at_++];
    const Document& document = documents_[point.document];
    builder_.set_names_are_drivers(document.ours);
    builder_.set_hdop_is_metres(document.hdop_is_metres);
    return Read(point);
  }

  std::optional<double> Share() const override {
    if (points_.empty()) return std::nullopt;
    return static_cast<double>(at_) / static_cast<double>(points_.size());
  }

  std::string Besides() const override { return besides_; }

 private:
  struct Document {
    bool ours = false;  // the names of its tracks are drivers, whatever they look like
    bool hdop_is_metres = false;
  };
  struct Point {
    pugi::xml_node node;
    pugi::xml_node name;  // of the track it belongs to
    size_t document = 0;
  };

  void AddDocument(const pugi::xml_node& root) {
    std::string_view creator = root.attribute("creator").value();
    documents_.push_back({creator == "Waybill", WritesMetresAsHdop(creator)});
    int64_t route_points = 0, waypoints = 0, empty_tracks = 0;
    for (const pugi::xml_node& child : root.children()) {
      if (LocalName(child) == "trk") {
        const size_t before = points_.size();
        const pugi::xml_node name = Find(child.first_child(), "name");
        for (const pugi::xml_node& part : child.children()) {
          if (LocalName(part) == "trkpt") Add(part, name);  // some writers know no segments
          if (LocalName(part) != "trkseg") continue;
          for (const pugi::xml_node& point : part.children()) {
            if (LocalName(point) == "trkpt") Add(point, name);
          }
        }
        if (points_.size() == before) ++empty_tracks;
      } else if (LocalName(child) == "trkseg") {
        for (const pugi::xml_node& point : child.children()) {
          if (LocalName(point) == "trkpt") Add(point, {});
        }
      } else if (LocalName(child) == "trkpt") {
        Add(child, {});
      } else if (LocalName(child) == "wpt") {
        ++waypoints;
        if (options_.waypoints) Add(child, {});
      } else if (LocalName(child) == "rte") {
        for (const pugi::xml_node& point : child.children()) {
          if (LocalName(point) != "rtept") continue;
          ++route_points;
          if (options_.waypoints) Add(point, Find(child.first_child(), "name"));
        }
      }
    }
    if (options_.waypoints) route_points = waypoints = 0;
    auto add = [this](int64_t count, std::string_view what) {
      if (count > 0) besides_ += (besides_.empty() ? "" : " and ") + Counted(count, what);
    };
    add(route_points, "route point");
    add(waypoints, "waypoint");
    if (points_.empty()) add(empty_tracks, "track without a point");
  }

  void Add(const pugi::xml_node& node, const pugi::xml_node& name) {
    points_.push_back({node, name, documents_.size() - 1});
  }

  // Whether a point was closed before the text breaks off at `end`.
  static bool EndsBefore(const pugi::xml_node& node, const std::string& text, size_t end) {
    const auto begin = node.offset_debug();
    if (begin < 0 || static_cast<size_t>(begin) >= end) return false;
    std::string_view inside =
        std::string_view(text).substr(static_cast<size_t>(begin), end - static_cast<size_t>(begin));
    return inside.find(fmt::format("</{}", node.name())) != std::string_view::npos;
  }

  const std::optional<Field>& FieldOfElement(std::string_view name) {
    auto it = fields_.find(name);
    if (it == fields_.end()) it = fields_.emplace(name, FieldOf(name)).first;
    return it->second;
  }

  static bool IsMeasurement(const std::optional<Field>& field) {
    return field && (field->meaning == Meaning::kSpeed || field->meaning == Meaning::kHeading ||
                     field->meaning == Meaning::kAccuracy || field->meaning == Meaning::kHdop ||
                     field->meaning == Meaning::kOtherDop);
  }

  // What the children of an element say, extensions in any wrapping included. "2 speeds" when one of them stands there
  // more than once, so that nobody can tell which is meant; else empty.
  std::string SayChildren(const pugi::xml_node& parent, int depth) {
    constexpr int kDepthMax = 8;
    std::string twice;
    for (const pugi::xml_node& child : parent.children()) {
      if (child.type() != pugi::node_element) continue;
      const bool is_time = depth == 0 && LocalName(child) == "time";
      const std::optional<Field>& field = FieldOfElement(child.name());
      if (is_time || IsMeasurement(field)) {
        int64_t count = 0;
        for (const pugi::xml_node& other : parent.children(child.name())) count += other.type() == pugi::node_element;
        if (count > 1 && twice.empty()) twice = Counted(count, LocalName(child));
        builder_.Say(*field, LocalName(child), child.text().get());
        continue;
      }
      const bool has_children = std::any_of(
          child.begin(), child.end(), [](const pugi::xml_node& inside) { return inside.type() == pugi::node_element; });
      if ((depth > 0 || LocalName(child) == "extensions") && has_children && depth < kDepthMax) {
        std::string below = SayChildren(child, depth + 1);
        if (twice.empty()) twice = below;
      } else if (depth > 0) {
        notes_.NotRead(child.name());
      }
    }
    return twice;
  }

  Found Read(const Point& point) {
    builder_.Begin();
    builder_.Say({.meaning = Meaning::kLatitude}, "lat", point.node.attribute("lat").value());
    builder_.Say({.meaning = Meaning::kLongitude}, "lon", point.node.attribute("lon").value());
    builder_.SayName(point.name.text().get());
    std::string twice = SayChildren(point.node, 0);
    const std::string where = fmt::format("point {}", at_);
    if (!twice.empty()) return Found::Bad(0, fmt::format("{}: has {}", where, twice));
    return builder_.End(0, where);
  }

  const TrackReadOptions& options_;
  Notes& notes_;
  PositionBuilder builder_;
  pugi::xml_document document_;
  std::vector<Document> documents_;
  std::vector<Point> points_;
  size_t at_ = 0;
  Found end_;  // what comes behind the points
  std::string besides_;
  std::map<std::string, std::optional<Field>, std::less<>> fields_;  // by the name of an element
};

}  // namespace

std::unique_ptr<TrackSource> MakeGpxSource(const std::string& text, const std::string& cut,
                                           const TrackReadOptions& options, Notes& notes) {
  return std::make_unique<GpxSource>(text, cut, options, notes);
}

}  // namespace waybill::tracks
