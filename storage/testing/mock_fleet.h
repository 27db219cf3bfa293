#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "domain/driver.h"
#include "gmock/gmock.h"
#include "storage/fleet.h"

namespace waybill::storage::testing {

class MockFleet : public Fleet {
 public:
  MOCK_METHOD(void, Nearest,
              (const NearestQuery& query, absl::AnyInvocable<void(absl::StatusOr<std::vector<NearbyDriver>>)> done),
              (override));
  MOCK_METHOD(absl::StatusOr<FleetPage>, Scan, (uint64_t cursor, int count), (override));
  MOCK_METHOD(absl::Status, Put, (const std::vector<domain::DriverPosition>& positions, absl::Duration ttl),
              (override));
  MOCK_METHOD(absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>>, Get,
              (const std::vector<std::string>& driver_ids), (override));
  MOCK_METHOD(absl::Status, Ping, (), (override));
};

}  // namespace waybill::storage::testing
