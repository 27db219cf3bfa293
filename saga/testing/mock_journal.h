// GoogleMock doubles of the saga library's interfaces.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "saga/journal.h"
#include "saga/runner.h"

namespace waybill::saga::testing {

class MockJournal : public Journal {
 public:
  MOCK_METHOD(void, Begin, (const Record& record, BeginDone done), (override));
  MOCK_METHOD(void, Advance, (const Write& write, AdvanceDone done), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<std::unique_ptr<Record>>>, ClaimExpired,
              (bool own, size_t limit, std::string_view kind), (override));
  MOCK_METHOD(absl::StatusOr<std::unique_ptr<Record>>, Claim, (const Uuid& id, ClaimMode mode), (override));
  MOCK_METHOD(absl::StatusOr<SignalResult>, AddSignal, (const Uuid& id, const Signal& signal), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<Uuid>>, Renew, (std::span<const Held> held), (override));
  MOCK_METHOD(absl::Status, ReleaseAll, (), (override));
  MOCK_METHOD(absl::StatusOr<std::unique_ptr<Record>>, Load, (const Uuid& id), (override));
  MOCK_METHOD(absl::StatusOr<std::vector<LogEntry>>, LoadLog, (const Uuid& id, int64_t from_seq), (override));
};

class MockObserver : public Observer {
 public:
  MOCK_METHOD(void, OnAttempt, (std::string_view step, Direction direction, Outcome::Kind outcome, absl::Duration took),
              (override));
  MOCK_METHOD(void, OnRetry, (std::string_view step, Direction direction), (override));
  MOCK_METHOD(void, OnTransition, (const Header& header), (override));
  MOCK_METHOD(void, OnSettled, (const Header& header, absl::Duration age), (override));
  MOCK_METHOD(void, OnWaiting, (const Header& header), (override));
  MOCK_METHOD(void, OnNeedsAttention, (const Header& header), (override));
  MOCK_METHOD(void, OnRecovered, (const Header& header), (override));
  MOCK_METHOD(void, OnFenced, (const Header& header), (override));
  MOCK_METHOD(void, OnLostClaim, (const Header& header), (override));
  MOCK_METHOD(void, OnRefused, (const Header& header, const absl::Status& why), (override));
};

}  // namespace waybill::saga::testing
