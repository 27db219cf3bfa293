// From requests on the wire to what the ingest service takes, and back. What a caller can get wrong besides its points
// is found here.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "domain/driver.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "services/ingest/intake.h"
#include "services/ingest/location_api.h"
#include "services/ingest/location_watches.h"
#include "storage/fleet.h"
#include "waybill/location/v1/location.pb.h"

namespace waybill::ingest {

using Points = google::protobuf::RepeatedPtrField<location::v1::Point>;

// Takes the points' strings away. As Intake::Check wants them: a time that is missing or none is InfinitePast.
std::vector<domain::DriverPosition> TakePoints(Points& points);
void Fill(const domain::DriverPosition& position, location::v1::Point& out);
void Fill(const Rejection& rejection, location::v1::RejectedPoint& out);
void Fill(const DriverLocation& driver, location::v1::DriverLocation& out);
void Fill(const NearbyLocation& driver, location::v1::NearbyDriver& out);

// BAD_REQUEST naming each wrong field, as the others do.
absl::Status CheckReport(const location::v1::ReportLocationsRequest& request);
absl::StatusOr<std::vector<std::string>> TakeDriverIds(const location::v1::GetDriverRequest& request);
absl::StatusOr<std::vector<std::string>> TakeDriverIds(const location::v1::BatchGetDriversRequest& request);
absl::StatusOr<storage::NearestQuery> TakeNearby(const location::v1::NearbyDriversRequest& request);
absl::StatusOr<TrackRequest> TakeTrack(const location::v1::GetTrackRequest& request);
absl::StatusOr<WatchFilter> TakeWatch(const location::v1::WatchLocationsRequest& request);

}  // namespace waybill::ingest
