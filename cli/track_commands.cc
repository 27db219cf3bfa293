// waybill track generate | replay | export
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/position.h"
#include "cli/remote.h"
#include "cli/replay.h"
#include "cli/values.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "services/process/flags.h"
#include "tracks/city_fleet.h"
#include "tracks/track_file.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace location_v1 = waybill::location::v1;
using Locations = location_v1::LocationService::StubInterface;

std::string Points(int64_t count) { return fmt::format("{} point{}", count, count == 1 ? "" : "s"); }

struct GenerateArgs {
  std::string file = "-";
  uint64_t seed = 1;
  int drivers = 50;
  double minutes = 60;
  std::string interval = "5s";
  std::string centre;
  std::string start;
  double radius_m = tracks::CityFleetOptions().radius_m;
  double resends = 0;
  double bad = 0;
  bool clean = false;
};

absl::StatusOr<tracks::CityFleetOptions> ToOptions(const GenerateArgs& args, absl::Time now) {
  tracks::CityFleetOptions options;
  options.seed = args.seed;
  options.drivers = args.drivers;
  options.length = absl::Milliseconds(1) * static_cast<int64_t>(args.minutes * 60'000);
  options.radius_m = args.radius_m;
  options.resends_per_fix = args.resends / 1000;
  options.bad_per_fix = args.bad / 1000;
  if (args.clean) options.jumps_per_fix = options.gaps_per_hour = options.spells_per_hour = 0;
  absl::StatusOr<absl::Duration> interval = ForOption("--interval", ParseDuration(args.interval));
  if (!interval.ok()) return interval.status();
  if (*interval < absl::Milliseconds(10)) return absl::InvalidArgumentError("--interval has to be at least 10ms");
  options.interval = *interval;
  if (!args.centre.empty()) {
    absl::StatusOr<domain::GeoPoint> centre = ForOption("--centre", ParsePoint(args.centre));
    if (!centre.ok()) return centre.status();
    if (std::abs(centre->latitude) > 80) {
      return absl::InvalidArgumentError("--centre has to lie within 80 degrees of the equator");
    }
    options.centre = *centre;
  }
  if (!args.start.empty()) {
    absl::StatusOr<absl::Time> start = ForOption("--start", ParseMoment(args.start, now));
    if (!start.ok()) return start.status();
    options.start = *start;
  }
  return options;
}

// In the order in which they are delivered; for GPX driver by driver, since every change of the driver is a new trk.
absl::Status WriteFleet(tracks::CityFleet& fleet, const std::string& file, tracks::TrackWriter& writer) {
  absl::StatusOr<tracks::TrackFormat> format = tracks::TrackFormatOf(file);
  std::vector<domain::DriverPosition> grouped;
  while (std::optional<tracks::Delivery> delivery = fleet.Next()) {
    if (format.ok() && *format == tracks::TrackFormat::kGpx) {
      grouped.push_back(std::move(delivery->position));
      continue;
    }
    absl::Status status = writer.Write(delivery->position);
    if (!status.ok()) return status;
  }
  std::stable_sort(grouped.begin(), grouped.end(),
                   [](const auto& a, const auto& b) { return a.driver_id < b.driver_id; });
  for (const domain::DriverPosition& position : grouped) {
    absl::Status status = writer.Write(position);
    if (!status.ok()) return status;
  }
  return writer.Close();
}

ExitCode Generate(const Context& context, const GenerateArgs& args) {
  absl::StatusOr<tracks::CityFleetOptions> options = ToOptions(args, context.clock.Now());
  if (!options.ok()) return context.Fail(options.status());
  auto writer = tracks::TrackWriter::Create(args.file);
  if (!writer.ok()) return context.Fail(writer.status());
  tracks::CityFleet fleet(*options);
  absl::Status status = WriteFleet(fleet, args.file, **writer);
  if (!status.ok()) return context.Fail(status);
  const tracks::CityFleetTruth& truth = fleet.truth();
  if (context.json) {
    std::string line = nlohmann::ordered_json{{"points", truth.points},
                                              {"duplicates", truth.duplicates},
                                              {"bad_coordinate", truth.bad_coordinate},
                                              {"zero_coordinate", truth.zero_coordinate},
                                              {"future", truth.future},
                                              {"jumps", truth.jumps},
                                              {"gaps", truth.gaps},
                                              {"late_bursts", truth.late_bursts},
                                              {"late_points", truth.late_points}}
                           .dump();
    if (args.file == "-") {
      context.Note(line);
    } else {
      context.PrintLine(line);
    }
    return ExitCode::kOk;
  }
  context.Note(
      fmt::format("{} of {} driver{}: {} jumps, {} gaps, {} offline spells; on top {} duplicates and {} bad points",
                  Points(truth.points), args.drivers, args.drivers == 1 ? "" : "s", truth.jumps, truth.gaps,
                  truth.late_bursts, truth.duplicates, truth.bad()));
  return ExitCode::kOk;
}

struct ReplayArgs {
  std::string file;
  std::string format;
  std::string speed = "max";
  int batch = 50;
  std::string driver;
  bool driver_always = false;
  std::string zone;
  std::string date_order;
  std::string speed_unit;
  std::string hdop;
  bool waypoints = false;
  int shift_weeks = 0;
  bool shift_to_now = false;
  bool skip_bad = false;
  bool resume = false;
  std::string state;
};

absl::StatusOr<tracks::TrackReadOptions> ReadOptionsOf(const ReplayArgs& args) {
  tracks::TrackReadOptions options;
  options.default_driver_id = args.driver;
  options.driver_always = args.driver_always;
  options.skip_bad = args.skip_bad;
  options.waypoints = args.waypoints;
  options.later = absl::Hours(24 * 7) * args.shift_weeks;
  if (!args.format.empty()) options.format = *tracks::ParseTrackFormat(args.format);
  if (!args.zone.empty()) {
    absl::StatusOr<absl::TimeZone> zone = tracks::ParseZone(args.zone);
    if (!zone.ok()) return zone.status();
    options.zone = *zone;
  }
  if (args.date_order == "dmy") options.date_order = tracks::DateOrder::kDayMonthYear;
  if (args.date_order == "mdy") options.date_order = tracks::DateOrder::kMonthDayYear;
  if (args.speed_unit == "mps") options.speed_unit_mps = 1;
  if (args.speed_unit == "kmh") options.speed_unit_mps = 1 / 3.6;
  if (args.speed_unit == "mph") options.speed_unit_mps = 1609.344 / 3600;
  if (args.speed_unit == "knots") options.speed_unit_mps = 1852.0 / 3600;
  if (args.hdop == "dilution") options.hdop = tracks::HdopUse::kDilution;
  if (args.hdop == "metres") options.hdop = tracks::HdopUse::kMetres;
  if (args.hdop == "none") options.hdop = tracks::HdopUse::kNone;
  return options;
}

// When the recording begins, and when it ends, by its own times. What claims to be from the future does not count.
absl::StatusOr<RecordingSpan::Span> SpanOf(const ReplayArgs& args, const tracks::TrackReadOptions& read,
                                           absl::Time now) {
  auto reader = tracks::TrackReader::Open(args.file, read);
  if (!reader.ok()) return reader.status();
  RecordingSpan span;
  while (true) {
    auto point = (*reader)->Next();
    if (!point.ok()) return point.status();
    if (!*point) break;
    if ((*point)->recorded_at <= now) span.Add((*point)->recorded_at);
  }
  return span.Find().value_or(RecordingSpan::Span{now, now});
}

// Passes what an earlier run has behind it, and makes sure that it is still the same file.
absl::Status SkipDone(tracks::TrackReader& reader, const ReplayState& state) {
  for (int64_t i = 1; i <= state.points; ++i) {
    auto point = reader.Next();
    if (!point.ok()) return point.status();
    bool same =
        point->has_value() &&
        (i < state.points || ((*point)->driver_id == state.driver_id && (*point)->recorded_at == state.recorded_at));
    if (!same) {
      return absl::FailedPreconditionError(
          fmt::format("the file is not the one whose replay was interrupted: point {} is another", state.points));
    }
  }
  return absl::OkStatus();
}

// Where to begin, and what becomes of the times.
absl::StatusOr<ReplayOptions> PlanReplay(const Context& context, const ReplayArgs& args,
                                         const tracks::TrackReadOptions& read, tracks::TrackReader& reader) {
  ReplayOptions options;
  options.batch = args.batch;
  absl::StatusOr<double> pace = ParsePace(args.speed);
  if (!pace.ok()) return pace.status();
  options.pace = *pace;
  options.state_path = args.state.empty() && args.resume ? args.file + ".waybill-replay" : args.state;
  if (args.file == "-" && (!options.state_path.empty() || args.shift_to_now)) {
    return absl::InvalidArgumentError("standard input can only be read once: no --resume, --state or --shift-to-now");
  }
  if (!options.state_path.empty()) {
    absl::StatusOr<std::optional<ReplayState>> state = LoadReplayState(options.state_path);
    if (!state.ok()) return state.status();
    if (*state) {
      absl::Status skipped = SkipDone(reader, **state);
      if (!skipped.ok()) return skipped;
      options.done = (*state)->points;
      options.shift = (*state)->shift;
      if (!context.json) context.Note(fmt::format("going on behind {}", Points(options.done)));
      return options;
    }
  }
  if (args.shift_to_now) {
    absl::Time now = context.clock.Now();
    absl::StatusOr<RecordingSpan::Span> span = SpanOf(args, read, now);
    if (!span.ok()) return span.status();
    if (span->outside > 0 && !context.json) {
      context.Note(fmt::format("note: points more than 30 days apart from the others do not count for the shift ({})",
                               span->outside));
    }
    // At a pace the recording begins now, and stays with the clock. All at once it ends now: nothing is ahead of it.
    options.shift = *pace > 0 ? TimeShift{span->first, now, *pace} : TimeShift{span->last, now, 1};
  }
  return options;
}

// What people should know of how the file was understood, and of what the service made of it.
std::vector<std::string> NotesOf(const Context& context, const ReplayReport& report, const ReplayOptions& options,
                                 const tracks::TrackReader& reader) {
  std::vector<std::string> notes = reader.notes();
  if (report.jumps > 0) {
    notes.push_back(
        fmt::format("jumps of the recorded time by more than 30 days are not waited for ({}, by {} at most)",
                    report.jumps, ShowDuration(report.longest_jump)));
  }
  auto older = report.first_rejected.find("OLDER_THAN_RETENTION");
  if (older == report.first_rejected.end() || older->second.empty() || report.durable > 0 || options.shift)
    return notes;
  // A receiver that took its week counter's beginning for another one is off by exactly as much for good.
  for (int weeks : {1024, 2048}) {
    absl::Time meant = older->second[0].recorded_at + absl::Hours(24 * 7) * weeks;
    if (meant > context.clock.Now() || context.clock.Now() - meant > absl::Hours(24 * 366)) continue;
    notes.push_back(
        fmt::format("{} is {} weeks before {}, as of a receiver whose week counter went around; "
                    "--shift-weeks {} puts it right",
                    ShowTime(older->second[0].recorded_at), weeks, ShowTime(meant), weeks));
  }
  return notes;
}

nlohmann::ordered_json ReportJson(const ReplayReport& report, const ReplayOptions& options,
                                  const tracks::TrackReader& reader, const std::vector<std::string>& notes,
                                  bool complete) {
  nlohmann::ordered_json json{{"complete", complete},
                              {"resumed_behind", options.done},
                              {"read", report.read},
                              {"durable", report.durable},
                              {"rejected", nlohmann::ordered_json::object()},
                              {"first_rejected", nlohmann::ordered_json::array()},
                              {"skipped", reader.skipped()},
                              {"first_skipped", reader.first_skipped()},
                              {"notes", notes},
                              {"broken_connections", report.reconnects},
                              {"resent", report.resent},
                              {"took_ms", absl::ToInt64Milliseconds(report.took)}};
  for (const auto& [reason, count] : report.rejected) json["rejected"][reason] = count;
  for (const auto& [reason, first] : report.first_rejected) {
    for (const ReplayRejection& point : first) {
      json["first_rejected"].push_back({{"reason", reason},
                                        {"point", point.number},
                                        {"driver_id", point.driver_id},
                                        {"recorded_time", ShowTime(point.recorded_at)},
                                        {"field", point.field},
                                        {"detail", point.detail}});
    }
  }
  return json;
}

int64_t Rejected(const ReplayReport& report) {
  int64_t rejected = 0;
  for (const auto& [reason, count] : report.rejected) rejected += count;
  return rejected;
}

void PrintReport(const Context& context, const ReplayReport& report, const ReplayOptions& options,
                 const tracks::TrackReader& reader, bool complete) {
  const std::vector<std::string> notes = NotesOf(context, report, options, reader);
  if (context.json) {
    context.PrintLine(ReportJson(report, options, reader, notes, complete)
                          .dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return;
  }
  for (const std::string& note : notes) context.Note(Printable("note: " + note));
  const int64_t rejected = Rejected(report);
  double rate = static_cast<double>(report.durable + rejected) / std::max(0.001, absl::ToDoubleSeconds(report.took));
  context.PrintLine(fmt::format("{} read, {} stored, {} rejected, {} skipped in {}: {:.0f}/s", Points(report.read),
                                report.durable, rejected, reader.skipped(), ShowDuration(report.took), rate));
  if (report.resent > 0) {
    context.PrintLine(fmt::format("{} sent again after {} broken connection{}", Points(report.resent),
                                  report.reconnects, report.reconnects == 1 ? "" : "s"));
  }
  for (const auto& [reason, first] : report.first_rejected) {
    context.PrintLine(fmt::format("rejected {} for {}", Points(report.rejected.at(reason)), reason));
    for (const ReplayRejection& point : first) {
      std::string field = point.field.empty() ? "" : point.field + " ";
      context.PrintLine(Printable(fmt::format("  point {}: {} at {}: {}{}", point.number, point.driver_id,
                                              ShowTime(point.recorded_at), field, point.detail)));
    }
  }
  for (const std::string& skipped : reader.first_skipped()) context.PrintLine(Printable("skipped " + skipped));
}

// The file gave not one point.
absl::Status NothingRead(const std::string& file, const tracks::TrackReader& reader) {
  if (!reader.besides().empty()) {
    return absl::InvalidArgumentError(fmt::format(
        "{} has no track points; it has {}; --waypoints takes those that have a time", file, reader.besides()));
  }
  if (reader.skipped() > 0) {
    return absl::InvalidArgumentError(
        fmt::format("{}: none of its {} could be read: {}", file, Points(reader.skipped()), reader.first_skipped()[0]));
  }
  return absl::InvalidArgumentError(fmt::format("{} has no points", file));
}

ExitCode RunReplay(const Context& context, const ReplayArgs& args) {
  absl::StatusOr<tracks::TrackReadOptions> read = ReadOptionsOf(args);
  if (!read.ok()) return context.Fail(read.status());
  auto reader = tracks::TrackReader::Open(args.file, *read);
  if (!reader.ok()) return context.Fail(reader.status());
  absl::StatusOr<ReplayOptions> options = PlanReplay(context, args, *read, **reader);
  if (!options.ok()) return context.Fail(options.status());
  Replay replay(context, **reader, *options);
  absl::Status status = replay.Run();
  const ReplayReport& report = replay.report();
  bool complete = status.ok() && !report.interrupted;
  PrintReport(context, report, *options, **reader, complete);
  if (absl::IsInvalidArgument(status) && status.message().find("--") == absl::string_view::npos) {
    return context.Fail(status, "--skip-bad counts what is no point and goes on");
  }
  if (!status.ok()) return FailIngest(context, status);
  if (!complete) {
    context.Note(options->state_path.empty() ? "interrupted" : "interrupted; the same command goes on from here");
    return ExitCode::kFailed;
  }
  std::error_code ignored;
  if (!options->state_path.empty()) std::filesystem::remove(options->state_path, ignored);
  if (report.read == 0 && options->done == 0) return context.Fail(NothingRead(args.file, **reader));
  return Rejected(report) + (*reader)->skipped() > 0 ? ExitCode::kPartly : ExitCode::kOk;
}

struct ExportArgs {
  std::string driver;
  std::string from;
  std::string to;
  std::string format;
  std::string out = "-";
  std::string min_interval;
  double min_distance_m = 0;
};

absl::StatusOr<location_v1::GetTrackRequest> ToRequest(const ExportArgs& args, absl::Time now) {
  location_v1::GetTrackRequest request;
  request.set_driver_id(args.driver);
  if (!args.from.empty()) {
    absl::StatusOr<absl::Time> from = ForOption("--from", ParseMoment(args.from, now));
    if (!from.ok()) return from.status();
    *request.mutable_start_time() = FromTime(*from);
  }
  // Fixed here: from page to page the range has to stay what it was.
  absl::StatusOr<absl::Time> to = args.to.empty() ? now : ForOption("--to", ParseMoment(args.to, now));
  if (!to.ok()) return to.status();
  *request.mutable_end_time() = FromTime(*to);
  if (!args.min_interval.empty()) {
    absl::StatusOr<absl::Duration> interval = ForOption("--min-interval", ParseDuration(args.min_interval));
    if (!interval.ok()) return interval.status();
    request.mutable_min_interval()->set_seconds(absl::ToInt64Seconds(*interval));
    request.mutable_min_interval()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(*interval % absl::Seconds(1))));
  }
  request.set_min_distance_m(args.min_distance_m);
  request.set_page_size(5'000);
  return request;
}

ExitCode Export(const Context& context, const ExportArgs& args) {
  absl::StatusOr<location_v1::GetTrackRequest> request = ToRequest(args, context.clock.Now());
  if (!request.ok()) return context.Fail(request.status());
  std::optional<tracks::TrackFormat> format;
  if (!args.format.empty()) format = *tracks::ParseTrackFormat(args.format);
  std::unique_ptr<tracks::TrackWriter> writer;
  int64_t points = 0;
  do {
    absl::StatusOr<location_v1::GetTrackResponse> page =
        Call<location_v1::LocationService>(context, context.ingest, &Locations::GetTrack, *request);
    if (!page.ok()) return FailIngest(context, page.status());
    if (!writer) {  // not before the first answer: a mistake in the request leaves the old file as it was
      auto created = tracks::TrackWriter::Create(args.out, format);
      if (!created.ok()) return context.Fail(created.status());
      writer = *std::move(created);
    }
    for (const location_v1::Point& point : page->points()) {
      absl::Status written = writer->Write(ToPosition(point));
      if (!written.ok()) return context.Fail(written);
      ++points;
    }
    request->set_page_token(page->next_page_token());
  } while (!request->page_token().empty());
  absl::Status closed = writer->Close();
  if (!closed.ok()) return context.Fail(closed);
  if (context.json && args.out != "-") {
    context.PrintLine(
        nlohmann::ordered_json{{"driver_id", args.driver}, {"points", points}, {"file", args.out}}.dump());
  } else if (points == 0) {
    context.Note("no points in that time");
  } else if (args.out != "-") {
    context.Note(fmt::format("{} to {}", Points(points), args.out));
  }
  return ExitCode::kOk;
}

void AddGenerate(CLI::App& group, Context& context) {
  auto args = std::make_shared<GenerateArgs>();
  CLI::App* command = group.add_subcommand("generate", "Write the tracks of a fleet in a city that a seed makes up");
  command->add_option("file", args->file, ".csv, .gpx or .geojson, also with .gz; without one, CSV to standard output")
      ->type_name("FILE");
  process::AddInteger(*command, "--seed", args->seed, "The same seed gives the same fleet")
      ->capture_default_str()
      ->type_name("N");
  process::AddInteger(*command, "--drivers", args->drivers, "How many")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--minutes", args->minutes, "How long they drive")
      ->check(process::NumberBetween(0.0, 1e7))
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--interval", args->interval, "Between two points of a driver")
      ->capture_default_str()
      ->type_name("DURATION");
  command->add_option("--centre", args->centre, "Of the city (default: Alexanderplatz, Berlin)")->type_name("LAT,LONG");
  command->add_option("--radius-m", args->radius_m, "Of the city")
      ->check(process::NumberBetween(1.0, 200'000.0))
      ->capture_default_str()
      ->type_name("M");
  command->add_option("--start", args->start, "When they begin (default: 2026-01-01)")->type_name("TIME");
  command->add_option("--resends", args->resends, "How often in 1,000 points the last few come again")
      ->check(process::NumberBetween(0.0, 1000.0))
      ->type_name("N");
  command->add_option("--bad", args->bad, "How many in 1,000 points are followed by one that has to be rejected")
      ->check(process::NumberBetween(0.0, 1000.0))
      ->type_name("N");
  command->add_flag("--clean", args->clean, "No jumps, no gaps, nobody offline");
  command->footer(
      "Examples:\n"
      "  waybill track generate day.csv.gz --drivers 200 --minutes 1440\n"
      "  waybill track generate --seed 7 --start 1h --resends 10 --bad 5 | waybill track replay -\n"
      "\n"
      "CSV and GeoJSON hold the points in the order in which a service would get them, offline spells late and in one\n"
      "go; GPX holds them driver by driver. TIME is an RFC 3339 time, a date, or how long ago.");
  command->callback([&context, args] { context.run = [&context, args] { return Generate(context, *args); }; });
}

void AddReplay(CLI::App& group, Context& context) {
  auto args = std::make_shared<ReplayArgs>();
  CLI::App* command = group.add_subcommand("replay", "Send the points of a track file to the ingest service");
  command->add_option("file", args->file, ".csv, .gpx or .geojson, also with .gz; - reads stdin")
      ->required()
      ->type_name("FILE");
  command->add_option("--format", args->format, "What the file is, where its name does not say")
      ->check(CLI::IsMember({"csv", "gpx", "geojson"}));
  command->add_option("--speed", args->speed, "real: as it was recorded; N times as fast; max: as the service takes it")
      ->capture_default_str()
      ->type_name("real|N|max");
  process::AddInteger(*command, "--batch", args->batch, "Points in one message, at most")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str()
      ->type_name("N");
  auto* driver = command->add_option("--driver", args->driver, "Whose points they are, where the file does not say")
                     ->type_name("ID");
  command->add_flag("--driver-always", args->driver_always, "Whose they are, whatever the file says")->needs(driver);
  command->add_option("--zone", args->zone, "Of times that name none: UTC, +01:00, Europe/Berlin (default in GPX: UTC)")
      ->type_name("ZONE");
  command->add_option("--date-order", args->date_order, "Of dates such as 11/12/2026: the day or the month first")
      ->check(CLI::IsMember({"dmy", "mdy"}));
  command->add_option("--speed-unit", args->speed_unit, "Of speeds whose name says none (default: mps)")
      ->check(CLI::IsMember({"mps", "kmh", "mph", "knots"}));
  command
      ->add_option("--hdop", args->hdop, "What hdop is, where no accuracy is known (default: as far as it is certain)")
      ->check(CLI::IsMember({"dilution", "metres", "none"}));
  command->add_flag("--waypoints", args->waypoints, "GPX: take route points and waypoints as well");
  process::AddInteger(*command, "--shift-weeks", args->shift_weeks,
                      "Weeks to add to every time; 1024 mends a GPS week rollover")
      ->check(CLI::Range(-4096, 4096))
      ->type_name("N");
  command->add_flag("--shift-to-now", args->shift_to_now,
                    "As if it happened now: begins now with --speed real or N, ends now with max");
  command->add_flag("--skip-bad", args->skip_bad, "Count what is no point in the file and go on, instead of stopping");
  command->add_flag("--resume", args->resume, "Keep in FILE.waybill-replay where it is, and go on from there");
  command->add_option("--state", args->state, "The same in a file of another name")->type_name("PATH");
  command->footer(
      "Examples:\n"
      "  waybill track replay day.csv.gz --resume\n"
      "  waybill track replay tour.gpx --driver van-7 --speed 10 --shift-to-now\n"
      "  waybill track replay day.csv --skip-bad --json | jq .rejected\n"
      "\n"
      "A broken connection is made again, --retries times in a row, and goes on behind the last ack. What is sent "
      "twice\n"
      "is stored once. With --resume (or --state) a replay that was interrupted goes on behind the last ack as well;\n"
      "the file that says where is removed at the end.\n"
      "\n"
      "What common loggers, phones and converters write is read (docs/tracks.md has the dialects); how a file was\n"
      "understood where it is not clear is told in notes. Points that are rejected or skipped are told, and the exit\n"
      "code is 7. A file without a point is an error. At a pace, a gap of more than 30 days is not waited for.");
  command->callback([&context, args] { context.run = [&context, args] { return RunReplay(context, *args); }; });
}

void AddExport(CLI::App& group, Context& context) {
  auto args = std::make_shared<ExportArgs>();
  CLI::App* command = group.add_subcommand("export", "Write a driver's history as a track file");
  command->add_option("driver", args->driver, "Whose")->required()->type_name("DRIVER");
  command->add_option("--from", args->from, "Recorded then or later (default: a day before --to)")->type_name("TIME");
  command->add_option("--to", args->to, "Recorded before then (default: now)")->type_name("TIME");
  command->add_option("--format", args->format, "Default: from the name of --out; csv on standard output")
      ->check(CLI::IsMember({"csv", "gpx", "geojson"}));
  command->add_option("--out", args->out, "Where to (default: standard output); compressed when it ends in .gz")
      ->type_name("FILE");
  auto* interval = command->add_option("--min-interval", args->min_interval, "Thinned out: points so far apart in time")
                       ->type_name("DURATION");
  auto* distance = command->add_option("--min-distance", args->min_distance_m, "Thinned out: points so far apart")
                       ->check(CLI::NonNegativeNumber)
                       ->type_name("M");
  interval->excludes(distance);
  command->footer(
      "Examples:\n"
      "  waybill track export driver-7 --from 2h --out driver-7.gpx\n"
      "  waybill track export driver-7 --from 2026-01-01 --to 2026-01-02 --format geojson --min-distance 25\n"
      "\n"
      "TIME is an RFC 3339 time, a date, or how long ago. Thinned out, the first and the last point are kept.");
  command->callback([&context, args] { context.run = [&context, args] { return Export(context, *args); }; });
}

}  // namespace

void AddTrackCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("track", "Generate, replay and export drivers' tracks");
  group->require_subcommand(1);
  group->footer("`waybill track COMMAND --help` explains each command with examples.");
  AddGenerate(*group, context);
  AddReplay(*group, context);
  AddExport(*group, context);
}

}  // namespace waybill::cli
