#include "tracks/track_file.h"

#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "tests/support/temp_directory.h"

namespace waybill::domain {

void PrintTo(const DriverPosition& position, std::ostream* out) {
  auto or_none = [](const std::optional<double>& value) { return value ? fmt::format("{}", *value) : "-"; };
  *out << fmt::format("{} at {} {},{} accuracy {} heading {} speed {}", position.driver_id,
                      absl::FormatTime(position.recorded_at, absl::UTCTimeZone()), position.point.latitude,
                      position.point.longitude, or_none(position.accuracy_m), or_none(position.heading_deg),
                      or_none(position.speed_mps));
}

}  // namespace waybill::domain

namespace waybill::tracks {
namespace {

using domain::DriverPosition;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr TrackFormat kFormats[] = {TrackFormat::kCsv, TrackFormat::kGpx, TrackFormat::kGeoJson};
constexpr const char* kExtensions[] = {".csv", ".gpx", ".geojson", ".csv.gz", ".gpx.gz", ".geojson.gz"};

DriverPosition Position(const std::string& driver, int64_t unix_micros, double latitude, double longitude) {
  DriverPosition position;
  position.driver_id = driver;
  position.recorded_at = absl::FromUnixMicros(unix_micros);
  position.point = {latitude, longitude};
  return position;
}

struct Read {
  std::vector<DriverPosition> points;
  absl::Status status;
  int64_t skipped = 0;
  std::vector<std::string> first_skipped;
  std::vector<std::string> notes;
  std::string besides;
};

Read ReadText(const std::string& text, TrackReadOptions options) {
  Read read;
  auto reader = TrackReader::FromText(text, "the text", options);
  if (!reader.ok()) {
    read.status = reader.status();
    return read;
  }
  while (true) {
    auto point = (*reader)->Next();
    if (!point.ok()) {
      read.status = point.status();
      EXPECT_EQ((*reader)->Next().status(), read.status) << "an error is the last word";
      break;
    }
    if (!*point) break;
    read.points.push_back(**point);
  }
  read.skipped = (*reader)->skipped();
  read.first_skipped = (*reader)->first_skipped();
  read.notes = (*reader)->notes();
  read.besides = (*reader)->besides();
  return read;
}

Read ReadText(const std::string& text, TrackFormat format, bool skip_bad = false,
              const std::string& default_driver_id = "") {
  TrackReadOptions options;
  options.format = format;
  options.skip_bad = skip_bad;
  options.default_driver_id = default_driver_id;
  return ReadText(text, options);
}

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void Spill(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

class TrackFile : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() / name; }

  void WriteAll(const std::string& path, const std::vector<DriverPosition>& points) {
    auto writer = TrackWriter::Create(path);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (const DriverPosition& point : points) ASSERT_EQ((*writer)->Write(point), absl::OkStatus());
    ASSERT_EQ((*writer)->Close(), absl::OkStatus());
  }

  testing::TempDirectory directory_;
};

// ---- CSV ----

TEST(CsvTracks, TheHeaderDecidesTheColumns) {
  Read read = ReadText(
      "driver_id,recorded_at_unix_ms,lat,lng,speed,heading,accuracy\n"
      "cab-1,1212130800000,37.61636,-122.38608,,,\n"
      "cab-2,1212130800250,37.76032,-122.39343,12.5,359,4\n",
      TrackFormat::kCsv);
  ASSERT_EQ(read.status, absl::OkStatus());
  DriverPosition first = Position("cab-1", 1'212'130'800'000'000, 37.61636, -122.38608);
  DriverPosition second = Position("cab-2", 1'212'130'800'250'000, 37.76032, -122.39343);
  second.speed_mps = 12.5;
  second.heading_deg = 359;
  second.accuracy_m = 4;
  EXPECT_THAT(read.points, ElementsAre(first, second));

  read = ReadText(
      "\xef\xbb\xbfLongitude, Latitude ,battery,Driver_ID,TIMESTAMP,accuracy_m,speed_mps,heading_deg\r\n"
      "-122.39343,37.76032,80,cab-2,2008-05-30T09:00:00.25+02:00,4,12.5,359\r\n"
      "\r\n"
      "-122.38608,+37.61636,,cab-1,2008-05-30T07:00:00Z,,,",
      TrackFormat::kCsv);
  ASSERT_EQ(read.status, absl::OkStatus());
  EXPECT_THAT(read.points, ElementsAre(second, first));
}

TEST(CsvTracks, TimesAreReadAsTheColumnSaysToTheMicrosecond) {
  auto time_of = [](const std::string& column, const std::string& text) -> int64_t {
    Read read = ReadText(fmt::format("driver_id,lat,lon,{}\nd,1,2,{}\n", column, text), TrackFormat::kCsv);
    return read.points.size() == 1 ? absl::ToUnixMicros(read.points[0].recorded_at) : -1;
  };
  EXPECT_EQ(time_of("recorded_at", "2026-11-21T10:00:00.123456Z"), 1'795'255'200'123'456);
  EXPECT_EQ(time_of("time", "2026-11-21T10:00:00.123456999Z"), 1'795'255'200'123'456);
  EXPECT_EQ(time_of("recorded_at_unix_ms", "1795255200123"), 1'795'255'200'123'000);
  EXPECT_EQ(time_of("timestamp_ms", "1795255200123.456"), 1'795'255'200'123'456);
  EXPECT_EQ(time_of("time_unix_s", "1795255200.1234567"), 1'795'255'200'123'456);
  EXPECT_EQ(time_of("recorded_at_unix", "1795255200"), 1'795'255'200'000'000);
  EXPECT_EQ(time_of("time_s", "0"), 0);
  EXPECT_EQ(time_of("time_s", "-1.5"), -1'500'000);
  for (const char* bad : {"179525520", "infinite-future", "2026-11-21", "2026-13-21T10:00:00Z", "yesterday", ""}) {
    EXPECT_EQ(time_of("recorded_at", bad), -1) << bad;
  }
  for (const char* bad : {"2026-11-21", "99999999999999999999", "999999999999999", "1e9", ".5", "-", ""}) {
    EXPECT_EQ(time_of("time_s", bad), -1) << bad;
  }
}

TEST(CsvTracks, AQuotedFieldMayHoldCommasAndQuotes) {
  Read read = ReadText("driver_id,lat,lng,time_s\n\"van,\"\"7\"\"\",1,2,3\n\"plain\",\"1\",2,3\n", TrackFormat::kCsv);
  EXPECT_THAT(read.points, ElementsAre(Position("van,\"7\"", 3'000'000, 1, 2), Position("plain", 3'000'000, 1, 2)));
}

TEST(CsvTracks, ABadLineIsNamedWithItsPlaceAndReason) {
  const std::string header = "driver_id,lat,lng,time_s,speed\n\n";
  auto error = [&](const std::string& line) {
    Read read = ReadText(header + line + "\n", TrackFormat::kCsv);
    EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(read.points, IsEmpty());
    return std::string(read.status.message());
  };
  EXPECT_EQ(error("d,north,2,3,"), "the text:3: latitude: \"north\" is not a number");
  EXPECT_EQ(error("d,nan,2,3,"), "the text:3: has no latitude or no longitude");
  EXPECT_EQ(error("d,1,1e999,3,"), "the text:3: longitude: \"1e999\" is not a number");
  EXPECT_EQ(error("d,1,,3,"), "the text:3: has no latitude or no longitude");
  EXPECT_EQ(error("d,1,2,noon,"),
            "the text:3: time_s: \"noon\" is no time that can be told for sure, as 2026-01-31T12:00:00Z can");
  EXPECT_EQ(error("d,1,2"), "the text:3: has 3 fields; the header has 5");
  EXPECT_EQ(error("d,1,2,3,4,5"), "the text:3: has 6 fields; the header has 5");
  EXPECT_EQ(error(",1,2,3,"), "the text:3: names no driver; --driver says whose it is");
  EXPECT_EQ(error("\"d,1,2,3,"), "the text:3: a quote does not end, or text follows it");
  EXPECT_EQ(error("\"d\"x,1,2,3,"), "the text:3: a quote does not end, or text follows it");
}

TEST(CsvTracks, BadLinesAreSkippedAndCountedOnRequest) {
  std::string text = "driver_id,lat,lng,time_s\nd,1,2,3\n";
  for (int i = 0; i < 7; ++i) text += "d,x,2,3\n";
  Read read = ReadText(text + "d,4,5,6\n", TrackFormat::kCsv, /*skip_bad=*/true);
  EXPECT_EQ(read.status, absl::OkStatus());
  EXPECT_THAT(read.points, ElementsAre(Position("d", 3'000'000, 1, 2), Position("d", 6'000'000, 4, 5)));
  EXPECT_EQ(read.skipped, 7);
  ASSERT_THAT(read.first_skipped, SizeIs(5));
  EXPECT_EQ(read.first_skipped[0], "the text:3: latitude: \"x\" is not a number");
}

TEST(CsvTracks, ABadHeaderIsNotSkipped) {
  auto error = [](const std::string& text) {
    Read read = ReadText(text, TrackFormat::kCsv, /*skip_bad=*/true);
    EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(read.status.message());
  };
  EXPECT_EQ(
      error("id,x,y\n1,2,3\n"),
      "the text:1: the first line names no column for driver_id (or --driver), lat, lng, recorded_at; it has: id, "
      "x, y");
  EXPECT_EQ(error("\"driver_id,lat\n"), "the text:1: a quote does not end");
  EXPECT_THAT(error("<gpx>\n"), HasSubstr("--format gpx"));
  EXPECT_THAT(error("{\"type\":\n"), HasSubstr("--format geojson"));
  EXPECT_THAT(error(std::string("\xff\xfe") + "d"), HasSubstr("UTF-16"));
  EXPECT_THAT(error(std::string(200'000, 'x')), HasSubstr("too long"));
}

TEST(CsvTracks, AnEmptyFileHasNoPoints) {
  EXPECT_EQ(ReadText("", TrackFormat::kCsv).status, absl::OkStatus());
  EXPECT_THAT(ReadText("\n\n", TrackFormat::kCsv).points, IsEmpty());
}

TEST(CsvTracks, AFileWithoutDriversTakesTheDefault) {
  Read read = ReadText("lat,lng,time_s\n1,2,3\n", TrackFormat::kCsv, false, "van-1");
  EXPECT_THAT(read.points, ElementsAre(Position("van-1", 3'000'000, 1, 2)));
  read = ReadText("driver_id,lat,lng,time_s\n,1,2,3\nd,1,2,3\n", TrackFormat::kCsv, false, "van-1");
  EXPECT_THAT(read.points, ElementsAre(Position("van-1", 3'000'000, 1, 2), Position("d", 3'000'000, 1, 2)));
}

TEST(CsvTracks, OutOfRangeIsForTheServiceToRefuse) {
  Read read = ReadText("driver_id,lat,lng,time_s\nd,95,-400,3\n", TrackFormat::kCsv);
  EXPECT_THAT(read.points, ElementsAre(Position("d", 3'000'000, 95, -400)));
}

// ---- GPX ----

TEST(GpxTracks, EveryTrackPointCounts) {
  Read read = ReadText(R"(<?xml version="1.0"?>
<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1" xmlns:g="urn:g">
  <metadata><name>d-9</name><time>2020-01-01T00:00:00Z</time></metadata>
  <wpt lat="1" lon="1"><time>2020-01-01T00:00:00Z</time></wpt>
  <rte><rtept lat="1" lon="1"/></rte>
  <trk><name>d-1</name>
    <trkseg><trkpt lat="52.5" lon="13.4"><ele>34</ele><time>2020-01-01T00:00:00.5Z</time></trkpt></trkseg>
    <trkseg/>
    <trkseg><trkpt lat="52.6" lon="13.5"><time> 2020-01-01T01:00:01+01:00 </time>
      <extensions><g:TrackPointExtension><g:speed>7.25</g:speed><g:course>90</g:course><g:hr>80</g:hr>
      </g:TrackPointExtension></extensions></trkpt></trkseg>
  </trk>
  <trk><trkseg/></trk>
  <trk><name><![CDATA[d-2]]></name><trkseg>
    <trkpt lon="-0.1" lat="-52.6"><time>2020-01-01T00:00:02Z</time><course>10</course><speed>1.5</speed></trkpt>
  </trkseg></trk>
</gpx>)",
                       TrackFormat::kGpx);
  ASSERT_EQ(read.status, absl::OkStatus());
  DriverPosition second = Position("d-1", 1'577'836'801'000'000, 52.6, 13.5);
  second.speed_mps = 7.25;
  second.heading_deg = 90;
  DriverPosition third = Position("d-2", 1'577'836'802'000'000, -52.6, -0.1);
  third.speed_mps = 1.5;
  third.heading_deg = 10;
  EXPECT_THAT(read.points, ElementsAre(Position("d-1", 1'577'836'800'500'000, 52.5, 13.4), second, third));
}

std::string Gpx(const std::string& name, const std::string& points) {
  return "<gpx><trk><name>" + name + "</name><trkseg>\n" + points + "</trkseg></trk></gpx>";
}

TEST(GpxTracks, TheDefaultDriverStandsInForANameThatIsNone) {
  const std::string point = R"(<trkpt lat="1" lon="2"><time>1970-01-01T00:00:03Z</time></trkpt>)";
  for (const char* name : {"", "8/22/2014 18:48", "Straße"}) {
    Read read = ReadText(Gpx(name, point), TrackFormat::kGpx, false, "van-1");
    EXPECT_THAT(read.points, ElementsAre(Position("van-1", 3'000'000, 1, 2))) << name;
    EXPECT_THAT(std::string(ReadText(Gpx(name, point), TrackFormat::kGpx).status.message()),
                HasSubstr("point 1: names no driver"));
  }
  EXPECT_THAT(ReadText(Gpx("van-2", point), TrackFormat::kGpx, false, "van-1").points,
              ElementsAre(Position("van-2", 3'000'000, 1, 2)));
}

TEST(GpxTracks, AReceiversDilutionStandsInForAccuracy) {
  auto accuracy = [](const std::string& inside) {
    Read read =
        ReadText(Gpx("d", fmt::format(R"(<trkpt lat="1" lon="2"><time>1970-01-01T00:00:03Z</time>{}</trkpt>)", inside)),
                 TrackFormat::kGpx);
    EXPECT_THAT(read.points, SizeIs(1));
    return read.points.at(0).accuracy_m;
  };
  EXPECT_EQ(accuracy("<hdop>2.5</hdop><pdop>3</pdop>"), 12.5);
  EXPECT_EQ(accuracy("<hdop>2.5</hdop><vdop>3</vdop><extensions><accuracy>7</accuracy></extensions>"), 7);
  EXPECT_EQ(accuracy("<vdop>2.5</vdop>"), std::nullopt);
}

TEST(GpxTracks, ABadPointIsNamedByItsNumber) {
  const std::string good = R"(<trkpt lat="1" lon="2"><time>1970-01-01T00:00:03Z</time></trkpt>)";
  auto error = [&](const std::string& bad) {
    Read read = ReadText(Gpx("d", good + bad + good), TrackFormat::kGpx);
    EXPECT_THAT(read.points, SizeIs(1));
    Read skipped = ReadText(Gpx("d", good + bad + good), TrackFormat::kGpx, /*skip_bad=*/true);
    EXPECT_THAT(skipped.points, SizeIs(2));
    EXPECT_THAT(skipped.first_skipped, ElementsAre(std::string(read.status.message())));
    return std::string(read.status.message());
  };
  EXPECT_EQ(error(R"(<trkpt lat="1"><time>1970-01-01T00:00:03Z</time></trkpt>)"),
            "the text: point 2: has no latitude or no longitude");
  EXPECT_EQ(error(R"(<trkpt lat="1" lon="2"><time>noon</time></trkpt>)"),
            "the text: point 2: time: \"noon\" is no time that can be told for sure, as 2026-01-31T12:00:00Z can");
}

TEST(GpxTracks, WhatIsNoGpxIsAnError) {
  auto error = [](const std::string& text) {
    Read read = ReadText(text, TrackFormat::kGpx, /*skip_bad=*/true);
    EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(read.status.message());
  };
  EXPECT_EQ(error("<svg/>"), "the text: is no GPX: the outermost element is <svg>, not <gpx>");
  EXPECT_THAT(error("<gpx>\n<trk>\n<trkseg>\n</trk></gpx>"), HasSubstr("the text:4: "));
  EXPECT_THAT(error(""), HasSubstr("the text:1: No document element"));
  EXPECT_THAT(error("driver_id,lat,lng\n"), HasSubstr("the text:"));
}

// ---- GeoJSON ----

TEST(GeoJsonTracks, PointsAndLinesAreRead) {
  Read read = ReadText(R"({"type":"FeatureCollection","features":[
  {"type":"Feature","geometry":{"type":"Point","coordinates":[13.4,52.5,34]},
   "properties":{"driver_id":"d-1","recorded_at":"1970-01-01T00:00:01Z","speed_mps":3.5,"heading":7,"accuracy_m":null}},
  {"type":"Feature","geometry":{"type":"LineString","coordinates":[[1,2],[3,4,5]]},
   "properties":{"name":"d-2","coordTimes":["1970-01-01T00:00:02Z","1970-01-01T00:00:03Z"]}},
  {"type":"Feature","geometry":{"type":"MultiLineString","coordinates":[[[1,2]],[],[[3,4]]]},
   "properties":{"driver_id":"d-3","coordinateProperties":{"times":[["1970-01-01T00:00:04Z"],[],["1970-01-01T00:00:05Z"]]}}}
]})",
                       TrackFormat::kGeoJson);
  ASSERT_EQ(read.status, absl::OkStatus());
  DriverPosition first = Position("d-1", 1'000'000, 52.5, 13.4);
  first.speed_mps = 3.5;
  first.heading_deg = 7;
  EXPECT_THAT(read.points, ElementsAre(first, Position("d-2", 2'000'000, 2, 1), Position("d-2", 3'000'000, 4, 3),
                                       Position("d-3", 4'000'000, 2, 1), Position("d-3", 5'000'000, 4, 3)));
}

TEST(GeoJsonTracks, AFeatureAloneIsEnough) {
  Read read = ReadText(R"({"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]},
                           "properties":{"time":"1970-01-01T00:00:01Z"}})",
                       TrackFormat::kGeoJson, false, "van-1");
  EXPECT_THAT(read.points, ElementsAre(Position("van-1", 1'000'000, 2, 1)));
}

TEST(GeoJsonTracks, ABadFeatureIsNamedByItsNumber) {
  const std::string good = R"({"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]},
                               "properties":{"driver_id":"d","recorded_at":"1970-01-01T00:00:01Z"}})";
  auto error = [&](const std::string& geometry, const std::string& properties) {
    std::string text =
        fmt::format(R"({{"type":"FeatureCollection","features":[{},{{"geometry":{},"properties":{}}},{}]}})", good,
                    geometry, properties, good);
    Read read = ReadText(text, TrackFormat::kGeoJson);
    EXPECT_THAT(read.points, SizeIs(1));
    EXPECT_THAT(ReadText(text, TrackFormat::kGeoJson, /*skip_bad=*/true).points, SizeIs(2));
    return std::string(read.status.message());
  };
  const std::string point = R"({"type":"Point","coordinates":[1,2]})";
  EXPECT_EQ(error(point, "null"), "the text: feature 2: names no driver; --driver says whose it is");
  EXPECT_EQ(error(R"({"type":"Point","coordinates":["1",2]})", R"({"driver_id":"d"})"),
            "the text: feature 2: coordinates are not two numbers: [\"1\",2]");
  EXPECT_EQ(error(R"({"type":"Polygon","coordinates":[]})", R"({"driver_id":"d"})"),
            "the text: feature 2 is a \"Polygon\", which is no track");
  EXPECT_EQ(error("null", R"({"driver_id":"d"})"), "the text: feature 2 is a null, which is no track");
  EXPECT_EQ(
      error(R"({"type":"LineString","coordinates":[[1,2],[3,4]]})",
            R"({"driver_id":"d","coordTimes":["1970-01-01T00:00:01Z"]})"),
      "the text: feature 2 has 2 coordinates and 1 coordTimes, so that none is known to belong to another; GPX, if "
      "it was converted from that, can be replayed as it is");
  EXPECT_EQ(error(R"({"type":"LineString","coordinates":[[1]]})", R"({"driver_id":"d","coordTimes":[7]})"),
            "the text: feature 2, position 1: coordinates are not two numbers: [1]");
}

TEST(GeoJsonTracks, WhatIsNoGeoJsonIsAnError) {
  for (const char* text : {"", "{", "7", "null", "{\"type\":\"FeatureCollection\"}", "{\"type\":7}",
                           "{\"type\":\"Topology\"}", "{\"type\":\"Feature\",\"x\":1e999}", "\xff\xfe"}) {
    Read read = ReadText(text, TrackFormat::kGeoJson, /*skip_bad=*/true);
    EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument) << text;
  }
  EXPECT_FALSE(ReadText("[7]", TrackFormat::kGeoJson).status.ok());
  EXPECT_THAT(std::string(ReadText("{\n\n\"type\": oops}", TrackFormat::kGeoJson).status.message()),
              HasSubstr("the text:3: is no JSON"));
}

// ---- files ----

TEST(TrackFormats, AreToldFromTheName) {
  EXPECT_EQ(TrackFormatOf("/a/day.csv").value(), TrackFormat::kCsv);
  EXPECT_EQ(TrackFormatOf("day.csv.gz").value(), TrackFormat::kCsv);
  EXPECT_EQ(TrackFormatOf("day.gpx").value(), TrackFormat::kGpx);
  EXPECT_EQ(TrackFormatOf("day.geojson.gz").value(), TrackFormat::kGeoJson);
  EXPECT_EQ(TrackFormatOf("day.json").value(), TrackFormat::kGeoJson);
  EXPECT_EQ(TrackFormatOf("DAY.GPX").value(), TrackFormat::kGpx);
  EXPECT_EQ(TrackFormatOf("Day.Csv.GZ").value(), TrackFormat::kCsv);
  for (const char* name : {"day", "day.gz", "csv", "day.kml", "day.csv.zip", ""}) {
    EXPECT_EQ(TrackFormatOf(name).status().code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_EQ(ParseTrackFormat("gpx").value(), TrackFormat::kGpx);
  EXPECT_FALSE(ParseTrackFormat("GPS").ok());
}

TEST_F(TrackFile, WhatIsWrittenIsReadBackFromEveryKindOfFile) {
  DriverPosition full = Position("d-2", 1'800'000'000'123'456, -33.856'784, 151.215'297);
  full.speed_mps = 0.1;
  full.heading_deg = 359.9;
  full.accuracy_m = 1e-7;
  DriverPosition odd = Position("a<b>&\"c',d", -1, 90, -180);
  const std::vector<DriverPosition> points = {Position("d-1", 0, 0, 0), full, full, odd,
                                              Position("20260101", 1, 1e-9, 52)};
  for (const char* extension : kExtensions) {
    std::string path = Path(std::string("day") + extension);
    WriteAll(path, points);
    EXPECT_EQ(ReadTrackFile(path, {}).value(), points) << extension;
    bool packed = Slurp(path).compare(0, 2, "\x1f\x8b") == 0;
    EXPECT_EQ(packed, path.substr(path.size() - 3) == ".gz");
  }
}

// As xsd:decimal, and xsd:minInclusive and xsd:maxExclusive of GPX 1.1's schema, have it. xmllint agrees.
TEST_F(TrackFile, ExportsAreWrittenInPlainDecimalsWithinTheSchemasBounds) {
  std::vector<DriverPosition> points;
  for (double degrees : {5e-05, -5e-05, 1e-12, 180.0, 179.99999999999997, -180.0, 0.1 + 0.2}) {
    DriverPosition position = Position("d", static_cast<int64_t>(points.size()), degrees / 2, degrees);
    position.speed_mps = 2e-05;
    position.heading_deg = points.size() % 2 == 0 ? 360 : 359.99999999999994;
    position.accuracy_m = 1e-300;
    points.push_back(position);
  }
  for (const char* extension : {".csv", ".gpx", ".geojson"}) {
    const std::string path = Path(std::string("day") + extension);
    WriteAll(path, points);
    const std::string text = Slurp(path);
    EXPECT_FALSE(std::regex_search(text, std::regex("[0-9]e[-+]?[0-9]"))) << text;
    EXPECT_FALSE(std::regex_search(text, std::regex("[0-9]\\.[0-9]{10}"))) << text;
    EXPECT_FALSE(std::regex_search(text, std::regex("-0[^.0-9-]"))) << text;
  }
  const std::string gpx = Slurp(Path("day.gpx"));
  const std::regex point(
      R"re(<trkpt lat="(-?\d+(?:\.\d+)?)" lon="(-?\d+(?:\.\d+)?)"><time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z</time><extensions>)re"
      R"re(<gpxtpx:TrackPointExtension><gpxtpx:speed>\d+(?:\.\d+)?</gpxtpx:speed><gpxtpx:course>(\d+(?:\.\d+)?)</gpxtpx:course>)re"
      R"re(</gpxtpx:TrackPointExtension><w:accuracy>\d+(?:\.\d+)?</w:accuracy></extensions></trkpt>)re");
  size_t count = 0;
  for (auto it = std::sregex_iterator(gpx.begin(), gpx.end(), point); it != std::sregex_iterator(); ++it, ++count) {
    EXPECT_LE(std::abs(std::stod((*it)[1])), 90);
    EXPECT_GE(std::stod((*it)[2]), -180);
    EXPECT_LT(std::stod((*it)[2]), 180);
    EXPECT_LT(std::stod((*it)[3]), 360);
  }
  EXPECT_EQ(count, points.size()) << gpx;
}

TEST_F(TrackFile, ATrackWithoutPointsIsAFileAllTheSame) {
  for (const char* extension : kExtensions) {
    std::string path = Path(std::string("none") + extension);
    WriteAll(path, {});
    auto read = ReadTrackFile(path, {});
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_THAT(*read, IsEmpty());
  }
}

TEST_F(TrackFile, WhatCannotBeWrittenIsRefusedAndLeavesNoTrace) {
  auto writer = TrackWriter::Create(Path("day.csv"));
  ASSERT_TRUE(writer.ok());
  auto refused = [&](DriverPosition position) {
    return (*writer)->Write(position).code() == absl::StatusCode::kInvalidArgument;
  };
  DriverPosition good = Position("d", 0, 1, 2);
  EXPECT_TRUE(refused(Position("", 0, 1, 2)));
  EXPECT_TRUE(refused(Position("a b", 0, 1, 2)));
  EXPECT_TRUE(refused(Position("d", 0, std::nan(""), 2)));
  DriverPosition timeless = good;
  timeless.recorded_at = absl::InfiniteFuture();
  EXPECT_TRUE(refused(timeless));
  DriverPosition fast = good;
  fast.speed_mps = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(refused(fast));
  EXPECT_EQ((*writer)->Write(good), absl::OkStatus());
  EXPECT_EQ((*writer)->Close(), absl::OkStatus());
  EXPECT_EQ(ReadTrackFile(Path("day.csv"), {}).value(), std::vector<DriverPosition>{good});
}

TEST_F(TrackFile, AFileThatIsNotThereOrHasNoFormatIsAnError) {
  EXPECT_EQ(TrackReader::Open(Path("none.csv"), {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(TrackReader::Open(Path("none.txt"), {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TrackWriter::Create(Path("none.txt")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TrackWriter::Create(Path("no/such/folder.csv")).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TrackFile, ADiskThatIsFullIsToldAtTheLatestWhenClosing) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full";
  auto writer = TrackWriter::Create("/dev/full", TrackFormat::kCsv);
  ASSERT_TRUE(writer.ok());
  (void)(*writer)->Write(Position("d", 0, 1, 2));
  EXPECT_EQ((*writer)->Close().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TrackFile, ACompressedFileThatBreaksOffIsAnErrorBehindItsWholeLines) {
  std::vector<DriverPosition> points;
  for (int i = 0; i < 20'000; ++i) points.push_back(Position("d", i * 1'000'003LL, i * 31 / 1e4, i * 73 / 1e4));
  for (const char* extension : {".csv.gz", ".gpx.gz", ".geojson.gz"}) {
    std::string path = Path(std::string("cut") + extension);
    WriteAll(path, points);
    std::string bytes = Slurp(path);
    Spill(path, bytes.substr(0, bytes.size() / 2));
    EXPECT_EQ(ReadTrackFile(path, {}).status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(ReadTrackFile(path, {}).status().message()), HasSubstr("break off"));
    bytes[bytes.size() / 2] = static_cast<char>(~bytes[bytes.size() / 2]);
    Spill(path, bytes);
    EXPECT_EQ(ReadTrackFile(path, {}).status().code(), absl::StatusCode::kInvalidArgument);
  }
  // A CSV gives what stands before the break, and no half line.
  WriteAll(Path("cut.csv.gz"), points);
  std::string bytes = Slurp(Path("cut.csv.gz"));
  Spill(Path("cut.csv.gz"), bytes.substr(0, bytes.size() * 3 / 4));
  auto reader = TrackReader::Open(Path("cut.csv.gz"), {});
  ASSERT_TRUE(reader.ok());
  size_t read = 0;
  for (; true; ++read) {
    auto point = (*reader)->Next();
    if (!point.ok()) break;
    ASSERT_TRUE(point->has_value());
    ASSERT_EQ(**point, points[read]);
  }
  EXPECT_GT(read, points.size() / 2);
  EXPECT_LT(read, points.size());
}

TEST_F(TrackFile, MembersOfACompressedFileAreReadOneBehindTheOther) {
  std::vector<DriverPosition> first, second;
  for (int i = 0; i < 20'000; ++i) first.push_back(Position("d", i * 1'000'003LL, i * 31 / 1e4, i * 73 / 1e4));
  second.push_back(Position("e", 0, 1, 2));
  WriteAll(Path("first.csv.gz"), first);
  WriteAll(Path("second.csv.gz"), second);
  const std::string one = Slurp(Path("first.csv.gz")), other = Slurp(Path("second.csv.gz"));
  for (const std::string& padding : {std::string(), std::string(512, '\0'), std::string(300'000, '\0')}) {
    Spill(Path("both.csv.gz"), one + padding + other + padding);
    const auto points = ReadTrackFile(Path("both.csv.gz"), {});
    ASSERT_TRUE(points.ok()) << points.status();
    ASSERT_EQ(points->size(), first.size() + 1);
    EXPECT_EQ(points->back(), second[0]);
  }
  // What is no member loses whatever stands behind it, and says so, behind all that came before.
  for (const std::string between : {"\n", "x", "\x1f", "\x1f\x8c"}) {
    Spill(Path("both.csv.gz"), one + between + other);
    auto reader = TrackReader::Open(Path("both.csv.gz"), {});
    ASSERT_TRUE(reader.ok());
    size_t read = 0;
    absl::Status end;
    for (; end.ok(); ++read) {
      auto point = (*reader)->Next();
      end = point.status();
      if (!point.ok()) break;
      ASSERT_TRUE(point->has_value()) << "it ends as if all were well";
      ASSERT_EQ(**point, first[read]);
    }
    EXPECT_EQ(read, first.size());
    EXPECT_EQ(end.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(end.message()), HasSubstr("behind the compressed data"));
  }
}

// ---- properties ----

DriverPosition AnyPosition() {
  DriverPosition position;
  // Few drivers, so that runs of one come up; among them the characters that the formats treat as special.
  constexpr const char* kIds[] = {"d-1", "2026-11-27", "<&>", "\"q\"", "a,b", "{}", "'", "~!\\"};
  position.driver_id = kIds[*rc::gen::inRange(0, 8)];
  position.recorded_at =
      absl::FromUnixMicros(*rc::gen::inRange<int64_t>(-62'135'596'800'000'000, 253'402'300'800'000'000));
  // What the service stores, to the nine decimals that are written. GPX has neither 180 nor 360, but -180 and 0.
  auto number = [](int64_t from, int64_t to) {
    return static_cast<double>(*rc::gen::inRange<int64_t>(from * 1'000'000'000, to * 1'000'000'000)) / 1e9;
  };
  position.point = {number(-90, 90), number(-180, 180)};
  auto maybe = [&](int64_t to) -> std::optional<double> {
    return *rc::gen::arbitrary<bool>() ? std::optional<double>(number(0, to)) : std::nullopt;
  };
  position.accuracy_m = maybe(100);
  if (position.accuracy_m == 0) position.accuracy_m.reset();  // that is not known
  position.heading_deg = maybe(360);
  position.speed_mps = maybe(100);
  return position;
}

std::vector<DriverPosition> AnyPositions() {
  std::vector<DriverPosition> points;
  int count = *rc::gen::inRange(0, 20);
  for (int i = 0; i < count; ++i) points.push_back(AnyPosition());
  return points;
}

TEST(TrackFileProperty, EveryFormatReadsBackWhatItWrote) {
  testing::TempDirectory directory;
  for (const char* extension : kExtensions) {
    std::string path = directory.path() / (std::string("any") + extension);
    EXPECT_TRUE(rc::check(std::string("round trip by ") + extension, [&] {
      std::vector<DriverPosition> points = AnyPositions();
      auto writer = TrackWriter::Create(path);
      RC_ASSERT(writer.ok());
      for (const DriverPosition& point : points) RC_ASSERT((*writer)->Write(point).ok());
      RC_ASSERT((*writer)->Close().ok());
      auto read = ReadTrackFile(path, {});
      RC_ASSERT(read.ok());
      RC_ASSERT(*read == points);
    }));
  }
}

// Whatever stands in a file, reading it ends, in points or in an error that names the file.
TEST(TrackFileProperty, DamagedFilesAreErrorsNotCrashes) {
  const std::string texts[] = {
      "driver_id,recorded_at,lat,lng,speed\n\"d-1\",1970-01-01T00:00:01Z,52.5,13.4,1\nd-2,1970-01-01T00:00:01Z,1,2,\n",
      R"(<?xml version="1.0"?><gpx><trk><name>d</name><trkseg><trkpt lat="1" lon="2"><time>1970-01-01T00:00:01Z</time>)"
      R"(<extensions><x:speed>1</x:speed></extensions></trkpt></trkseg></trk></gpx>)",
      R"({"type":"FeatureCollection","features":[{"type":"Feature","geometry":{"type":"LineString","coordinates":)"
      R"([[1,2],[3,4]]},"properties":{"driver_id":"d","coordTimes":["1970-01-01T00:00:01Z","1970-01-01T00:00:02Z"]}}]})"};
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_FALSE(ReadText(texts[i], kFormats[i]).points.empty());
    EXPECT_TRUE(rc::check(fmt::format("damage to format {}", i), [&] {
      std::string text = texts[i];
      int damages = *rc::gen::inRange(1, 6);
      for (int damage = 0; damage < damages; ++damage) {
        size_t at = *rc::gen::inRange<size_t>(0, text.size() + 1);
        size_t length = *rc::gen::inRange<size_t>(0, 12);
        std::string other = *rc::gen::oneOf(
            rc::gen::container<std::string>(rc::gen::arbitrary<char>()),
            rc::gen::element<std::string>("<", ">", "]]>", "&#0;", "[", "{", "null", ",", "\"", "\n", "1e999", "\\u"));
        text.replace(at, length, other);
      }
      bool skip = *rc::gen::arbitrary<bool>();
      Read read = ReadText(text, kFormats[i], skip);
      RC_ASSERT(read.status.ok() || read.status.message().find("the text:") == 0);
      RC_ASSERT(read.points.size() <= 10u);
    }));
  }
}

TEST(TrackFileProperty, DeepNestingIsAnErrorNotACrash) {
  std::string deep(200'000, '[');
  EXPECT_FALSE(ReadText(deep, TrackFormat::kGeoJson).status.ok());
  EXPECT_FALSE(ReadText(deep + std::string(200'000, ']'), TrackFormat::kGeoJson).status.ok());
  std::string xml;
  for (int i = 0; i < 200'000; ++i) xml += "<gpx>";
  EXPECT_FALSE(ReadText(xml, TrackFormat::kGpx).status.ok());
}

}  // namespace
}  // namespace waybill::tracks
