#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/order.h"
#include "examples/trip/trip_tables.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/status.h"
#include "saga/runner.h"
#include "storage/order_record.h"
#include "storage/postgres/order_store.h"
#include "storage/postgres/order_tables.h"
#include "storage/postgres/saga_journal.h"
#include "storage/postgres/saga_journal_sql.h"
#include "tests/examples/trip_story.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::example {
namespace {

class TripPgTest : public ::testing::Test {
 protected:
  TripPgTest() {
    sql().Exec(std::string(kTripSchema));
    auto journal = storage::PostgresSagaJournal::Open({&trips_, &orders_}, kinds_, {"example", "1", absl::Seconds(10)},
                                                      database_.url(), pool_, ThreadLoops(), {});
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    runner_ = std::make_unique<saga::Runner>(kinds_, *journal_, clock_, scheduler_, random_, observer_,
                                             saga::RunnerOptions{});
  }
  ~TripPgTest() override {
    scheduler_.Stop();  // a timer's thread may still be handing a write to the journal
    journal_->Stop();
  }

  // The state in which the trip came to rest.
  saga::State Run(const std::string& booking) { return Run(NewTrip(ids_.Next(), clock_.Now(), booking)); }
  saga::State Run(std::unique_ptr<saga::Record> fresh) {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<saga::State> rest;
    runner_->Start(
        std::move(fresh), [](auto begun) { EXPECT_TRUE(begun.ok()) << begun.status(); },
        [&](auto settled) {
          std::lock_guard lock(mutex);
          rest = settled.ok() ? (*settled)->state : saga::State::kRunning;
          changed.notify_all();
        });
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return rest.has_value(); }));
    return rest.value_or(saga::State::kRunning);
  }

  // A trip whose hotel will confirm later, under "h-1"; its id.
  Uuid RunUntilTheHotelIsAwaited() {
    hotel_.WillAnswer(saga::Outcome::Later("h-1", clock_.Now() + absl::Hours(1)));
    auto trip = NewTrip(ids_.Next(), clock_.Now(), "b-1");
    const Uuid id = trip->id;
    EXPECT_EQ(Run(std::move(trip)), saga::State::kRunning);
    return id;
  }

  std::unique_ptr<saga::Record> NewOrder(const std::string& key) {
    auto record = std::make_unique<storage::OrderRecord>();
    record->id = ids_.Next();
    record->created_at = clock_.Now();
    domain::Order& order = record->payload;
    order.client = "shop";
    order.idempotency_key = key;
    order.fingerprint = std::string(32, 'f');
    order.user_id = "ada";
    order.amount_minor = 1250;
    order.currency = "EUR";
    return record;
  }
  // Charges an order, and gives it no driver.
  saga::Definition OrderDefinition() {
    auto charge = [this](const saga::Attempt&, domain::Order& order, saga::OutcomeCallback done) {
      order.charge = {"ch_1", order.amount_minor, clock_.Now()};
      order.effects.charged = true;
      done(saga::Outcome::Succeeded());
    };
    return saga::Define<domain::Order>().Step("charge_payment").Does({charge}).Done();
  }
  testing::Sql& sql() { return database_.sql(); }

  testing::MigratedDatabase database_;
  SystemClock clock_;
  ThreadScheduler scheduler_{clock_};
  SeededRandom random_{1};
  IdGenerator ids_{clock_, random_};
  storage::Pool pool_{database_.url(), {}, {}};
  storage::SharedSagaTables<Trip> trips_ = TripTables();
  storage::OrderTables orders_;
  FakeReservations airline_, hotel_;
  saga::Kinds kinds_{{BookTrip(airline_, hotel_, {.backoff_initial = absl::Milliseconds(1)}), OrderDefinition()}};
  saga::Observer observer_;
  std::unique_ptr<storage::PostgresSagaJournal> journal_;
  std::unique_ptr<saga::Runner> runner_;
};

TEST_F(TripPgTest, BooksAllThree) {
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded);
  EXPECT_EQ(sql().Value("SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY seq) FROM saga_steps"),
            "book_flight succeeded, book_hotel succeeded, rent_car succeeded");
  EXPECT_EQ(sql().Value("SELECT car_plate FROM rentals"), "CAR-1");
}

TEST_F(TripPgTest, TakesTheNextCarWhenOneIsTaken) {
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded);
  EXPECT_EQ(Run("b-2"), saga::State::kSucceeded);
  EXPECT_EQ(sql().Value("SELECT string_agg(car_plate, ',' ORDER BY car_plate) FROM rentals"), "CAR-1,CAR-2");
}

TEST_F(TripPgTest, WaitsForAHotelThatConfirmsLater) {
  const Uuid id = RunUntilTheHotelIsAwaited();
  EXPECT_EQ(sql().Value("SELECT waits_for FROM sagas WHERE lease_until IS NULL"), "book_hotel/do/h-1");
  EXPECT_EQ(*runner_->AddSignal(id, {"book_hotel", saga::Direction::kDo, "h-1", saga::Outcome::Succeeded("room 12")}),
            saga::SignalResult::kWoken);
  EXPECT_TRUE(
      testing::Eventually(absl::Seconds(20), [&] { return sql().Value("SELECT state FROM sagas") == "succeeded"; }));
  EXPECT_EQ(sql().Value("SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY seq) FROM saga_steps"),
            "book_flight succeeded, book_hotel waiting, book_hotel succeeded, rent_car succeeded");
  EXPECT_EQ(sql().Value("SELECT branches FROM sagas"), "NULL") << "none is under way";
}

TEST_F(TripPgTest, WaitsForAHotelAndAnAirlineThatConfirmLater) {
  airline_.WillAnswer(saga::Outcome::Later("f-1", clock_.Now() + absl::Hours(2)));
  const Uuid id = RunUntilTheHotelIsAwaited();
  EXPECT_EQ(sql().Value("SELECT waits_for FROM sagas WHERE lease_until IS NULL"),
            "book_flight/do/f-1 book_hotel/do/h-1");
  EXPECT_EQ(sql().Value("SELECT string_agg(concat_ws(' ', b->>'step', b->>'state', b->>'attempt', b->>'token'), ', ') "
                        "FROM sagas, jsonb_array_elements(branches) b"),
            "book_flight waiting 1 f-1, book_hotel waiting 1 h-1, rent_car open 1");
  EXPECT_EQ(*runner_->AddSignal(id, {"book_hotel", saga::Direction::kDo, "h-2", saga::Outcome::Succeeded("room")}),
            saga::SignalResult::kKept)
      << "nobody waits for that";
  EXPECT_EQ(*runner_->AddSignal(id, {"book_hotel", saga::Direction::kDo, "h-1", saga::Outcome::Succeeded("room")}),
            saga::SignalResult::kWoken);
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] {
    return sql().Value("SELECT waits_for FROM sagas WHERE lease_until IS NULL") == "book_flight/do/f-1";
  }));
  EXPECT_EQ(*runner_->AddSignal(id, {"book_flight", saga::Direction::kDo, "f-1", saga::Outcome::Succeeded("ticket")}),
            saga::SignalResult::kWoken);
  EXPECT_TRUE(
      testing::Eventually(absl::Seconds(20), [&] { return sql().Value("SELECT state FROM sagas") == "succeeded"; }));
  EXPECT_EQ(sql().Value("SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY seq) FROM saga_steps"),
            "book_flight waiting, book_hotel waiting, book_hotel succeeded, book_flight succeeded, rent_car succeeded");
}

TEST_F(TripPgTest, ActsOnAllThatWasSaidBeforeItWaited) {
  auto trip = NewTrip(ids_.Next(), clock_.Now(), "b-1");
  const Uuid id = trip->id;
  saga::OutcomeCallback hotel_answers;
  hotel_.WillAnswerWhenAsked(&hotel_answers);
  airline_.WillAnswer(saga::Outcome::Later("f-1", clock_.Now() + absl::Hours(2)));
  std::promise<void> settled;
  runner_->Start(
      std::move(trip), [](auto) {}, [&](auto) { settled.set_value(); });
  ASSERT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return hotel_.holds(); }));
  for (const auto& [step, token] : {std::pair("book_flight", "f-1"), std::pair("book_hotel", "h-1")}) {
    EXPECT_EQ(*runner_->AddSignal(id, {step, saga::Direction::kDo, token, saga::Outcome::Succeeded("yes")}),
              saga::SignalResult::kKept);
  }
  hotel_answers(saga::Outcome::Later("h-1", clock_.Now() + absl::Hours(1)));
  settled.get_future().get();
  EXPECT_EQ(sql().Value("SELECT state FROM sagas"), "succeeded");
  EXPECT_EQ(sql().Value("SELECT count(*) FROM saga_signals"), "0");
}

// Those of another version of this program, or a slip of a hand.
TEST_F(TripPgTest, IsLeftAloneWhenItsBranchesCannotBeRead) {
  const Uuid id = RunUntilTheHotelIsAwaited();
  const std::string good = sql().Value("SELECT branches FROM sagas");
  for (const char* bad :
       {"'{}'", "'[]'::jsonb || branches || '[7]'", "'[{}]'", "jsonb_set(branches, '{0,step}', '\"book_boat\"')",
        "branches - 1", "jsonb_set(branches, '{1,state}', '\"paused\"')", "jsonb_set(branches, '{1,attempt}', '0')",
        "jsonb_set(branches, '{1,attempt}', '99999999999')", "jsonb_set(branches, '{1,token}', '\"\"')",
        "jsonb_set(branches, '{1,until}', '\"soon\"')", "jsonb_set(branches, '{1,until}', '\"infinite-future\"')",
        "jsonb_set(branches, '{0,state}', '\"nothing\"')",
        "replace(replace(branches::text, 'waiting', 'done'), 'open', 'done')::jsonb"}) {
    sql().Exec(fmt::format("UPDATE sagas SET needs_attention = false, branches = {}", bad));
    const absl::Status asked = journal_->Claim(id, saga::ClaimMode::kTakeOver).status();
    EXPECT_EQ(GetErrorDetail(asked).reason, "UNREADABLE_ROW") << bad << ": " << asked;
    EXPECT_THAT(std::string(asked.message()), ::testing::HasSubstr("branches")) << bad;
    EXPECT_EQ(sql().Value("SELECT needs_attention FROM sagas"), "t") << bad;
  }
  sql().Exec("UPDATE sagas SET branches = $1::jsonb", {good});
  auto claimed = journal_->Claim(id, saga::ClaimMode::kTakeOver);
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ((*claimed)->branches[1].token, "h-1");
}

TEST_F(TripPgTest, WhatIsDoneAtTheSameTimeIsAnotherVersionThanWhatIsNot) {
  saga::Definition one_after_the_other = BookTrip(airline_, hotel_);
  for (saga::Step& step : one_after_the_other.steps) step.beside = false;
  const absl::Status opened =
      storage::PostgresSagaJournal::Open({&trips_, &orders_}, saga::Kinds({one_after_the_other, OrderDefinition()}),
                                         {"example", "2", absl::Seconds(10)}, database_.url(), pool_, ThreadLoops(), {})
          .status();
  EXPECT_THAT(std::string(opened.message()),
              ::testing::HasSubstr("book_flight, book_hotel, rent_car here and book_flight, +book_hotel, +rent_car"));
}

TEST_F(TripPgTest, BooksNoneWhenTheHotelIsFull) {
  hotel_.WillAnswer(saga::Outcome::Unknown("TIMEOUT"));
  hotel_.WillAnswer(saga::Outcome::Rejected("FULL"));
  EXPECT_EQ(Run("b-1"), saga::State::kCompensated);
  EXPECT_EQ(sql().Value("SELECT string_agg(step || ' ' || outcome, ', ' ORDER BY seq) FROM saga_steps"),
            "book_flight succeeded, book_hotel unknown, book_hotel rejected, book_hotel undone, book_flight undone");
  EXPECT_EQ(sql().Value("SELECT payload->>'flight_ticket' FROM sagas"), "") << "it was given back";
  EXPECT_EQ(sql().Value("SELECT count(*) FROM rentals"), "0");
}

TEST_F(TripPgTest, StandsInItsRowAsAPersonCanReadIt) {
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded);
  EXPECT_EQ(
      sql().Value("SELECT concat_ws(' ', kind, version, dedupe_key, payload->>'flight_ticket', payload->>'car_plate', "
                  "payload->>'traveller') FROM sagas"),
      "book_trip 2 b-1 R-1 CAR-1 Ada");
  EXPECT_EQ(sql().Value("SELECT steps FROM saga_definitions WHERE kind = 'book_trip'"),
            "{book_flight,book_hotel,rent_car}");
  EXPECT_EQ(sql().Value("SELECT beside FROM saga_definitions WHERE kind = 'book_trip'"), "{f,t,t}");
  EXPECT_EQ(sql().Value("SELECT beside FROM saga_definitions WHERE kind = 'place_order'"), "NULL");
}

TEST_F(TripPgTest, GoesOnWithAllThatWasAnsweredBeforeTheCrash) {
  const Uuid id = RunUntilTheHotelIsAwaited();
  sql().Exec("UPDATE sagas SET wakes_at = now()");
  auto claimed = journal_->ClaimExpired(false, 10);
  ASSERT_TRUE(claimed.ok() && claimed->size() == 1u) << claimed.status();
  EXPECT_EQ((*claimed)[0]->id, id);
  const Trip& read = saga::As<Trip>(*(*claimed)[0]).payload;
  EXPECT_EQ(read.booking, "b-1");
  EXPECT_EQ(read.traveller, "Ada");
  EXPECT_EQ(read.flight_ticket, "R-1");
  EXPECT_EQ(read.car_plate, "") << "rented when the others have confirmed";
  EXPECT_EQ(read.hotel_room, "");
  EXPECT_EQ((*claimed)[0]->branches[0].state, saga::Branch::State::kDone);
  EXPECT_EQ((*claimed)[0]->branches[1].token, "h-1");
}

TEST_F(TripPgTest, IsDueForRecoveryOnceItIsNoLongerYoung) {
  auto trip = NewTrip(ids_.Next(), clock_.Now(), "b-1");
  std::promise<bool> begun;
  journal_->Begin(*trip, [&](auto existing) { begun.set_value(existing.ok() && *existing == nullptr); });
  ASSERT_TRUE(begun.get_future().get());
  EXPECT_EQ(sql().Value("SELECT due_at FROM sagas"), "NULL");
  const storage::SagaJournalSql statements = storage::BuildSagaJournalSql(trips_.sql());
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] {
    for (const std::string* turn : {&statements.sweep, &statements.note_next, &statements.note_horizon}) {
      sql().Exec(*turn, {"0"});
    }
    return sql().Value("SELECT due_at = lease_until FROM sagas") == "t";
  }));
  EXPECT_EQ(sql().Value("SELECT count(*) FROM leased_sagas WHERE kind = 'book_trip'"), "1");
  sql().Exec("UPDATE sagas SET lease_until = now() - interval '1 second'");
  auto claimed = journal_->ClaimExpired(false, 10);
  ASSERT_TRUE(claimed.ok() && claimed->size() == 1u) << claimed.status();
  EXPECT_EQ((*claimed)[0]->id, trip->id);
}

TEST_F(TripPgTest, IsLeftAloneWhenItsPayloadCannotBeRead) {
  const Uuid id = RunUntilTheHotelIsAwaited();
  sql().Exec("UPDATE sagas SET wakes_at = now(), payload = payload - 'traveller'");
  auto claimed = journal_->ClaimExpired(false, 10);
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_TRUE(claimed->empty());
  EXPECT_EQ(sql().Value("SELECT needs_attention FROM sagas"), "t");
  const absl::Status asked = journal_->Claim(id, saga::ClaimMode::kTakeOver).status();
  EXPECT_THAT(std::string(asked.message()), ::testing::HasSubstr("payload traveller is no text"));
}

// --- Trips and orders live in one database, and one journal and one runner are enough for both.

TEST_F(TripPgTest, IsDrivenBesideOrders) {
  EXPECT_EQ(Run(NewOrder("k-1")), saga::State::kSucceeded);
  EXPECT_EQ(Run("k-1"), saga::State::kSucceeded) << "each kind has keys of its own";
  EXPECT_EQ(sql().Value("SELECT string_agg(step || ' ' || outcome, ', ') FROM order_saga_steps"),
            "charge_payment succeeded");
  EXPECT_EQ(sql().Value("SELECT gateway_reference FROM payments"), "ch_1");
  EXPECT_EQ(sql().Value("SELECT state FROM sagas"), "succeeded");
}

TEST_F(TripPgTest, IsListedBesideOrders) {
  EXPECT_EQ(Run(NewOrder("k-1")), saga::State::kSucceeded);
  hotel_.WillAnswer(saga::Outcome::Later("h-1", clock_.Now() + absl::Hours(1)));
  EXPECT_EQ(Run("k-1"), saga::State::kRunning);
  EXPECT_EQ(Run("k-2"), saga::State::kSucceeded);
  storage::PostgresOrderStore store(pool_);
  std::vector<std::string> shown;
  const auto all = *store.ListSagas({});
  for (const storage::SagaView& saga : all) {
    shown.push_back(saga.header.kind + " " + std::string(saga::Name(saga.header.state)) + " " + saga.step_name);
  }
  EXPECT_THAT(shown, ::testing::ElementsAre("place_order succeeded charge_payment", "book_trip running book_hotel",
                                            "book_trip succeeded rent_car"));
  storage::SagaQuery trips;
  trips.kind = "book_trip";
  trips.waiting = true;
  const auto waiting = *store.ListSagas(trips);
  ASSERT_EQ(waiting.size(), 1u);
  EXPECT_EQ(waiting[0].header.waits_for, "book_hotel/do/h-1");
  EXPECT_EQ(store.GetSaga(waiting[0].header.id)->step_name, "book_hotel");
  EXPECT_EQ(store.SagaLog(waiting[0].header.id)->size(), 2u);
  const auto stats = *store.Unfinished(kinds_);
  EXPECT_EQ(stats.waiting, 1);
}

// What is of another kind in the same table is somebody else's, whatever it looks like.
TEST_F(TripPgTest, TouchesNothingOfAnotherKindInItsTable) {
  sql().Exec(
      "INSERT INTO sagas (saga_id, kind, version, dedupe_key, payload, owner, lease_until, waits_for, wakes_at, "
      "created_at, "
      "updated_at) VALUES "
      "('00000000-0000-7000-8000-000000000001', 'walk_dog', 1, 'b-1', '{}', 'example/0', now() - interval '1 h', NULL, "
      "NULL, "
      "now(), now()), "
      "('00000000-0000-7000-8000-000000000002', 'walk_dog', 1, 'b-2', '{}', 'example/1', now() + interval '1 h', NULL, "
      "NULL, "
      "now(), now()), "
      "('00000000-0000-7000-8000-000000000003', 'walk_dog', 1, 'b-3', '{}', NULL, NULL, 'walk/do/d-1', now(), now(), "
      "now())");
  const std::string before = sql().Value("SELECT string_agg(s::text, ';' ORDER BY saga_id) FROM sagas s");
  EXPECT_TRUE(journal_->ClaimExpired(true, 10)->empty());
  for (const char* text : {"00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002",
                           "00000000-0000-7000-8000-000000000003"}) {
    const Uuid id = *Uuid::Parse(text);
    EXPECT_EQ(journal_->Claim(id, saga::ClaimMode::kTakeOver).status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(journal_->Load(id).status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(
        journal_->AddSignal(id, {"walk", saga::Direction::kDo, "d-1", saga::Outcome::Succeeded()}).status().code(),
        absl::StatusCode::kNotFound);
  }
  ASSERT_TRUE(journal_->ReleaseAll().ok());
  EXPECT_EQ(sql().Value("SELECT string_agg(s::text, ';' ORDER BY saga_id) FROM sagas s"), before);
  EXPECT_EQ(sql().Value("SELECT count(*) FROM saga_signals"), "0");
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded) << "each kind has keys of its own";
  storage::PostgresOrderStore store(pool_);
  EXPECT_EQ(store.Unfinished(kinds_)->not_driven_here, 2);
}

TEST_F(TripPgTest, KeepsWhatANewerBuildHasAddedToThePayload) {
  const Uuid id = RunUntilTheHotelIsAwaited();
  sql().Exec("UPDATE sagas SET payload = payload || '{\"insurance\": \"I-1\"}'");
  ASSERT_TRUE(
      runner_->AddSignal(id, {"book_hotel", saga::Direction::kDo, "h-1", saga::Outcome::Succeeded("room")}).ok());
  EXPECT_TRUE(
      testing::Eventually(absl::Seconds(20), [&] { return sql().Value("SELECT state FROM sagas") == "succeeded"; }));
  EXPECT_EQ(sql().Value("SELECT payload->>'insurance' FROM sagas"), "I-1");
}

TEST_F(TripPgTest, KeepsAnAnswerThatIsNoText) {
  airline_.WillAnswer(saga::Outcome::Succeeded(std::string("\xff\0ticket", 8)));
  EXPECT_EQ(Run("b-1"), saga::State::kSucceeded);
  EXPECT_THAT(sql().Value("SELECT payload->>'flight_ticket' FROM sagas"), ::testing::HasSubstr("ticket"));
}

TEST_F(TripPgTest, SharesCommitsWithOrders) {
  std::mutex mutex;
  std::condition_variable changed;
  int begun = 0;
  std::vector<std::unique_ptr<saga::Record>> records;
  for (int i = 0; i < 20; ++i) {
    records.push_back(NewOrder("k-" + std::to_string(i)));
    records.push_back(NewTrip(ids_.Next(), clock_.Now(), "k-" + std::to_string(i / 2)));  // each twice
  }
  for (const auto& record : records) {
    journal_->Begin(*record, [&](auto existing) {
      EXPECT_TRUE(existing.ok()) << existing.status();
      std::lock_guard lock(mutex);
      ++begun;
      changed.notify_all();
    });
  }
  std::unique_lock lock(mutex);
  ASSERT_TRUE(changed.wait_for(lock, std::chrono::seconds(30), [&] { return begun == 40; }));
  EXPECT_EQ(sql().Value("SELECT count(*) FROM order_sagas"), "20");
  EXPECT_EQ(sql().Value("SELECT count(*) FROM sagas"), "10");
}

// What is the matter with the tables of one kind keeps nothing of another from being recovered.
TEST_F(TripPgTest, IsRecoveredWhateverIsTheMatterWithOrders) {
  auto trip = NewTrip(ids_.Next(), clock_.Now(), "b-1");
  std::promise<absl::Status> begun;
  journal_->Begin(*trip, [&](auto existing) { begun.set_value(existing.status()); });
  ASSERT_TRUE(begun.get_future().get().ok());
  ASSERT_TRUE(journal_->ReleaseAll().ok());
  sql().Exec("ALTER TABLE order_sagas RENAME TO order_sagas_away");
  auto claimed = journal_->ClaimExpired(false, 10);
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->size(), 1u);
  EXPECT_FALSE(journal_->ClaimExpired(false, 10).ok()) << "nothing was claimed, and something is the matter";
}

TEST_F(TripPgTest, IsFoundClaimedAndLetGoBesideOrders) {
  auto order = NewOrder("k-1"), trip = NewTrip(ids_.Next(), clock_.Now(), "k-1");
  for (const auto* record : {&order, &trip}) {
    std::promise<absl::Status> begun;
    journal_->Begin(**record, [&](auto existing) { begun.set_value(existing.status()); });
    ASSERT_TRUE(begun.get_future().get().ok());
  }
  for (const auto* record : {&order, &trip}) {
    auto claimed = journal_->Claim((*record)->id, saga::ClaimMode::kTakeOver);
    ASSERT_TRUE(claimed.ok()) << claimed.status();
    EXPECT_EQ((*claimed)->kind, (*record)->kind);
    EXPECT_EQ((*claimed)->epoch, 2);
    EXPECT_EQ((*journal_->Load((*record)->id))->kind, (*record)->kind);
  }
  const saga::Held held[] = {{order->kind, order->id, 2}, {trip->kind, trip->id, 1}};
  EXPECT_THAT(*journal_->Renew(held), ::testing::ElementsAre(trip->id)) << "it is under epoch 2";
  EXPECT_EQ(journal_->ClaimExpired(false, 10)->size(), 0u);
  ASSERT_TRUE(journal_->ReleaseAll().ok());
  EXPECT_EQ(journal_->ClaimExpired(false, 1)->size(), 1u);
  EXPECT_EQ(journal_->ClaimExpired(false, 10)->size(), 1u);
  EXPECT_EQ(journal_->Claim(ids_.Next(), saga::ClaimMode::kTakeOver).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace waybill::example
