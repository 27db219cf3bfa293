#include "bench/location_queries.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <utility>

#include "bench/grpc_names.h"
#include "fmt/format.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace v1 = ::waybill::location::v1;

constexpr absl::Duration kPollInterval = absl::Milliseconds(50);
constexpr int kPageSize = 10'000;

std::unique_ptr<v1::LocationService::Stub> Connect(const std::string& target) {
  auto channel = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
  channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(10));
  return v1::LocationService::NewStub(channel);
}

using NearbyCall = OpenCall<v1::NearbyDriversRequest, v1::NearbyDriversResponse>;

std::string NearbyOutcome(const NearbyCall& call, const NearbyOptions& options) {
  if (call.response.stale()) return "the hot view was stale";
  if (call.response.drivers_size() != options.limit) {
    return fmt::format("{} drivers instead of {}", call.response.drivers_size(), options.limit);
  }
  double distance = 0;
  for (const v1::NearbyDriver& driver : call.response.drivers()) {
    if (driver.distance_m() < distance || driver.distance_m() > options.radius_m) return "not the nearest first";
    distance = driver.distance_m();
  }
  return "OK";
}

void SetTime(absl::Time time, google::protobuf::Timestamp& proto) {
  const int64_t micros = absl::ToUnixMicros(time);
  proto.set_seconds(micros / 1'000'000);
  proto.set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1'000));
}

absl::Time ToTime(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

std::string TrackOutcome(const grpc::Status& status, const v1::GetTrackResponse& response, const std::string& driver_id,
                         absl::Time from, absl::Duration step, int64_t points) {
  if (!status.ok()) return ErrorName(status);
  if (response.points_size() != points || !response.next_page_token().empty()) {
    return fmt::format("{} points instead of {}", response.points_size(), points);
  }
  for (int i = 0; i < response.points_size(); ++i) {
    const v1::Point& point = response.points(i);
    if (point.driver_id() != driver_id || ToTime(point.recorded_at()) != from + step * i) return "another track";
  }
  return "OK";
}

}  // namespace

QueryResult AskNearby(const NearbyOptions& options, Timer& timer) {
  auto stub = Connect(options.target);
  const auto begin = [&](NearbyCall& call, size_t number, grpc::CompletionQueue& queue) {
    const domain::GeoPoint& place = options.places[number % options.places.size()];
    call.request.set_latitude(place.latitude);
    call.request.set_longitude(place.longitude);
    call.request.set_radius_m(options.radius_m);
    call.request.set_limit(options.limit);
    return stub->AsyncNearbyDrivers(&call.context, call.request, &queue);
  };
  return AskAtRate<v1::NearbyDriversRequest, v1::NearbyDriversResponse>(
      options.loop, timer, begin, [&](const NearbyCall& call) { return NearbyOutcome(call, options); });
}

absl::Status AwaitHotView(const std::string& target, Timer& timer, absl::Duration timeout) {
  auto stub = Connect(target);
  const absl::Duration deadline = timer.Now() + timeout;
  while (true) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::NearbyDriversRequest request;
    request.set_radius_m(1);
    v1::NearbyDriversResponse response;
    const grpc::Status status = stub->NearbyDrivers(&context, request, &response);
    if (status.ok() && !response.stale()) return absl::OkStatus();
    if (timer.Now() > deadline) {
      return absl::DeadlineExceededError("the hot view is not whole: " + (status.ok() ? "stale" : ErrorName(status)));
    }
    timer.SleepUntil(timer.Now() + kPollInterval);
  }
}

QueryResult AskTracks(const TrackOptions& options, Timer& timer) {
  auto stub = Connect(options.target);
  QueryResult result;
  const int64_t points = options.length / options.step;
  const absl::Duration start = timer.Now();
  for (size_t i = 0; i < options.driver_ids.size(); ++i) {
    // Somewhere else each time: 7,919 is prime.
    const int64_t first = static_cast<int64_t>(i) * 7'919 % (options.points - points + 1);
    const absl::Time from = options.start + options.step * first;
    v1::GetTrackRequest request;
    request.set_driver_id(options.driver_ids[i]);
    SetTime(from, *request.mutable_start_time());
    SetTime(from + options.length, *request.mutable_end_time());
    request.set_page_size(kPageSize);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::GetTrackResponse response;
    const absl::Duration asked = timer.Now();
    const grpc::Status status = stub->GetTrack(&context, request, &response);
    const absl::Duration took = timer.Now() - asked;
    const std::string outcome = TrackOutcome(status, response, options.driver_ids[i], from, options.step, points);
    ++result.outcomes[outcome];
    if (outcome == "OK") result.latency.Record(took);
  }
  result.window = timer.Now() - start;
  return result;
}

}  // namespace waybill::bench
