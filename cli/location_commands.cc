// waybill driver get | near | watch: where drivers are, as the ingest service knows it.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/position.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "services/process/flags.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace location_v1 = waybill::location::v1;
using Locations = location_v1::LocationService::StubInterface;

std::string ShowPlace(const location_v1::Point& point) { return ShowPoint({point.latitude(), point.longitude()}); }

ExitCode GetPositions(const Context& context, const std::vector<std::string>& drivers) {
  constexpr size_t kDriversMax = 500;  // of one call
  Table table({{"driver", Column::Align::kLeft, Column::Overflow::kCut},
               {"position"},
               {"age", Column::Align::kRight},
               {"heading", Column::Align::kRight},
               {"speed", Column::Align::kRight},
               {"from"},
               {"marks"}});
  std::vector<std::string> missing;
  for (size_t at = 0; at < drivers.size(); at += kDriversMax) {
    location_v1::BatchGetDriversRequest request;
    for (size_t i = at; i < std::min(at + kDriversMax, drivers.size()); ++i) request.add_driver_ids(drivers[i]);
    absl::StatusOr<location_v1::BatchGetDriversResponse> response =
        Call<location_v1::LocationService>(context, context.ingest, &Locations::BatchGetDrivers, request);
    if (!response.ok()) return FailIngest(context, response.status());
    std::map<std::string, bool> found;
    for (const location_v1::DriverLocation& driver : response->drivers()) {
      const location_v1::Point& point = driver.point();
      found[point.driver_id()] = true;
      if (context.json) {
        context.PrintLine(ToJson(driver));
        continue;
      }
      bool fresh = driver.source() == location_v1::DriverLocation::HOT_VIEW;
      table.Add({point.driver_id(), ShowPlace(point), ShowDuration(ToDuration(driver.age())), ShowHeading(point),
                 ShowSpeed(point), Cell(fresh ? "hot view" : "history", fresh ? Style::kGood : Style::kWaiting),
                 ShowMarks(point)});
    }
    for (const std::string& driver : request.driver_ids()) {
      if (found.count(driver) == 0) missing.push_back(driver);
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  for (const std::string& driver : missing) context.Note(fmt::format("no position of {} is known", driver));
  return missing.empty() ? ExitCode::kOk : ExitCode::kNotFound;
}

struct NearArgs {
  std::string point;
  double radius_m = 5'000;
  int limit = 20;
};

ExitCode Near(const Context& context, const NearArgs& args) {
  absl::StatusOr<domain::GeoPoint> point = ParsePoint(args.point);
  if (!point.ok()) return context.Fail(point.status());
  location_v1::NearbyDriversRequest request;
  request.set_latitude(point->latitude);
  request.set_longitude(point->longitude);
  request.set_radius_m(args.radius_m);
  request.set_limit(args.limit);
  absl::StatusOr<location_v1::NearbyDriversResponse> response =
      Call<location_v1::LocationService>(context, context.ingest, &Locations::NearbyDrivers, request);
  if (!response.ok()) return FailIngest(context, response.status());
  Table table({{"driver", Column::Align::kLeft, Column::Overflow::kCut},
               {"distance", Column::Align::kRight},
               {"age", Column::Align::kRight},
               {"position"},
               {"heading", Column::Align::kRight},
               {"speed", Column::Align::kRight}});
  for (const location_v1::NearbyDriver& driver : response->drivers()) {
    if (context.json) {
      context.PrintLine(ToJson(driver));
      continue;
    }
    table.Add({driver.point().driver_id(), fmt::format("{:.0f} m", driver.distance_m()),
               ShowDuration(ToDuration(driver.age())), ShowPlace(driver.point()), ShowHeading(driver.point()),
               ShowSpeed(driver.point())});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (response->drivers().empty()) context.Note("no driver with a fresh position is that near");
  if (response->stale()) context.Note("the hot view is behind: drivers may be missing, or have moved on");
  return ExitCode::kOk;
}

struct WatchPositionsArgs {
  std::vector<std::string> drivers;
  std::string area;
  std::string resume_after;
};

// "52.3,13.0,52.7,13.8"
absl::StatusOr<location_v1::BoundingBox> ParseArea(const std::string& text) {
  location_v1::BoundingBox box;
  size_t half = text.find(',');
  half = half == std::string::npos ? half : text.find(',', half + 1);
  if (half != std::string::npos) {
    absl::StatusOr<domain::GeoPoint> south_west = ParsePoint(text.substr(0, half));
    absl::StatusOr<domain::GeoPoint> north_east = ParsePoint(text.substr(half + 1));
    if (south_west.ok() && north_east.ok() && south_west->latitude <= north_east->latitude) {
      box.set_south(south_west->latitude);
      box.set_west(south_west->longitude);
      box.set_north(north_east->latitude);
      box.set_east(north_east->longitude);
      return box;
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("\"{}\" is not an area (south, west, north, east); write it like 52.3,13.0,52.7,13.8", text));
}

// Follows the fleet over as many streams as it takes, each from where the last one had got to.
class PositionWatcher {
 public:
  PositionWatcher(const Context& context, location_v1::WatchLocationsRequest request)
      : context_(context), request_(std::move(request)) {}

  absl::Status Run() {
    absl::StatusOr<Retrier> retrier = context_.MakeRetrier(absl::InfiniteDuration());
    if (!retrier.ok()) return retrier.status();
    SteadyTime deadline = SteadyTime::InfiniteFuture();
    if (context_.bounded()) deadline = context_.clock.Steady() + retrier->timeout();
    absl::Status status = retrier->RunStream([&](StreamTry& stream) { return Follow(deadline, stream); });
    // What was asked for is over: that is no failure.
    if (status.code() == absl::StatusCode::kDeadlineExceeded && context_.bounded() &&
        context_.clock.Steady() >= deadline - absl::Milliseconds(100)) {
      return absl::OkStatus();
    }
    return status;
  }

 private:
  absl::Status Follow(SteadyTime deadline, StreamTry& attempt) {
    auto stub = location_v1::LocationService::NewStub(
        rpc::MakeChannel(context_.ingest, rpc::Pings::kOften, context_.credentials()));
    grpc::ClientContext call;
    Prepare(call, context_, deadline);
    auto stream = stub->WatchLocations(&call, request_);
    stream->WaitForInitialMetadata();
    attempt.opened = context_.clock.Steady();
    location_v1::WatchLocationsResponse response;
    while (stream->Read(&response)) {
      if (response.gap()) context_.Note("events are missing here: they are no longer kept; track export has them");
      for (const location_v1::LocationEvent& event : response.events()) {
        Show(event);
        request_.set_resume_after(event.id());
        attempt.moved = true;
      }
      // Further on, where what was looked at last does not concern this watch.
      if (!response.resume_after().empty()) request_.set_resume_after(response.resume_after());
    }
    absl::Status status = rpc::FromGrpcStatus(stream->Finish());
    // It does not end by itself: whoever ended it is going away.
    return status.ok() ? absl::UnavailableError("the service ended the stream") : status;
  }

  void Show(const location_v1::LocationEvent& event) {
    if (context_.json) {
      context_.PrintLine(ToJson(event));
      return;
    }
    const location_v1::Point& point = event.point();
    std::string line =
        fmt::format("{}  {}  {}", ShowTimeOfDay(ToTime(point.recorded_at())), point.driver_id(), ShowPlace(point));
    for (const std::string& more : {ShowSpeed(point), ShowHeading(point), ShowMarks(point)}) {
      if (!more.empty()) line += "  " + more;
    }
    context_.PrintLine(Printable(line));
  }

  const Context& context_;
  location_v1::WatchLocationsRequest request_;
};

ExitCode WatchPositions(const Context& context, const WatchPositionsArgs& args) {
  location_v1::WatchLocationsRequest request;
  for (const std::string& driver : args.drivers) request.add_driver_ids(driver);
  if (!args.area.empty()) {
    absl::StatusOr<location_v1::BoundingBox> area = ParseArea(args.area);
    if (!area.ok()) return context.Fail(area.status());
    *request.mutable_area() = *area;
  }
  request.set_resume_after(args.resume_after);
  absl::Status status = PositionWatcher(context, std::move(request)).Run();
  return status.ok() ? ExitCode::kOk : FailIngest(context, status);
}

}  // namespace

void AddLocationCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.get_subcommand("driver");

  auto drivers = std::make_shared<std::vector<std::string>>();
  CLI::App* get = group->add_subcommand("get", "Show where drivers are, or were last");
  get->add_option("driver", *drivers, "Which; may be given many times")->required()->type_name("DRIVER");
  get->footer(
      "Examples:\n"
      "  waybill driver get driver-7\n"
      "  waybill driver get driver-7 driver-8 --json | jq -r '[.point.driver_id, .age] | @tsv'\n"
      "\n"
      "Exit code 3: of one of them no position is known.");
  get->callback([&context, drivers] { context.run = [&context, drivers] { return GetPositions(context, *drivers); }; });

  auto near_args = std::make_shared<NearArgs>();
  CLI::App* near = group->add_subcommand("near", "List drivers with a fresh position around a point, nearest first");
  near->add_option("point", near_args->point, "Around it")->required()->type_name("LAT,LONG");
  near->add_option("--radius-m", near_args->radius_m, "Within so many metres")
      ->check(process::NumberBetween(0.0, 100'000.0))
      ->capture_default_str()
      ->type_name("M");
  process::AddInteger(*near, "--limit", near_args->limit, "At most so many")
      ->check(CLI::Range(1, 500))
      ->capture_default_str()
      ->type_name("N");
  near->footer(
      "Examples:\n"
      "  waybill driver near 52.5219,13.4132\n"
      "  waybill driver near 52.5219,13.4132 --radius-m 800 --limit 3 --json | jq -r .point.driver_id");
  near->callback([&context, near_args] { context.run = [&context, near_args] { return Near(context, *near_args); }; });

  auto watch_args = std::make_shared<WatchPositionsArgs>();
  CLI::App* watch = group->add_subcommand("watch", "Follow drivers as they move, one line for each position");
  watch->add_option("driver", watch_args->drivers, "Only these (default: all)")->type_name("DRIVER");
  watch->add_option("--area", watch_args->area, "Only inside; west greater than east: across the antimeridian")
      ->type_name("S,W,N,E");
  watch->add_option("--resume-after", watch_args->resume_after, "The last event that was seen; 0: the oldest kept")
      ->type_name("ID");
  watch->footer(
      "Examples:\n"
      "  waybill driver watch driver-7 driver-8\n"
      "  waybill driver watch --area 52.3,13.0,52.7,13.8 --timeout 1m --json | jq -r .id\n"
      "\n"
      "Ends with Ctrl-C, or after --timeout. A broken stream is taken up again behind the last event.");
  watch->callback([&context, watch_args] {
    context.run = [&context, watch_args] { return WatchPositions(context, *watch_args); };
  });
}

}  // namespace waybill::cli
