// The consumer tests its saga with the doubles that Waybill ships.
#include "refuel.h"

#include <gmock/gmock.h>

#include <memory>

#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "saga/testing/mock_journal.h"
#include "saga/testing/scripted_participant.h"

namespace {

using ::testing::_;
namespace saga = waybill::saga;

class MockBank : public Bank {
 public:
  MOCK_METHOD(void, Pay, (const std::string& key, saga::OutcomeCallback done), (override));
  MOCK_METHOD(void, Refund, (const std::string& key, saga::OutcomeCallback done), (override));
};

class RefuelTest : public ::testing::Test {
 protected:
  saga::RecordOf<Refuel> Run(saga::Outcome of_paying) {
    EXPECT_CALL(bank_, Pay(_, _)).WillOnce([&](const std::string&, saga::OutcomeCallback done) { done(of_paying); });
    auto record = std::make_unique<saga::RecordOf<Refuel>>();
    const waybill::Uuid id = record->id = ids_.Next();
    record->created_at = time_.Now();
    runner_.Start(
        std::move(record), [](auto) {}, [](auto) {});
    time_.Advance(absl::Minutes(1));
    return saga::As<Refuel>(*book_.rows.at(id).record);
  }

  waybill::testing::ManualTime time_;
  waybill::SeededRandom random_{1};
  waybill::IdGenerator ids_{time_, random_};
  MockBank bank_;
  saga::testing::MemoryBook book_;
  saga::testing::MemoryJournal journal_{book_, time_, {"pump", "1", absl::Seconds(10)}};
  saga::Kinds kinds_{{RefuelSaga(bank_)}};
  saga::Observer observer_;
  saga::Runner runner_{kinds_, journal_, time_, time_, random_, observer_, {}};
};

TEST_F(RefuelTest, Succeeds) { EXPECT_EQ(Run(saga::Outcome::Succeeded()).state, saga::State::kSucceeded); }

TEST_F(RefuelTest, GivesThePumpBackWhenTheBankDeclines) {
  const auto record = Run(saga::Outcome::Rejected("DECLINED"));
  EXPECT_EQ(record.state, saga::State::kCompensated);
  EXPECT_FALSE(record.payload.pump_reserved);
}

}  // namespace
