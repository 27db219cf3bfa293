// Files as loggers, phones and converters write them: what is read, and what is said where it cannot be known.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tracks/track_file.h"

namespace waybill::tracks {
namespace {

using domain::DriverPosition;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

struct Understood {
  std::vector<std::string> points;  // "van-7 2026-11-27T07:00:00Z 52.5,13.4 v=1 h=2 a=3"
  std::string error;
  int64_t skipped = 0;
  std::vector<std::string> first_skipped;
  std::vector<std::string> notes;
  std::string besides;
};

std::string Shown(const DriverPosition& position) {
  std::string text = fmt::format("{} {} {:.7g},{:.7g}", position.driver_id,
                                 absl::FormatTime("%E4Y-%m-%dT%H:%M:%E*SZ", position.recorded_at, absl::UTCTimeZone()),
                                 position.point.latitude, position.point.longitude);
  if (position.speed_mps) text += fmt::format(" v={:.4g}", *position.speed_mps);
  if (position.heading_deg) text += fmt::format(" h={:.5g}", *position.heading_deg);
  if (position.accuracy_m) text += fmt::format(" a={:.5g}", *position.accuracy_m);
  return text;
}

struct Reading {
  TrackFormat format = TrackFormat::kCsv;
  TrackReadOptions options = {};

  Reading() { options.default_driver_id = "van-7"; }

  Understood operator()(const std::string& text) const {
    TrackReadOptions with_format = options;
    with_format.format = format;
    Understood read;
    auto reader = TrackReader::FromText(text, "file", with_format);
    if (!reader.ok()) {
      read.error = std::string(reader.status().message());
      return read;
    }
    while (true) {
      auto point = (*reader)->Next();
      if (!point.ok()) read.error = std::string(point.status().message());
      if (!point.ok() || !*point) break;
      read.points.push_back(Shown(**point));
    }
    read.skipped = (*reader)->skipped();
    read.first_skipped = (*reader)->first_skipped();
    read.notes = (*reader)->notes();
    read.besides = (*reader)->besides();
    return read;
  }
};

Reading Csv() { return {}; }
Reading Gpx() {
  Reading reading;
  reading.format = TrackFormat::kGpx;
  return reading;
}
Reading GeoJson() {
  Reading reading;
  reading.format = TrackFormat::kGeoJson;
  return reading;
}
Reading InZone(Reading reading, const std::string& zone) {
  reading.options.zone = ParseZone(zone).value();
  return reading;
}
Reading SkippingBad(Reading reading) {
  reading.options.skip_bad = true;
  return reading;
}

std::string Track(const std::string& points, const std::string& creator = "made-up") {
  return fmt::format(R"(<gpx version="1.1" creator="{}"><trk><trkseg>{}</trkseg></trk></gpx>)", creator, points);
}
// A point at 07:00:0N with something in it.
std::string Trkpt(int second, const std::string& inside) {
  return fmt::format("<trkpt lat='52.5' lon='13.4'><time>2026-11-27T07:00:{:02}Z</time>{}</trkpt>\n", second, inside);
}
std::string Feature(const std::string& geometry, const std::string& properties) {
  return fmt::format(R"({{"type":"Feature","geometry":{},"properties":{}}})", geometry, properties);
}
std::string Collection(const std::vector<std::string>& features) {
  return fmt::format(R"({{"type":"FeatureCollection","features":[{}]}})", fmt::join(features, ","));
}
constexpr char kPlace[] = R"({"type":"Point","coordinates":[13.4,52.5]})";
constexpr char kLine[] = R"({"type":"LineString","coordinates":[[13.4,52.5],[13.5,52.6],[13.6,52.7]]})";

// ---- two columns for one thing, further names and units ----

TEST(TrackDialects, OfTwoTimesTheFirstOrTheMoreExactOneIsTaken) {
  Understood read = Csv()(
      "time,timestamp_ms,starttimestamp_ms,time_offset,lat,lon\n"
      "2026-11-27T07:00:00.000Z,1795762800000,1,2026-11-27T08:00:00+01:00,52.5,13.4\n");
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
  EXPECT_THAT(read.notes, ElementsAre("time and timestamp_ms say the same time; time is taken",
                                      "not read: starttimestamp_ms, time_offset"));
  read = Csv()("time,timestamp_ms,lat,lon\n2026-11-27T07:00:00Z,1795762800250,52.5,13.4\n,1795762801250,52.5,13.4\n");
  EXPECT_THAT(read.points,
              ElementsAre("van-7 2026-11-27T07:00:00.25Z 52.5,13.4", "van-7 2026-11-27T07:00:01.25Z 52.5,13.4"));
  EXPECT_THAT(read.notes, ElementsAre("time and timestamp_ms say the same time; timestamp_ms is taken"));
  read = Csv()("timestamp,recorded_at,lat,lng\n2026-11-27T09:00:00Z,2026-11-27T07:00:00Z,52.5,13.4\n");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
  EXPECT_THAT(read.notes,
              ElementsAre("recorded_at and timestamp differ by a second or more; recorded_at is taken (1)"));
  // A time of day without a zone does not stand in the way of one that is complete.
  read = Csv()("time,epoch,lat,lng\n2026-11-27 08:00:00,1795762800,52.5,13.4\n");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
}

TEST(TrackDialects, NamesOfMeasurementsAreMany) {
  auto measured = [](const std::string& name) {
    Understood read = Csv()("time_s,lat,lon," + name + "\n1795762800,52.5,13.4,36\n");
    EXPECT_EQ(read.error, "") << name;
    if (read.points.size() != 1) return std::string("nothing");
    std::string point = read.points[0];
    size_t at = point.find('=');
    return at == std::string::npos ? "unread" : point.substr(at - 1);
  };
  for (const char* name : {"speed", "speed_mps", "Speed (m/s)", "GPS Speed", "velocity", "speed [m/s]", "speed_ms"}) {
    EXPECT_EQ(measured(name), "v=36") << name;
  }
  for (const char* name : {"speed_kmh", "Speed (km/h)", "speedKmh", "SPEED(km/h)", "speed_kph", "vel", "speed km/h"}) {
    EXPECT_EQ(measured(name), "v=10") << name;
  }
  EXPECT_EQ(measured("speed_mph"), "v=16.09");
  for (const char* name : {"speed_knots", "Speed (kn)", "sog", "speed_kt"})
    EXPECT_EQ(measured(name), "v=18.52") << name;
  for (const char* name :
       {"heading", "heading_deg", "course", "Course", "bearing", "azimuth", "cog", "Bearing (deg)"}) {
    EXPECT_EQ(measured(name), "h=36") << name;
  }
  for (const char* name : {"accuracy", "accuracy_m", "hacc", "hAcc", "horizontal_accuracy", "horizontalAccuracy", "acc",
                           "Accuracy (m)", "accuracy_horizontal", "GPS accuracy"}) {
    EXPECT_EQ(measured(name), "a=36") << name;
  }
  EXPECT_EQ(measured("accuracy_ft"), "a=10.973");
  for (const char* name : {"vertical_accuracy", "speed_accuracy", "bearing_accuracy", "altitude", "speed_limit", "note",
                           "speed (furlongs)", "battery", "starttime", "time_zone"}) {
    EXPECT_EQ(measured(name), "unread") << name;
  }
}

TEST(TrackDialects, OfSeveralHeadingsTheWayOverTheGroundIsTaken) {
  Understood read = Csv()(
      "time_s,lat,lon,heading,bearing,elevation\n1795762800,52.5,13.4,10,90,34\n"
      "1795762801,52.5,13.4,11,,34\n");
  EXPECT_THAT(read.points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 h=90", "van-7 2026-11-27T07:00:01Z 52.5,13.4 h=11"));
  EXPECT_THAT(read.notes, ElementsAre("bearing is taken, not heading", "not read: elevation"));
}

TEST(TrackDialects, AUnitMayStandBehindTheValue) {
  Understood read = Csv()("time_s,lat,lon,speed,course,accuracy\n1795762800,52.5,13.4,36 km/h,91.5\xc2\xb0,4 m\n");
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=10 h=91.5 a=4"));
  Understood parsecs = Csv()("time_s,lat,lon,speed\n1,52.5,13.4,36 parsecs\n");
  EXPECT_THAT(parsecs.points, ElementsAre("van-7 1970-01-01T00:00:01Z 52.5,13.4"));
  EXPECT_THAT(parsecs.notes, ElementsAre("speed is not known where it is no number, such as \"36 parsecs\" (1)"));
}

TEST(TrackDialects, TheUnitOfASpeedCanBeSaid) {
  Reading reading = Csv();
  reading.options.speed_unit_mps = 1 / 3.6;
  EXPECT_THAT(reading("time_s,lat,lon,speed\n1795762800,52.5,13.4,36\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=10"));
  EXPECT_THAT(reading("time_s,lat,lon,speed_mps\n1795762800,52.5,13.4,36\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=36"));
}

// ---- what is not known ----

TEST(TrackDialects, AnEmptyMeasurementIsNotKnown) {
  for (const char* nothing : {"", "nan", "NaN", "-nan", "N/A", "null", "None", "-", "inf", "-1", "-1.0"}) {
    Understood read = Csv()(
        fmt::format("time_s,lat,lon,speed,course,acc,hdop,vdop\n1795762800,52.5,13.4,{0},{0},{0},{0},\n", nothing));
    EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4")) << nothing << read.error;
    read =
        Gpx()(Track(Trkpt(0, fmt::format("<hdop>{0}</hdop><pdop/><course>{0}</course><extensions><x:speed>{0}</x:speed>"
                                         "<accuracy>{0}</accuracy></extensions>",
                                         nothing))));
    EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4")) << nothing << read.error;
    read = GeoJson()(Feature(kPlace, fmt::format(R"({{"time":"2026-11-27T07:00:00Z","speed":"{0}","course":"{0}",)"
                                                 R"("accuracy":"{0}"}})",
                                                 nothing)));
    EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4")) << nothing << read.error;
  }
  Understood read = GeoJson()(Feature(
      kPlace, R"({"time":"2026-11-27T07:00:00Z","speed":NaN,"course":-Infinity,"accuracy":-1,"note":"NaN, say"})"));
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4")) << read.error;
  EXPECT_THAT(read.notes, Contains(HasSubstr("NaN and its like")));
}

TEST(TrackDialects, AMeasurementThatMakesNoSenseCostsOnlyItself) {
  Understood read = Csv()(
      "time_s,lat,lon,speed,heading,accuracy\n1795762800,52.5,13.4,fast,400,\xc2\xb1"
      "5 m\n1795762801,52.5,13.4,slow,655.35,3\n");
  EXPECT_THAT(read.points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4", "van-7 2026-11-27T07:00:01Z 52.5,13.4 a=3"))
      << read.error;
  EXPECT_THAT(read.notes, ElementsAre("accuracy is not known where it is no number, such as \"\xc2\xb1"
                                      "5 m\" (1)",
                                      "heading beyond 360 is not known (2)",
                                      "speed is not known where it is no number, such as \"fast\" (2)"));
  // What ships say where they do not know.
  Understood ais = Csv()("time_s,lat,lon,sog,heading\n1795762800,52.5,13.4,102.3,511\n");
  EXPECT_THAT(ais.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
}

TEST(TrackDialects, ACommaBeforeThreeDigitsMayGroupThem) {
  Understood grouped = Csv()("time_s,lat,lon,accuracy\n1795762800,52.5,13.4,\"1,500\"\n");
  EXPECT_THAT(grouped.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
  EXPECT_THAT(grouped.notes, ElementsAre("accuracy is not known where it is no number, such as \"1,500\" (1)"));
  EXPECT_THAT(Csv()("time_s;lat;lon;accuracy\n1795762800;52,5;13,4;1,500\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 a=1.5"));
  EXPECT_THAT(Csv()("time_s,lat,lon,accuracy\n1795762800,\"52,500\",13.4,\"0,500\"\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 a=0.5"));
}

TEST(TrackDialects, AUnitThatOnlyUsuallyGoesWithANameIsToldAndYields) {
  const std::string vel = "time_s,lat,lon,vel\n1795762800,52.5,13.4,36\n";
  Understood read = Csv()(vel);
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=10"));
  EXPECT_THAT(read.notes, ElementsAre("vel is taken as km/h, as OwnTracks means it; --speed-unit says another"));
  Reading in_mps = Csv();
  in_mps.options.speed_unit_mps = 1;
  EXPECT_THAT(in_mps(vel).points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=36"));
  EXPECT_THAT(in_mps(vel).notes, IsEmpty());
  EXPECT_THAT(Csv()("time_s,lat,lon,sog\n1795762800,52.5,13.4,36\n").notes,
              ElementsAre("sog is taken as knots, as AIS means it; --speed-unit says another"));
  // OwnTracks says who it is.
  Understood owntracks = GeoJson()(R"({"_type":"location","tst":1795762800,"lat":52.5,"lon":13.4,"vel":36})");
  EXPECT_THAT(owntracks.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=10"));
  EXPECT_THAT(owntracks.notes, IsEmpty());
}

TEST(TrackDialects, OfSeveralSpeedsTheOneThatNamesItsUnitIsTaken) {
  Understood read = Csv()("time_s,lat,lon,speed,speed_kmh\n1795762800,52.5,13.4,22.4,36\n");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=10"));
  EXPECT_THAT(read.notes, ElementsAre("speed_kmh is taken, not speed"));
}

TEST(TrackDialects, APhonesMinusOneIsCountedAndThePositionKept) {
  Understood read = Gpx()(Track(Trkpt(0, "<extensions><speed>-1.0</speed><course>-1.0</course></extensions>") +
                                Trkpt(1, "<extensions><speed>0.0</speed><course>-1.0</course></extensions>") +
                                Trkpt(6, "<extensions><speed>6.7</speed><course>62.0</course></extensions>")));
  EXPECT_THAT(read.points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4", "van-7 2026-11-27T07:00:01Z 52.5,13.4 v=0",
                          "van-7 2026-11-27T07:00:06Z 52.5,13.4 v=6.7 h=62"));
  EXPECT_THAT(read.notes, ElementsAre("heading -1 or 511 is not known (2)", "speed below 0 is not known (1)"));
  EXPECT_THAT(Csv()("time_s,lat,lon,heading\n1795762800,52.5,13.4,-90\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 h=270"));
  EXPECT_THAT(Csv()("time_s,lat,lon,accuracy\n1795762800,52.5,13.4,0\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
}

// ---- dilution ----

TEST(TrackDialects, HdopIsNoAccuracyUnlessItIsKnownToBeADilution) {
  const std::string points = Trkpt(0, "<hdop>25.0</hdop>") + Trkpt(1, "<hdop>4</hdop>") + Trkpt(2, "<hdop>0</hdop>");
  auto accuracies = [&](HdopUse use, const std::string& creator, const std::string& also = "") {
    Reading reading = Gpx();
    reading.options.hdop = use;
    std::string text = points;
    for (size_t at = 0; (at = text.find("</hdop>", at)) != std::string::npos; at += also.size() + 7) {
      text.insert(at + 7, also);
    }
    Understood read = reading(Track(text, creator));
    std::string all;
    for (const std::string& point : read.points) {
      size_t at = point.find(" a=");
      all += at == std::string::npos ? " -" : " " + point.substr(at + 3);
    }
    return all + (read.notes.empty() ? "" : "; " + read.notes[0]);
  };
  EXPECT_THAT(accuracies(HdopUse::kAuto, "made-up"), HasSubstr(" - - -; hdop alone may be a dilution or metres"));
  EXPECT_THAT(accuracies(HdopUse::kAuto, "OsmAnd 4.6"), HasSubstr(" 25 4 -; hdop is taken as the accuracy in metres"));
  EXPECT_THAT(accuracies(HdopUse::kAuto, "made-up", "<vdop>1</vdop>"),
              HasSubstr(" - 20 -; accuracy is reckoned from hdop, 5 m for each unit"));
  EXPECT_EQ(accuracies(HdopUse::kDilution, "OsmAnd"),
            " - 20 -; hdop above 20 is no dilution, and not taken for the "
            "accuracy; --hdop metres takes it so (1)");
  EXPECT_EQ(accuracies(HdopUse::kMetres, "made-up"), " 25 4 -");
  EXPECT_EQ(accuracies(HdopUse::kNone, "OsmAnd", "<pdop>1</pdop>"), " - - -");
}

// ---- several documents, and files that break off ----

TEST(TrackDialects, DocumentsOneBehindTheOtherAreAllRead) {
  const std::string declared = "<?xml version=\"1.0\"?>\n";
  Understood read = Gpx()(declared + Track(Trkpt(0, "")) + "\n" + declared + Track(Trkpt(1, "") + Trkpt(2, "")) +
                          "\xef\xbb\xbf" + declared + Track(Trkpt(3, "")));
  EXPECT_THAT(read.points, SizeIs(4)) << read.error;

  read = Csv()(
      "time_s,lat,lon\n1795762800,52.5,13.4\n\xef\xbb\xbftime_s,lat,lon\n1795762801,52.5,13.4\n"
      "lon,lat,time_s,speed\n13.4,52.5,1795762802,1\n"
      "sep=;\nlat;lon;time_s\n52,5;13,4;1795762803\n");
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4", "van-7 2026-11-27T07:00:01Z 52.5,13.4",
                          "van-7 2026-11-27T07:00:02Z 52.5,13.4 v=1", "van-7 2026-11-27T07:00:03Z 52.5,13.4"));

  const std::string feature = Feature(kPlace, R"({"time":"2026-11-27T07:00:00Z"})");
  for (const std::string& text :
       {Collection({feature, feature}) + "\n\xef\xbb\xbf" + Collection({feature}),
        feature + "\n" + feature + "\n" + feature + "\n", "\x1e" + feature + "\n\x1e" + feature + "\n\x1e" + feature,
        "[" + feature + "," + feature + "," + feature + "]"}) {
    EXPECT_THAT(GeoJson()(text).points, SizeIs(3)) << text << GeoJson()(text).error;
  }
}

TEST(TrackDialects, WhatStandsBeforeABreakIsWholeAndTheBreakIsTold) {
  const std::string gpx = Track(Trkpt(0, "") + Trkpt(5, "<speed>7.5</speed>"));
  const std::string point = Feature(kPlace, R"({"time":"2026-11-27T07:00:00Z","speed":7.5})");
  const std::string line = Feature(kLine, R"({"speeds":[1,2,3],"coordTimes":["2026-11-27T07:00:00Z",)"
                                          R"("2026-11-27T07:00:01Z","2026-11-27T07:00:02Z"]})");
  const std::string csv =
      "time,lat,lon,speed\n2026-11-27T07:00:00Z,52.5,13.4,7.5\n2026-11-27T07:00:05Z,52.5,13.4,7.5\n";
  struct Case {
    Reading reading;
    std::string text;
  };
  for (const Case& one :
       {Case{Gpx(), gpx}, Case{GeoJson(), Collection({point, point})}, Case{GeoJson(), Collection({line})},
        Case{GeoJson(), line}, Case{GeoJson(), point + "\n" + point + "\n"}, Case{Csv(), csv}}) {
    const std::vector<std::string> whole = one.reading(one.text).points;
    ASSERT_THAT(whole, Not(IsEmpty()));
    size_t most = 0;
    for (size_t size = 0; size < one.text.size(); ++size) {
      const std::string text = one.text.substr(0, size);
      Understood read = SkippingBad(one.reading)(text);
      // No point that was not in the file, and none of which something is missing: but for a CSV's last number.
      ASSERT_LE(read.points.size(), whole.size());
      for (size_t i = 0; i < read.points.size(); ++i) {
        if (one.reading.format == TrackFormat::kCsv && i + 1 == read.points.size()) continue;
        ASSERT_EQ(read.points[i], whole[i]) << text;
      }
      most = std::max(most, read.points.size());
      if (read.points.size() == whole.size() || one.reading.format == TrackFormat::kCsv) continue;
      const bool ends_between = one.text[size] == '\n' || text.empty() || text.back() == '\n';
      Understood strict = one.reading(text);
      EXPECT_TRUE(ends_between || !strict.error.empty()) << text;
      if (!read.points.empty() && !ends_between) {
        EXPECT_THAT(strict.error, HasSubstr("breaks off")) << text;
        EXPECT_THAT(strict.error, HasSubstr("--skip-bad")) << text;
        EXPECT_GE(read.skipped, 1) << text;
      }
    }
    EXPECT_GE(most + 1, whole.size());
  }
  Understood cut = SkippingBad(Csv())(csv.substr(0, csv.size() - 5));
  EXPECT_THAT(cut.points, SizeIs(1));
  EXPECT_THAT(cut.first_skipped, ElementsAre("file:3: the file breaks off: has 3 fields; the header has 4"));
}

TEST(TrackDialects, GarbageInTheMiddleLosesOnlyWhatFollows) {
  Understood read = SkippingBad(Gpx())(Track(Trkpt(0, "") + "<oops></trkseg>" + Trkpt(1, "") + Trkpt(2, "")));
  EXPECT_THAT(read.points, SizeIs(1));
  EXPECT_EQ(read.skipped, 3);
  const std::string point = Feature(kPlace, R"({"time":"2026-11-27T07:00:00Z"})");
  read = SkippingBad(GeoJson())(Collection({point, "oops", point}));
  EXPECT_THAT(read.points, SizeIs(1)) << read.error;
}

// ---- points that stand elsewhere ----

TEST(TrackDialects, PointsThatAreNoTrackAreTold) {
  const std::string time = "<time>2026-11-27T07:00:00Z</time>";
  const std::string other = "<rte><rtept lat='1' lon='2'>" + time + "</rtept><rtept lat='1' lon='2'>" + time +
                            "</rtept></rte><wpt lat='1' lon='2'>" + time +
                            "<name>stop</name></wpt><wpt lat='1' lon='2'/>";
  Understood read = Gpx()("<gpx>" + other + "</gpx>");
  EXPECT_THAT(read.points, IsEmpty());
  EXPECT_EQ(read.besides, "2 route points and 2 waypoints");
  read = Gpx()("<gpx>" + other + "<trk>" + Trkpt(0, "") + "</trk></gpx>");
  EXPECT_THAT(read.points, SizeIs(1)) << "a trk without trkseg";
  EXPECT_THAT(read.notes,
              ElementsAre("2 route points and 2 waypoints are not read; --waypoints takes those that have a time"));
  Reading with_waypoints = Gpx();
  with_waypoints.options.waypoints = true;
  read = with_waypoints("<gpx>" + other + "</gpx>");
  EXPECT_THAT(read.points, SizeIs(3));
  EXPECT_EQ(read.skipped, 1);
}

TEST(TrackDialects, ATrackNamedByItsDateIsNoDriver) {
  auto driver = [](const std::string& name, const std::string& creator = "made-up") {
    Understood read =
        Gpx()("<gpx creator='" + creator + "'><trk><name>" + name + "</name>" + Trkpt(0, "") + "</trk></gpx>");
    return read.points.size() == 1 ? read.points[0].substr(0, read.points[0].find(' ')) : "none";
  };
  EXPECT_EQ(driver("van-9"), "van-9");
  EXPECT_EQ(driver("2026-11-27"), "van-7");
  EXPECT_EQ(driver("20261127_070000"), "van-7");
  EXPECT_EQ(driver("2026-11-27T07:00:00Z"), "van-7");
  EXPECT_EQ(driver("Round two"), "van-7");
  EXPECT_EQ(driver("2026-11-27", "Waybill"), "2026-11-27") << "of our own export it is one";
  Reading always = Gpx();
  always.options.driver_always = true;
  EXPECT_THAT(always("<gpx><trk><name>van-9</name>" + Trkpt(0, "") + "</trk></gpx>").points,
              ElementsAre(HasSubstr("van-7 ")));
  EXPECT_THAT(
      Gpx()("<gpx><trk><name>van-9</name>" + Trkpt(0, "") + "</trk></gpx>").notes,
      ElementsAre("points go to the driver that the file names, such as van-9; --driver-always sends them to van-7 "
                  "(1)"));
}

// ---- times ----

TEST(TrackDialects, TimesThatNearlyAreRfc3339AreRead) {
  auto time = [](const std::string& text) {
    Understood read = Gpx()(Track("<trkpt lat='1' lon='2'><time>" + text + "</time></trkpt>"));
    return read.points.size() == 1 ? read.points[0].substr(6, read.points[0].rfind(' ') - 6) : "not: " + read.error;
  };
  for (const char* same : {"2026-11-27T07:00:00Z",
                           "2026-11-27t07:00:00z",
                           "2026-11-27 07:00:00Z",
                           "2026-11-27 07:00:00 Z",
                           "2026-11-27T07:00Z",
                           "2026-11-27T08:00:00+0100",
                           "2026-11-27T08:00:00+01",
                           "2026-11-27T08:00:00 +01:00",
                           "2026-11-27T07:00:00UTC",
                           "2026-11-27 07:00:00 UTC",
                           "2026-11-27T07:00:00 GMT",
                           "20261127T070000Z",
                           "20261127070000",
                           "20261127 070000",
                           "2026/11/27 07:00:00",
                           "27.11.2026 07:00:00",
                           "2026-11-27T07:00:00,000Z",
                           "2026-11-27T07:00:00",
                           "2026-11-27T07:00",
                           " 2026-11-27T07:00:00Z\n",
                           "2026-11-27T06:59:60Z",
                           "2026-11-27T08:00:00+01:00[Europe/Berlin]",
                           "Fri, 27 Nov 2026 07:00:00 GMT",
                           "Fri Nov 27 07:00:00 GMT 2026",
                           "Fri Nov 27 2026 08:00:00 GMT+0100",
                           "27-Nov-2026 07:00:00.000",
                           "November 27, 2026 07:00",

                           "2026-11-26T24:00:00-07:00",
                           "1795762800",
                           "1795762800000",
                           "1795762800000000",
                           "1795762800000000000"}) {
    EXPECT_EQ(time(same), "2026-11-27T07:00:00Z") << same;
  }
  EXPECT_EQ(time("2026-11-27T07:00:00,123456789Z"), "2026-11-27T07:00:00.123456Z");
  EXPECT_EQ(time("2026-11-27T24:00:00Z"), "2026-11-28T00:00:00Z");
  for (const char* no : {"noon", "2026-11-27", "11/27/2026 07:00:00", "27/11/2026 07:00", "2026-02-30T07:00:00Z",
                         "2026-11-27T24:00:01Z", "2026-11-27T7:00", "2026-11-27T07:00:00 CET", "2026-11-27T07:61:00Z",
                         "17957628", "2026-11-27T07:00:0", "Fri Nov 27 07:00:00 CET 2026", "27-Nov-2026 07:00:00 PM",
                         "Nov 27 07:00:00", "0000-11-27T07:00:00Z", "2026-11-27T07:00:00Zx"}) {
    EXPECT_THAT(time(no), HasSubstr("not: ")) << no;
  }
}

TEST(TrackDialects, ATimeWithoutAZoneIsUtcInGpxAndAskedForElsewhere) {
  const std::string gpx = Track(
      "<trkpt lat='1' lon='2'><time>2026-11-27T07:00:00</time></trkpt>\n"
      "<trkpt lat='1' lon='2'><time>2026-11-27T07:00:01</time></trkpt>");
  EXPECT_THAT(Gpx()(gpx).notes, ElementsAre("times without a zone are taken as UTC; --zone says another (2)"));
  EXPECT_THAT(InZone(Gpx(), "Europe/Berlin")(gpx).points, Contains("van-7 2026-11-27T06:00:00Z 1,2"));
  EXPECT_THAT(InZone(Gpx(), "-0330")(gpx).points, Contains("van-7 2026-11-27T10:30:00Z 1,2"));
  const std::string csv = "time,lat,lon\n2026-11-27 07:00:00,1,2\n";
  EXPECT_EQ(Csv()(csv).error,
            "file:2: time: \"2026-11-27 07:00:00\" names no zone; --zone says it (UTC, +01:00, Europe/Berlin)");
  EXPECT_THAT(InZone(Csv(), "UTC")(csv).points, ElementsAre("van-7 2026-11-27T07:00:00Z 1,2"));
  EXPECT_THAT(InZone(GeoJson(), "+01:00")(Feature(kPlace, R"({"time":"2026-11-27T08:00:00"})")).points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
  EXPECT_THAT(Csv()("Time (UTC),lat,lon\n2026-11-27 07:00:00,1,2\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 1,2"));
  // gpxpy writes it without the colon, which gpsbabel takes for 530 hours.
  for (const char* offset : {"+05:30", "+0530"}) {
    EXPECT_THAT(Csv()(std::string("time,lat,lon\n2026-11-27T12:30:00") + offset + ",1,2\n").points,
                ElementsAre("van-7 2026-11-27T07:00:00Z 1,2"))
        << offset;
  }
  // The hour that comes twice.
  EXPECT_THAT(InZone(Csv(), "Europe/Berlin")("time,lat,lon\n2026-10-25 02:30:00,1,2\n").notes,
              ElementsAre("times at which the zone's clocks change are taken as before the change (1)"));
  EXPECT_THAT(InZone(Csv(), "Europe/Berlin")("time,lat,lon\n2026-11-27T07:00:00Z,1,2\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 1,2"))
      << "it has one";
  for (const char* no : {"", "Mars/Olympus", "+25:00", "1", "CEST+"}) EXPECT_FALSE(ParseZone(no).ok()) << no;
}

TEST(TrackDialects, DateAndTimeMayStandApart) {
  const std::string unicsv =
      "No,Latitude,Longitude,Altitude,Speed,Course,HDOP,VDOP,PDOP,Satellites,Date,Time\n"
      "1,52.500000,13.400000,34.0,7.50,91.2,0.90,0.80,1.20,9,2026/11/27,10:00:00.123\n"
      "2,52.500050,-13.400030,34.0,8.00,95.0,,,,,2026/11/27,10:00:05\n"
      "3,-52.500100,13.400060,,,,,,,,,\n";
  EXPECT_EQ(Csv()(unicsv).error,
            "file:2: Date and Time: \"2026/11/27 10:00:00.123\" names no zone; --zone says it (UTC, "
            "+01:00, Europe/Berlin)");
  Understood read = InZone(Csv(), "UTC")(unicsv);
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T10:00:00.123Z 52.5,13.4 v=7.5 h=91.2 a=4.5",
                                       "van-7 2026-11-27T10:00:05Z 52.50005,-13.40003 v=8 h=95"));
  EXPECT_EQ(read.skipped, 1) << "the one without a time";
  EXPECT_THAT(Csv()("UTC Date,UTC Time,lat,lon\n2026-11-27,07:00:00,1,2\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 1,2"));
  EXPECT_THAT(Csv()("date,lat,lon\n2026-11-27T07:00:00Z,1,2\n").points, ElementsAre("van-7 2026-11-27T07:00:00Z 1,2"));
}

TEST(TrackDialects, PointsWithoutATimeAreCountedAndCostNothingElse) {
  Understood read =
      Gpx()(Track(Trkpt(0, "") + "<trkpt lat='1' lon='2'/>" + "<trkpt lat='1' lon='2'><time/></trkpt>" + Trkpt(1, "")));
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points, SizeIs(2));
  EXPECT_EQ(read.skipped, 2);
  EXPECT_THAT(read.first_skipped, ElementsAre("file: point 2: has no time", "file: point 3: has no time"));
  read = Csv()("time,lat,lon\n,1,2\n2026-11-27T07:00:00Z,1,2\n");
  EXPECT_THAT(read.points, SizeIs(1));
  EXPECT_THAT(read.first_skipped, ElementsAre("file:2: has no time"));
  read = GeoJson()(Collection({Feature(kLine, R"({"coordTimes":["2026-11-27T07:00:00Z",null,"2026-11-27T07:00:10Z"]})"),
                               Feature(kPlace, "{}"), Feature(kLine, "{}")}));
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4", "van-7 2026-11-27T07:00:10Z 52.7,13.6"));
  EXPECT_EQ(read.skipped, 5);
}

TEST(TrackDialects, TheDigitsOfACountTellItsUnit) {
  auto time = [](const std::string& column, const std::string& text) {
    Understood read = Csv()(column + ",lat,lon\n" + text + ",1,2\n");
    return read.points.size() == 1 ? read.points[0].substr(6, read.points[0].rfind(' ') - 6) +
                                         (read.notes.empty() ? "" : " " + read.notes[0])
                                   : read.error;
  };
  EXPECT_EQ(time("timestamp", "1795762800"), "2026-11-27T07:00:00Z");
  EXPECT_EQ(time("timestamp", "1795762800000"), "2026-11-27T07:00:00Z");
  EXPECT_EQ(time("unix_ms", "1795762800250.5"), "2026-11-27T07:00:00.2505Z");
  EXPECT_EQ(time("timestampMs", "1795762800250"), "2026-11-27T07:00:00.25Z");
  EXPECT_EQ(time("epoch", "1795762800.25"), "2026-11-27T07:00:00.25Z");
  EXPECT_EQ(time("epoch", "\"1795762800,25\""), "2026-11-27T07:00:00.25Z");
  EXPECT_EQ(time("time_s", "1795762800000"),
            "2026-11-27T07:00:00Z times in time_s have the digits of another unit, and are taken in that (1)");
  EXPECT_EQ(time("time_ms", "1795762800"),
            "2026-11-27T07:00:00Z times in time_ms have the digits of another unit, and are taken in that (1)");
  EXPECT_EQ(time("time_s", "3"), "1970-01-01T00:00:03Z");
  EXPECT_THAT(time("time", "46353.29"), HasSubstr("looks like the days that spreadsheets count"));
  EXPECT_THAT(time("time", "463532"), HasSubstr("a name such as time_s or time_ms says the unit"));
}

TEST(TrackDialects, APointWithSeveralOfOneThingIsRefused) {
  const std::string twice = "<time>2026-11-27T07:00:01Z</time>";
  EXPECT_EQ(Gpx()(Track(Trkpt(0, twice))).error, "file: point 1: has 2 times");
  EXPECT_EQ(Gpx()(Track(Trkpt(0, "<speed>1</speed><speed>2</speed>"))).error, "file: point 1: has 2 speeds");
  EXPECT_EQ(Gpx()(Track(Trkpt(0, "<extensions><a><course>1</course><course>2</course></a></extensions>"))).error,
            "file: point 1: has 2 courses");
  Understood read = SkippingBad(Gpx())(Track(Trkpt(0, twice) + Trkpt(5, "")));
  EXPECT_THAT(read.points, SizeIs(1));
  EXPECT_EQ(read.skipped, 1);
  EXPECT_THAT(Gpx()(Track(Trkpt(0, "<speed>2</speed><extensions><a:b><a:speed>2</a:speed></a:b></extensions>"))).points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=2"))
      << "once here and once there is usual";
}

// ---- GeoJSON ----

TEST(TrackDialects, GeoJsonPointsAsTrackersWriteThem) {
  auto one = [](const std::string& properties) {
    Reading reading = GeoJson();
    reading.options.default_driver_id.clear();
    Understood read = reading(Feature(kPlace, properties));
    return read.points.size() == 1 ? read.points[0] : read.error + fmt::format("{}", fmt::join(read.first_skipped, ""));
  };
  EXPECT_EQ(one(R"({"driver_id":"v","timestamp":"2026-11-27T07:00:00Z"})"), "v 2026-11-27T07:00:00Z 52.5,13.4");
  EXPECT_EQ(one(R"({"driver_id":17,"when":1795762800})"), "17 2026-11-27T07:00:00Z 52.5,13.4");
  EXPECT_EQ(one(R"({"vehicle":"v","time":1795762800000})"), "v 2026-11-27T07:00:00Z 52.5,13.4");
  EXPECT_EQ(one(R"({"device_id":"v","timestamp":"2026-11-27T07:00:00Z","horizontal_accuracy":5,"vertical_accuracy":9,)"
                R"("speed":-1,"course":-1,"motion":["stationary"],"altitude":34})"),
            "v 2026-11-27T07:00:00Z 52.5,13.4 a=5");
  EXPECT_EQ(one(R"({"tid":"v7","tst":1795762800,"vel":36,"cog":90,"acc":0})"),
            "v7 2026-11-27T07:00:00Z 52.5,13.4 v=10 h=90");
  EXPECT_EQ(one(R"({"vehicleId":"v","datetime":"2026-11-27T07:00:00Z","speedKmh":"36"})"),
            "v 2026-11-27T07:00:00Z 52.5,13.4 v=10");
}

TEST(TrackDialects, GeoJsonLinesWithTheirTimesWhereverTheyStand) {
  const std::vector<std::string> points = {"van-7 2026-11-27T07:00:00Z 52.5,13.4",
                                           "van-7 2026-11-27T07:00:05Z 52.6,13.5",
                                           "van-7 2026-11-27T07:00:10Z 52.7,13.6"};
  for (
      const char* properties :
      {R"({"coordTimes":["2026-11-27T07:00:00Z","2026-11-27T07:00:05Z","2026-11-27T07:00:10Z"]})",
       R"({"coordTimes":[1795762800000,1795762805000,1795762810000]})",
       R"({"times":[1795762800,1795762805,1795762810],"time":"2026-11-27T07:00:00Z"})",
       R"({"timestamps":[1795762800,1795762805,1795762810]})", R"({"tst":[1795762800,1795762805,1795762810]})",
       R"({"linestringTimestamps":["2026-11-27T07:00:00Z","2026-11-27T07:00:05Z","2026-11-27T07:00:10Z"]})",
       R"({"coordinateProperties":{"times":["2026-11-27T07:00:00Z","2026-11-27T07:00:05Z","2026-11-27T07:00:10Z"]}})"}) {
    EXPECT_EQ(GeoJson()(Feature(kLine, properties)).points, points)
        << properties << GeoJson()(Feature(kLine, properties)).error;
  }
  for (
      const char* geometry :
      {R"({"type":"LineString","coordinates":[[13.4,52.5,0,1795762800],[13.5,52.6,0,1795762805],[13.6,52.7,0,1795762810]]})",
       R"({"type":"LineString","coordinates":[[13.4,52.5,1795762800000],[13.5,52.6,1795762805000],[13.6,52.7,1795762810000]]})",
       R"({"type":"MultiLineString","coordinates":[[[13.4,52.5,0,1795762800]],[[13.5,52.6,0,1795762805],[13.6,52.7,0,1795762810]]]})"}) {
    EXPECT_EQ(GeoJson()(Feature(geometry, "null")).points, points) << geometry;
    EXPECT_EQ(GeoJson()(geometry).points, points) << "without a feature";
  }
  const char* kLines = R"({"type":"MultiLineString","coordinates":[[[13.4,52.5]],[[13.5,52.6],[13.6,52.7]]]})";
  EXPECT_EQ(GeoJson()(Feature(kLines, R"({"coordTimes":[[1795762800],[1795762805,1795762810]]})")).points, points);
  EXPECT_EQ(GeoJson()(Feature(kLines, R"({"coordTimes":[1795762800,1795762805,1795762810]})")).points, points);
}

TEST(TrackDialects, WhatALineHasPointByPointIsRead) {
  Understood read = GeoJson()(Feature(
      kLine,
      R"({"driver_id":"v","coordinateProperties":{"times":["2026-11-27T07:00:00Z","2026-11-27T07:00:05Z",null],)"
      R"("speeds":[7.5,null,8],"courses":[91.2,-1,95],"w:accuracys":[4.5,null,null],"heart":[90,91,92]},"speed":3})"));
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points,
              ElementsAre("v 2026-11-27T07:00:00Z 52.5,13.4 v=7.5 h=91.2 a=4.5", "v 2026-11-27T07:00:05Z 52.6,13.5"));
  EXPECT_THAT(read.notes, Contains("not read: heart, speed"));
  read = GeoJson()(Feature(R"({"type":"MultiPoint","coordinates":[[13.4,52.5],[13.5,52.6]]})",
                           R"({"driver_id":"v","tst":[1795762800,1795762805],"acc":[4,5],"vel":[36]})"));
  EXPECT_THAT(read.points, ElementsAre("v 2026-11-27T07:00:00Z 52.5,13.4 a=4", "v 2026-11-27T07:00:05Z 52.6,13.5 a=5"));
  EXPECT_THAT(read.notes, Contains("vel whose number is not that of the coordinates are not read (1)"));
}

TEST(TrackDialects, TimesThatCannotBePairedLoseTheirLineAndAreCounted) {
  const std::string text =
      Collection({Feature(kLine, R"({"coordTimes":["2026-11-27T07:00:00Z","2026-11-27T07:00:10Z"]})"),
                  Feature(kPlace, R"({"time":"2026-11-27T07:00:00Z"})")});
  EXPECT_THAT(GeoJson()(text).error, HasSubstr("feature 1 has 3 coordinates and 2 coordTimes"));
  Understood read = SkippingBad(GeoJson())(text);
  EXPECT_THAT(read.points, SizeIs(1));
  EXPECT_EQ(read.skipped, 3);
}

TEST(TrackDialects, APointsNameIsNoDriver) {
  const std::string points =
      R"({"type":"FeatureCollection","features":[)"
      R"({"type":"Feature","geometry":{"type":"Point","coordinates":[13.4,52.5]},"properties":{"name":"1","time":"2026-11-27T07:00:00Z"}},)"
      R"({"type":"Feature","geometry":{"type":"Point","coordinates":[13.5,52.5]},"properties":{"name":"2","time":"2026-11-27T07:00:01Z"}}]})";
  EXPECT_THAT(GeoJson()(points).points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4", "van-7 2026-11-27T07:00:01Z 52.5,13.5"));
  Reading nobodys = GeoJson();
  nobodys.options.default_driver_id = "";
  EXPECT_THAT(nobodys(points).error, HasSubstr("names no driver; --driver says whose it is"));
}

TEST(TrackDialects, TimesThatAreRaggedAreAnErrorNotACrash) {
  Understood read =
      GeoJson()(R"({"type":"Feature","geometry":{"type":"MultiLineString","coordinates":[[[13,52]],[[13.1,52.1]]]},)"
                R"("properties":{"coordTimes":[["2026-11-27T07:00:00Z"],"2026-11-27T07:01:00Z"]}})");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52,13"));
  EXPECT_THAT(read.error, HasSubstr("so that none is known to belong to another"));
}

TEST(TrackDialects, WhatALineHasAsAWholeIsListedAsNotRead) {
  Understood read =
      GeoJson()(R"({"type":"Feature","geometry":{"type":"LineString","coordinates":[[13,52]]},)"
                R"("properties":{"coordTimes":["2026-11-27T07:00:00Z"],"name":"van-7","speed":7,"color":"red"}})");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52,13"));
  EXPECT_THAT(read.notes, ElementsAre("not read: color, speed"));
}

TEST(TrackDialects, RecordsAloneAreRead) {
  Understood plain = GeoJson()(R"([{"lat":52.5,"lon":13.4,"time":"2026-11-27T07:00:00Z","speed":3,"note":"x"}])");
  EXPECT_THAT(plain.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 v=3")) << plain.error;
  EXPECT_THAT(plain.notes, ElementsAre("not read: note"));
  Understood google = GeoJson()(
      R"({"locations":[{"latitudeE7":525000000,"longitudeE7":134000000,"timestampMs":"1795762800000","accuracy":12}]})");
  EXPECT_THAT(google.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4 a=12")) << google.error;
  EXPECT_THAT(GeoJson()(R"([{"latitude":52.5,"time":"2026-11-27T07:00:00Z"}])").error, HasSubstr("no track"));
}

// togeojson leaves out the list of times of a segment that has none.
TEST(TrackDialects, ALineNeverGetsTheTimesOfAnother) {
  const char* kTwo = R"({"type":"MultiLineString","coordinates":[[[13.4,51],[13.4,52]],[[13.4,53],[13.4,54]]]})";
  const std::string after = Feature(kPlace, R"({"time":"2026-11-27T07:00:00Z"})");
  for (const char* properties :
       {R"({"coordinateProperties":{"times":[["2026-11-27T10:00:03Z","2026-11-27T10:00:04Z"]]}})",
        R"({"coordTimes":[[1795762803,1795762804]]})", R"({"coordTimes":[1795762803,1795762804]})",
        R"({"coordTimes":[[1795762803,1795762804],[1795762803,1795762804],[1795762803,1795762804]]})",
        R"({"coordTimes":[null,[1795762803,1795762804],[1795762803,1795762804]]})", R"({"coordTimes":[]})"}) {
    const std::string text = Collection({Feature(kTwo, properties), after});
    Understood read = GeoJson()(text);
    EXPECT_THAT(read.points, IsEmpty()) << properties;
    EXPECT_THAT(read.error, HasSubstr("feature 1 has 2 lines of 4 coordinates and")) << properties;
    read = SkippingBad(GeoJson())(text);
    EXPECT_THAT(read.points, SizeIs(1)) << properties;
    EXPECT_EQ(read.skipped, 4) << properties;
  }
  // Where there are as many, a line whose own is no list of its length loses only itself.
  const char* kOnes = R"({"type":"MultiLineString","coordinates":[[[13.4,52.5]],[[13.5,52.6]]]})";
  for (const char* properties : {R"({"coordTimes":[null,[1795762805]]})", R"({"coordTimes":[1795762800,[1795762805]]})",
                                 R"({"coordTimes":[[],[1795762805]]})"}) {
    Understood read = SkippingBad(GeoJson())(Feature(kOnes, properties));
    EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:05Z 52.6,13.5")) << properties;
    EXPECT_EQ(read.skipped, 1) << properties;
  }
  // Where the file breaks off in it, nobody knows how many lines there were.
  const std::string feature = Feature(kTwo, R"({"coordTimes":[[1795762803,1795762804]]})");
  const std::string cut = feature.substr(0, feature.find(",[[13.4,53]"));
  EXPECT_THAT(SkippingBad(GeoJson())("{\"type\":\"FeatureCollection\",\"features\":[" + after + "," + cut).points,
              SizeIs(1));
}

TEST(TrackDialects, ALineNeverGetsTheSpeedsOfAnother) {
  const char* kTwo = R"({"type":"MultiLineString","coordinates":[[[13.4,51],[13.4,52]],[[13.4,53],[13.4,54]]]})";
  for (const char* speeds : {"[[1,2]]", "[1,2]", "[[1,2],[3,4],[5,6]]"}) {
    Understood read = GeoJson()(Feature(
        kTwo,
        fmt::format(R"({{"coordTimes":[[1795762800,1795762801],[1795762802,1795762803]],"speeds":{}}})", speeds)));
    EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 51,13.4", "van-7 2026-11-27T07:00:01Z 52,13.4",
                                         "van-7 2026-11-27T07:00:02Z 53,13.4", "van-7 2026-11-27T07:00:03Z 54,13.4"));
    EXPECT_THAT(read.notes, Contains("speeds whose number is not that of the coordinates are not read (1)"));
  }
}

TEST(TrackDialects, ListsOfLocationsAreRead) {
  const std::string feature = Feature(kPlace, R"({"timestamp":"2026-11-27T07:00:00Z","device_id":"v"})");
  EXPECT_THAT(GeoJson()("{\"locations\":[" + feature + "," + feature + "],\"current\":{}}").points, SizeIs(2));
  const std::string record =
      R"({"_type":"location","lat":52.5,"lon":13.4,"tst":1795762800,"acc":5,"vel":36,"cog":90,"tid":"v7"})";
  Understood read =
      GeoJson()("[" + record + R"(,{"_type":"lwt","tst":1},{"type":"Feature","geometry":null,"properties":{}}])");
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.points, SizeIs(1));
  EXPECT_THAT(read.notes, Contains("features without a place are not read (1)"));
  EXPECT_THAT(read.notes, Contains("records of type lwt without a place are not read (1)"));
  for (const std::string& text : {record, "[" + record + "]", "{\"count\":1,\"data\":[" + record + "]}"}) {
    EXPECT_THAT(GeoJson()(text).points, ElementsAre("v7 2026-11-27T07:00:00Z 52.5,13.4 v=10 h=90 a=5")) << text;
  }
}

TEST(TrackDialects, LongitudesThatGoOnBeyondTheDateLineAreBroughtBack) {
  Understood read =
      GeoJson()(Feature(R"({"type":"LineString","coordinates":[[179.95,-17.5],[180.05,-17.5],[183.2,-17.6],[-181,1]]})",
                        R"({"times":[1795762800,1795762801,1795762802,1795762803]})"));
  EXPECT_THAT(read.points,
              ElementsAre("van-7 2026-11-27T07:00:00Z -17.5,179.95", "van-7 2026-11-27T07:00:01Z -17.5,-179.95",
                          "van-7 2026-11-27T07:00:02Z -17.6,-176.8", "van-7 2026-11-27T07:00:03Z 1,179"));
  EXPECT_THAT(read.notes, ElementsAre("longitudes beyond 180 go once around: 183 is -177 (3)"));
}

// ---- separators, hemispheres ----

TEST(TrackDialects, AQuotedFieldMayGoOnForLines) {
  Understood read = Csv()(
      "time_s,lat,lon,note\n1795762800,52.5,13.4,\"a\r\n\"\"b\"\"\n\nc\"\n1795762801,52.5,13.4,d\nx,52.5,13.4,e\n");
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4", "van-7 2026-11-27T07:00:01Z 52.5,13.4"));
  EXPECT_THAT(read.error, HasSubstr("file:7: time_s")) << "lines are still counted";
  EXPECT_THAT(Csv()("\"note\n(yours)\",time_s,lat,lon\nx,1795762800,52.5,13.4\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
  EXPECT_THAT(Csv()("of my van\nid,time_s,lat,lon\nx,1795762800,52.5,13.4\n").error,
              HasSubstr("file:1: the first line names no column"));
  // A quote that nobody closes costs its own line only.
  Understood open = SkippingBad(Csv())(
      "time_s,lat,lon,note\n1795762800,52.5,13.4,\"a\n1795762801,52.5,13.4,b\n1795762802,52.5,13.4,\"c\n"
      "1795762803,52.5,13.4,\"d\"\n");
  EXPECT_THAT(open.points, ElementsAre("van-7 2026-11-27T07:00:01Z 52.5,13.4", "van-7 2026-11-27T07:00:03Z 52.5,13.4"));
  EXPECT_THAT(open.first_skipped,
              ElementsAre(HasSubstr("file:2: a quote does not end"), HasSubstr("file:4: a quote does not end")));
}

TEST(TrackDialects, WhetherTheDayOrTheMonthStandsFirstIsAsked) {
  const std::string american = "time,lat,lon\n11/27/2026 7:00:05 AM,52.5,13.4\n11/7/2026 12:30 PM,52.5,13.4\n";
  EXPECT_THAT(
      InZone(Csv(), "UTC")(american).error,
      HasSubstr("time: \"11/27/2026 7:00:05 AM\" may have the day or the month first; --date-order says which"));
  Reading mdy = InZone(Csv(), "UTC");
  mdy.options.date_order = DateOrder::kMonthDayYear;
  EXPECT_THAT(mdy(american).points,
              ElementsAre("van-7 2026-11-27T07:00:05Z 52.5,13.4", "van-7 2026-11-07T12:30:00Z 52.5,13.4"));
  Reading dmy = InZone(Csv(), "UTC");
  dmy.options.date_order = DateOrder::kDayMonthYear;
  EXPECT_THAT(dmy("time,lat,lon\n27/11/2026 07:00:05.5,52.5,13.4\n").points,
              ElementsAre("van-7 2026-11-27T07:00:05.5Z 52.5,13.4"));
  EXPECT_THAT(dmy("date,time,lat,lon\n7-11-2026,07:00:05+01:00,52.5,13.4\n").points,
              ElementsAre("van-7 2026-11-07T06:00:05Z 52.5,13.4"));
  EXPECT_THAT(dmy("date,time,lat,lon\n11/27/2026,07:00:05,52.5,13.4\n").error, HasSubstr("is no time"));
  EXPECT_THAT(dmy("date,time,lat,lon\n27/11/2026,13:00:05 PM,52.5,13.4\n").error, HasSubstr("is no time"));
}

TEST(TrackDialects, WhatIsNotReadSaysWhatItIsAndHowToConvertIt) {
  EXPECT_THAT(Csv()("$GPRMC,070000,A,5231.234,N,01324.500,E,0,0,271126,,*1B\n").error,
              HasSubstr("is NMEA, which is not read; gpsbabel makes GPX of it: "
                        "gpsbabel -i nmea -f FILE -o gpx -F day.gpx"));
  EXPECT_THAT(Csv()("!AIVDM,1,1,,A,13HOI:0P0000VOHLCnHQKwvL05Ip,0*23\n").error, HasSubstr("is AIS in NMEA"));
  const std::string kml = "<?xml version=\"1.0\"?>\n<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document/></kml>\n";
  EXPECT_THAT(Gpx()(kml).error, HasSubstr("is KML, which is not read; gpsbabel makes GPX of it: "
                                          "gpsbabel -i kml -f FILE -o gpx -F day.gpx"));
  EXPECT_THAT(Gpx()("<TrainingCenterDatabase/>").error, HasSubstr("gpsbabel -i gtrnctr"));
  EXPECT_THAT(std::string(TrackFormatOf("day.KML").status().message()), HasSubstr("is KML, which is not read"));
  EXPECT_THAT(std::string(TrackFormatOf("day.nmea.gz").status().message()), HasSubstr("gpsbabel -i nmea"));
  EXPECT_THAT(std::string(TrackFormatOf("day.xlsx").status().message()), HasSubstr("save it as CSV"));
  EXPECT_THAT(
      Csv()("time,lat,lon\n46353.2916666667,52.5,13.4\n").error,
      HasSubstr("time: \"46353.2916666667\" looks like the days that spreadsheets count; give the cells a format "
                "such as yyyy-mm-dd hh:mm:ss and save again"));
}

TEST(TrackDialects, SeparatorsAndDecimalCommas) {
  const std::vector<std::string> points = {"van-9 2026-11-27T07:00:00Z 52.5,13.4 v=7.5"};
  for (const char* text :
       {"sep=;\ndriver_id;recorded_at;lat;lng;speed\nvan-9;2026-11-27T07:00:00Z;52,5000;13,4000;7,5\n",
        "\"sep=;\"\ndriver_id;recorded_at;lat;lng;speed\nvan-9;2026-11-27T07:00:00Z;52,5000;13,4000;7,5\n",
        "driver_id;recorded_at;lat;lng;speed\nvan-9;2026-11-27T07:00:00Z;52,5000;13,4000;7,5\n",
        "driver_id;recorded_at;lat;lng;speed\r\nvan-9;2026-11-27T07:00:00Z;52.5000;13.4000;7.5\r\n",
        "\xef\xbb\xbf"
        "driver_id\trecorded_at\tlat\tlng\tspeed\nvan-9\t2026-11-27T07:00:00Z\t52.5\t13.4\t7.5\n",
        "driver_id|recorded_at|lat|lng|speed\nvan-9|2026-11-27T07:00:00Z|52.5|13.4|7.5\n",
        "driver_id,recorded_at,lat,lng,speed\nvan-9,2026-11-27T07:00:00Z,\"52,5\",\"13,4\",\"7,5\"\n",
        "# written by a logger\n#driver_id,recorded_at,lat,lng,speed\nvan-9,2026-11-27T07:00:00Z,52.5,13.4,7.5,\n"}) {
    Understood read = Csv()(text);
    EXPECT_EQ(read.points, points) << text << read.error;
  }
  EXPECT_THAT(Csv()("1.234,5;x\n").error, HasSubstr("names no column for lat, lng, recorded_at; it has: 1.234, 5;x"));
}

TEST(TrackDialects, HemispheresStandInTheValueOrBesideIt) {
  const std::string columbus =
      "INDEX,TAG,DATE,TIME,LATITUDE N/S,LONGITUDE E/W,HEIGHT,SPEED,HEADING\n"
      "1,T,261127,070000,52.500000N,013.400000W,34,36,271\n"
      "2,T,261127,070001,52.500000S,013.400000E,34,36,271\n";
  EXPECT_THAT(Csv()(columbus).error, HasSubstr("DATE and TIME: \"20261127 070000\" names no zone; --zone"));
  Understood read = InZone(Csv(), "UTC")(columbus);
  EXPECT_THAT(read.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,-13.4 v=10 h=271",
                                       "van-7 2026-11-27T07:00:01Z -52.5,13.4 v=10 h=271"))
      << read.error;
  EXPECT_THAT(read.notes, Contains(HasSubstr("speed is taken as km/h")));
  const std::string qstarz =
      "INDEX,RCR,DATE,TIME,VALID,LATITUDE,N/S,LONGITUDE,E/W,HEIGHT,SPEED,HEADING,\n"
      "1,T,2026/11/27,07:00:00,SPS,52.5,S,13.4,W,34 M,36 km/h,271,\n";
  EXPECT_THAT(InZone(Csv(), "UTC")(qstarz).points, ElementsAre("van-7 2026-11-27T07:00:00Z -52.5,-13.4 v=10 h=271"));
  EXPECT_THAT(Csv()("time_s,lat,lon\n1795762800,N 52.5,W13.4\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,-13.4"));
  EXPECT_THAT(Csv()("timestampMs,latitudeE7,longitudeE7\n1795762800000,525000000,134000000\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
}

TEST(TrackDialects, HemispheresMayBeWords) {
  auto read = [](const std::string& ns, const std::string& ew) {
    return Csv()("time_s,lat,NS,lon,EW\n1795762800,33.9," + ns + ",151.2," + ew + "\n");
  };
  EXPECT_THAT(read("South", "East").points, ElementsAre("van-7 2026-11-27T07:00:00Z -33.9,151.2"));
  EXPECT_THAT(read("sur", "W").points, ElementsAre("van-7 2026-11-27T07:00:00Z -33.9,-151.2"));
  EXPECT_THAT(read("NORD", "west").points, ElementsAre("van-7 2026-11-27T07:00:00Z 33.9,-151.2"));
  EXPECT_THAT(read("", "-").points, ElementsAre("van-7 2026-11-27T07:00:00Z 33.9,151.2"));
  // Ouest, Ost; sever is north.
  EXPECT_THAT(read("N", "O").error, HasSubstr("file:2: EW: \"O\" is neither east nor west"));
  EXPECT_THAT(read("sever", "E").error, HasSubstr("NS: \"sever\" is neither north nor south"));
  // Nanoseconds.
  Understood nanos = Csv()("time_s,ns,lat,lon\n1795762800,123456789,52.5,13.4\n");
  EXPECT_THAT(nanos.points, ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
  EXPECT_THAT(nanos.notes, ElementsAre("not read: ns"));
}

TEST(TrackDialects, DegreesMayHaveMinutesAndSeconds) {
  auto place = [](const std::string& lat, const std::string& lon) {
    Understood read = Csv()("time_s;lat;lon\n1795762800;" + lat + ";" + lon + "\n");
    return read.points.size() == 1 ? read.points[0].substr(27) : read.error;
  };
  EXPECT_EQ(place("52 31.234 N", "13 24.5 W"), "52.52057,-13.40833");
  EXPECT_EQ(place("52\xc2\xb0 31.234'",
                  "-13\xc2\xb0"
                  "24.5'"),
            "52.52057,-13.40833");
  EXPECT_EQ(place("52\xc2\xb0"
                  "31'14.04\"N",
                  "13 24 30"),
            "52.52057,13.40833");
  EXPECT_EQ(place("S 52 31,234", "013\xc2\xb0 24\xe2\x80\xb2 30\xe2\x80\xb3 E"), "-52.52057,13.40833");
  EXPECT_THAT(place("52 61.0", "13"), HasSubstr("latitude: \"52 61.0\" is not a number"));
  EXPECT_THAT(place("52 3 4 5", "13"), HasSubstr("is not a number"));
  EXPECT_THAT(place("52.5 3", "13"), HasSubstr("is not a number"));
  // What NMEA has, in a table.
  EXPECT_THAT(place("5231.2340N", "01324.5000E"),
              HasSubstr("latitude: \"5231.2340N\" has degrees and minutes in one number"));
}

// ---- what comes later ----

TEST(TrackDialects, ARolloverIsShiftedBack) {
  Reading reading = Csv();
  reading.options.later = absl::Hours(24 * 7) * 1024;
  EXPECT_THAT(reading("time,lat,lng\n2007-04-13T07:00:00Z,52.5,13.4\n").points,
              ElementsAre("van-7 2026-11-27T07:00:00Z 52.5,13.4"));
}

// ---- what converters made of a track, recorded (tests/tracks/data/README.md) ----

Understood File(const Reading& reading, const std::string& name) {
  std::ifstream in(WAYBILL_SOURCE_DIR "/tests/tracks/data/" + name, std::ios::binary);
  EXPECT_TRUE(in.good()) << name;
  return reading(std::string(std::istreambuf_iterator<char>(in), {}));
}

TEST(TrackConverters, WhatGpsbabelWritesIsRead) {
  const std::vector<std::string> points = {"van-7 2026-11-27T10:00:00.123Z 52.5,13.4 v=7.5 h=91.2 a=4.5",
                                           "van-7 2026-11-27T10:00:05Z 52.50005,-13.40003 v=8 h=95",
                                           "van-7 2026-11-27T10:00:10Z -52.5001,13.40006"};
  EXPECT_EQ(File(Gpx(), "source.gpx").points, points);
  EXPECT_EQ(File(Gpx(), "gpsbabel-1.0.gpx").points, points);
  EXPECT_EQ(File(InZone(Csv(), "UTC"), "gpsbabel-unicsv.csv").points, points);
  EXPECT_THAT(File(Csv(), "gpsbabel-unicsv.csv").error,
              HasSubstr("Date and Time: \"2026/11/27 10:00:00.123\" names no zone"));
  EXPECT_THAT(File(Gpx(), "gpsbabel-1.1.gpx").points,
              SizeIs(3));  // GPX 1.1 has no place for speeds, and it writes none
  EXPECT_EQ(File(GeoJson(), "gpsbabel.geojson").skipped, 3) << "it has no times";
}

TEST(TrackConverters, WhatTogeojsonMakesOfOurExportKeepsAllButTheDigits) {
  const std::vector<std::string> points = {"van-7 2026-11-27T10:00:00.123456Z 52.5,13.4 v=7.5 h=91.2 a=4.5",
                                           "van-7 2026-11-27T10:00:05Z 52.50005,13.40003 v=8 h=95",
                                           "van-7 2026-11-27T10:00:10Z 52.5001,13.40006"};
  EXPECT_EQ(File(Gpx(), "ours.gpx").points, points);
  EXPECT_EQ(File(GeoJson(), "togeojson.geojson").points, points);
}

TEST(TrackConverters, WhatTogpxMixesUpIsRefused) {
  EXPECT_THAT(File(Gpx(), "togpx-line.gpx").points, SizeIs(2));
  EXPECT_EQ(File(Gpx(), "togpx.gpx").skipped, 3) << "it knows no coordinateProperties";
  EXPECT_EQ(File(Gpx(), "togpx-lines.gpx").error, "file: point 1: has 2 times");
  EXPECT_EQ(File(SkippingBad(Gpx()), "togpx-lines.gpx").skipped, 4);
}

}  // namespace
}  // namespace waybill::tracks
