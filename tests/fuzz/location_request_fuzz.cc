// Any bytes as a request of the location service: it is refused by name or taken within every bound, each point is
// rejected or may be stored, and nothing crashes. The first byte chooses the request. Run by libFuzzer (preset fuzz),
// and over a seeded corpus by location_request_fuzz_test.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/request.h"
#include "edge/rpc/status.h"
#include "google/protobuf/message.h"
#include "google/protobuf/stubs/logging.h"
#include "grpcpp/support/byte_buffer.h"
#include "runtime/status.h"
#include "services/ingest/intake.h"
#include "services/ingest/requests.h"

namespace waybill::ingest {
namespace {

namespace pb = location::v1;

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

void CheckFitsTheWire(const absl::Status& status) {
  constexpr size_t kMetadataMax = 8 * 1024;  // of a stock client
  grpc::Status wire = rpc::ToGrpcStatus(status);
  Check(wire.error_message().size() + wire.error_details().size() < kMetadataMax, "a refusal fits the wire");
}

void CheckRefusal(const absl::Status& status) {
  ErrorDetail detail = GetErrorDetail(status);
  Check(status.code() == absl::StatusCode::kInvalidArgument, "a refusal is INVALID_ARGUMENT");
  Check(detail.reason == "BAD_REQUEST", "a refusal has a reason");
  Check(!detail.violations.empty(), "a refusal names a field");
  for (const auto& [field, what] : detail.violations) Check(!field.empty() && !what.empty(), "a violation says what");
  CheckFitsTheWire(status);
}

// Written out once more: what is checked does not check itself.
bool HasTheFormOfADriver(const std::string& id) {
  for (char c : id) {
    if (c <= ' ' || c >= 0x7f) return false;
  }
  return !id.empty() && id.size() <= 128;
}

// As the server reads it. False: it is no such message, and the caller is told so.
bool Parse(const std::string& bytes, google::protobuf::Message& message) {
  grpc::Slice slice(bytes);
  grpc::ByteBuffer buffer(&slice, 1);
  absl::Status status = rpc::ParseRequest(buffer, message);
  if (status.ok()) return true;
  Check(status.code() == absl::StatusCode::kInvalidArgument, "a malformed request is INVALID_ARGUMENT");
  CheckFitsTheWire(status);
  return false;
}

void CheckPoints(Points& points) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const IntakeOptions options;
  const Intake intake(options);
  std::vector<domain::DriverPosition> positions = TakePoints(points);
  Check(positions.size() == static_cast<size_t>(points.size()), "no point is lost");
  const Checked checked = intake.Check(positions, 3, now);
  Check(checked.accepted.size() + checked.rejected.size() == positions.size(), "each point is taken or rejected");
  std::vector<bool> answered(positions.size());
  auto answer = [&answered](int index) {
    Check(index >= 0 && static_cast<size_t>(index) < answered.size(), "an index is one of the report");
    Check(!answered[static_cast<size_t>(index)], "each point is answered once");
    answered[static_cast<size_t>(index)] = true;
  };
  for (size_t i = 0; i < checked.accepted.size(); ++i) {
    answer(checked.IndexOf(i));
    const domain::DriverPosition& position = checked.accepted[i].position;
    Check(domain::FindFault(position) == std::nullopt, "what is taken may be stored");
    Check(position.driver_id == positions[static_cast<size_t>(checked.IndexOf(i))].driver_id,
          "a point keeps its place");
    Check(position.recorded_at <= now + options.future_max, "not from the future");
    Check(position.recorded_at > now - options.retention - absl::Microseconds(1), "within retention");
    Check(absl::FromUnixMicros(absl::ToUnixMicros(position.recorded_at)) == position.recorded_at, "whole microseconds");
    Check(position.point != domain::GeoPoint{}, "a receiver with a fix");
    pb::Point out;
    Fill(position, out);
    Points again;
    *again.Add() = std::move(out);
    domain::DriverPosition back = TakePoints(again).front();
    back.marks = position.marks;  // not taken from callers
    Check(back == position, "a point comes back as it was taken");
  }
  for (const Rejection& rejection : checked.rejected) {
    answer(rejection.index);
    Check(rejection.sequence == 3 && !rejection.detail.empty(), "a rejection says what");
    pb::RejectedPoint out;
    Fill(rejection, out);
    Check(pb::RejectReason_IsValid(out.reason()) && out.reason() != 0, "a rejection has a reason");
  }
}

void FuzzBatch(const std::string& bytes) {
  pb::LocationBatch batch;
  if (Parse(bytes, batch)) CheckPoints(*batch.mutable_points());
}

void FuzzReport(const std::string& bytes) {
  pb::ReportLocationsRequest request;
  if (!Parse(bytes, request)) return;
  absl::Status status = CheckReport(request);
  status.ok() ? CheckPoints(*request.mutable_points()) : CheckRefusal(status);
}

template <typename Request>
void FuzzIds(const std::string& bytes) {
  Request request;
  if (!Parse(bytes, request)) return;
  auto ids = TakeDriverIds(request);
  if (!ids.ok()) {
    CheckRefusal(ids.status());
    return;
  }
  Check(!ids->empty() && ids->size() <= 500, "as many ids as allowed");
  for (const std::string& id : *ids) Check(HasTheFormOfADriver(id), "ids are visible ASCII");
}

void FuzzNearby(const std::string& bytes) {
  pb::NearbyDriversRequest request;
  if (!Parse(bytes, request)) return;
  auto query = TakeNearby(request);
  if (!query.ok()) {
    CheckRefusal(query.status());
    return;
  }
  Check(std::abs(query->point.latitude) <= 90 && std::abs(query->point.longitude) <= 180, "on the globe");
  Check(query->radius_m > 0 && query->radius_m <= 100'000, "a radius");
  Check(query->limit >= 1 && query->limit <= 500, "a limit");
}

void FuzzTrack(const std::string& bytes) {
  pb::GetTrackRequest request;
  if (!Parse(bytes, request)) return;
  auto track = TakeTrack(request);
  if (!track.ok()) {
    CheckRefusal(track.status());
    return;
  }
  Check(HasTheFormOfADriver(track->driver_id), "ids are visible ASCII");
  Check(track->page_size >= 1 && track->page_size <= 10'000, "page size");
  Check(!track->from || !track->to || *track->from <= *track->to, "a range");
  Check(track->thinner.min_interval >= absl::ZeroDuration() && track->thinner.min_distance_m >= 0, "bounds");
  Check(track->thinner.min_interval == absl::ZeroDuration() || track->thinner.min_distance_m == 0, "one of the two");
}

void FuzzWatch(const std::string& bytes) {
  pb::WatchLocationsRequest request;
  if (!Parse(bytes, request)) return;
  auto filter = TakeWatch(request);
  if (!filter.ok()) {
    CheckRefusal(filter.status());
    return;
  }
  Check(filter->driver_ids.size() <= 1'000, "as many drivers as allowed");
  for (const std::string& id : filter->driver_ids) Check(HasTheFormOfADriver(id), "ids are visible ASCII");
  if (!filter->area) return;
  const BoundingBox& area = *filter->area;
  Check(area.Holds({area.south, area.west}) && area.Holds({area.north, area.east}), "an area holds its corners");
}

}  // namespace
}  // namespace waybill::ingest

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace waybill;          // NOLINT(google-build-using-namespace)
  using namespace waybill::ingest;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  google::protobuf::SetLogHandler(nullptr);  // of text that is not UTF-8: once for each try
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      FuzzBatch(bytes);
      break;
    case 1:
      FuzzReport(bytes);
      break;
    case 2:
      FuzzIds<location::v1::GetDriverRequest>(bytes);
      break;
    case 3:
      FuzzIds<location::v1::BatchGetDriversRequest>(bytes);
      break;
    case 4:
      FuzzNearby(bytes);
      break;
    case 5:
      FuzzTrack(bytes);
      break;
    case 6:
      FuzzWatch(bytes);
      break;
  }
  return 0;
}
