#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "tests/examples/trip_story.h"

namespace waybill::example {
namespace {

class TripTest : public ::testing::Test {
 protected:
  saga::State Run(const std::string& booking) {
    Uuid id = ids_.Next();
    runner_.Start(
        NewTrip(id, time_.Now(), booking), [](auto) {}, [](auto) {});
    time_.Advance(absl::Minutes(5));
    return book_.rows.at(id).record->state;
  }

  testing::ManualTime time_;
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  FakeReservations airline_, hotel_;
  saga::testing::MemoryBook book_;
  saga::testing::MemoryJournal journal_{book_, time_, {"example", "1", absl::Seconds(10)}};
  saga::Kinds kinds_{{BookTrip(airline_, hotel_)}};
  saga::Observer observer_;
  saga::Runner runner_{kinds_, journal_, time_, time_, random_, observer_, {}};
};

TEST_F(TripTest, BooksAllThree) {
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded);
  EXPECT_EQ(airline_.booked(), 1u);
  EXPECT_EQ(hotel_.booked(), 1u);
}

TEST_F(TripTest, BooksNoneWhenTheHotelIsFull) {
  hotel_.WillAnswer(saga::Outcome::Rejected("FULL"));
  EXPECT_EQ(Run("b-1"), saga::State::kCompensated);
  EXPECT_EQ(airline_.booked(), 0u);
}

TEST_F(TripTest, BooksNoneWhenTheHotelNeverAnswers) {
  for (int i = 0; i < 1'000; ++i) hotel_.WillAnswer(saga::Outcome::Unknown("TIMEOUT"));
  EXPECT_EQ(Run("b-1"), saga::State::kCompensated);
  EXPECT_EQ(airline_.booked(), 0u);
  EXPECT_EQ(hotel_.booked(), 0u);
}

}  // namespace
}  // namespace waybill::example
