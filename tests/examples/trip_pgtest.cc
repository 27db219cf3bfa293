#include <condition_variable>
#include <mutex>

#include "examples/trip/trip_tables.h"
#include "gtest/gtest.h"
#include "tests/examples/trip_story.h"
#include "tests/support/postgres.h"

namespace waybill::example {
namespace {

class TripPgTest : public ::testing::Test {
 protected:
  TripPgTest() {
    sql_.Exec(std::string(kTripSchema));
    auto journal = storage::PostgresSagaJournal<Trip>::Open(tables_, {"example", "1", absl::Seconds(10)},
                                                            database_.url(), pool_, {});
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    runner_ = std::make_unique<saga::Runner<Trip>>(definition_, *journal_, clock_, scheduler_, random_, observer_,
                                                   saga::RunnerOptions{});
  }
  ~TripPgTest() override {
    scheduler_.Stop();  // a timer's thread may still be handing a write to the journal
    journal_->Stop();
  }

  // The state in which the trip came to rest.
  saga::State Run(const std::string& booking) {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<saga::State> rest;
    runner_->Start(
        NewTrip(ids_.Next(), clock_.Now(), booking), [](auto begun) { EXPECT_TRUE(begun.ok()) << begun.status(); },
        [&](auto settled) {
          std::lock_guard lock(mutex);
          rest = settled.ok() ? (*settled)->state : saga::State::kRunning;
          changed.notify_all();
        });
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return rest.has_value(); }));
    return rest.value_or(saga::State::kRunning);
  }

  testing::TestDatabase database_;
  testing::Sql sql_{database_.url()};
  SystemClock clock_;
  ThreadScheduler scheduler_{clock_};
  SeededRandom random_{1};
  IdGenerator ids_{clock_, random_};
  storage::Pool pool_{database_.url(), {}, {}};
  TripTables tables_;
  FakeReservations airline_, hotel_;
  saga::Definition<Trip> definition_ = BookTrip(airline_, hotel_, {.backoff_initial = absl::Milliseconds(1)});
  saga::Observer observer_;
  std::unique_ptr<storage::PostgresSagaJournal<Trip>> journal_;
  std::unique_ptr<saga::Runner<Trip>> runner_;
};

TEST_F(TripPgTest, BooksAllThree) {
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded);
  EXPECT_EQ(sql_.Value("SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY seq) FROM trip_saga_steps"),
            "book_flight succeeded, rent_car succeeded, book_hotel succeeded");
  EXPECT_EQ(sql_.Value("SELECT car_plate FROM rentals"), "CAR-1");
}

TEST_F(TripPgTest, TakesTheNextCarWhenOneIsTaken) {
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded);
  EXPECT_EQ(Run("b-2"), saga::State::kSucceeded);
  EXPECT_EQ(sql_.Value("SELECT string_agg(car_plate, ',' ORDER BY car_plate) FROM rentals"), "CAR-1,CAR-2");
}

TEST_F(TripPgTest, BooksNoneWhenTheHotelIsFull) {
  hotel_.WillAnswer(saga::Outcome::Unknown("TIMEOUT"));
  hotel_.WillAnswer(saga::Outcome::Rejected("FULL"));
  EXPECT_EQ(Run("b-1"), saga::State::kCompensated);
  EXPECT_EQ(sql_.Value("SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY seq) FROM trip_saga_steps"),
            "book_flight succeeded, rent_car succeeded, book_hotel unknown, book_hotel rejected, book_hotel undone, "
            "rent_car undone, book_flight undone");
  EXPECT_EQ(sql_.Value("SELECT count(*) FROM rentals"), "0");
}

}  // namespace
}  // namespace waybill::example
