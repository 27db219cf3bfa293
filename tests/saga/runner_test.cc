#include "saga/runner.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "saga/testing/memory_journal.h"
#include "saga/testing/mock_journal.h"
#include "saga/testing/scripted_participant.h"
#include "tests/saga/story.h"

namespace waybill::saga {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::NiceMock;
using ::waybill::testing::ManualTime;

struct Trip {
  static constexpr std::string_view kKind = "trip";

  std::string booking;
  struct Effects {
    bool claim = false;
  };
  Effects effects;
};

const Trip& TripOf(const Record& record) { return As<Trip>(record).payload; }

class RunnerTest : public ::testing::Test {
 protected:
  struct Process {
    Process(RunnerTest& test, const std::string& instance, size_t live_max = 20'000)
        : journal(test.book_, test.store_clock_, {instance, std::to_string(++test.lives_), absl::Seconds(10)}),
          kinds({test.definition_}),
          runner(kinds, journal, test.time_, test.time_, test.random_, observer, {absl::Seconds(10), 3, live_max}) {}
    testing::MemoryJournal journal;
    Kinds kinds;
    NiceMock<testing::MockObserver> observer;
    Runner runner;
  };

  RunnerTest() {
    kind_.dedupe_key = [](const Record& record) { return TripOf(record).booking; };
    definition_ = Define<Trip>()
                      .Step("flight")
                      .Does(flight_.action())
                      .UndoneBy(unflight_.action())
                      .Retried(policy_)
                      .Step("hotel")
                      .Does(hotel_.action())
                      .UndoneBy(unhotel_.action())
                      .Retried(policy_)
                      .Step("seat")
                      .Does(seat_.action(true))
                      .UndoneBy(unseat_.action(true))
                      .Retried(policy_)
                      .Done();
  }

  Uuid Start(Process& process, const std::string& booking = "") {
    auto record = std::make_unique<RecordOf<Trip>>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    record->payload.booking = booking;
    Uuid id = record->id;
    process.runner.Start(
        std::move(record), [this](auto begun) { begun_ = std::move(begun); },
        [this](auto settled) { Keep(std::move(settled)); });
    return id;
  }

  void Direct(Process& process, const Uuid& id, Directive::Kind kind, std::string detail = "") {
    process.runner.Direct(id, {kind, std::move(detail)}, nullptr, [this](auto settled) { Keep(std::move(settled)); });
  }

  // For processes that begin from now on.
  void HavePatience(absl::Duration retry_for) {
    policy_.retry_for = retry_for;
    for (Step& step : definition_.steps) step.retry = policy_;
  }

  void Keep(absl::StatusOr<const Record*> settled) {
    ++settled_count_;
    settled_ = settled.ok() ? absl::StatusOr<State>((*settled)->state) : settled.status();
  }

  const testing::MemoryBook::Row& Row(const Uuid& id) { return book_.rows.at(id); }
  State StateOf(const Uuid& id) { return Row(id).record->state; }

  std::vector<std::string> Story(const Uuid& id) { return testing::StoryOf(Row(id).log); }

  int lives_ = 0;
  ManualTime time_;
  waybill::testing::DistantClock store_clock_{time_};
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  RetryPolicy policy_{.attempts_max = 3, .retry_for = absl::ZeroDuration(), .attention_after = 4};
  testing::MemoryBook book_;
  testing::MemoryKind& kind_ = book_.kinds[std::string(Trip::kKind)];
  testing::ScriptedParticipant<Trip> flight_, unflight_, hotel_, unhotel_, seat_, unseat_, told_;
  Definition definition_;

  absl::StatusOr<std::unique_ptr<Record>> begun_ = absl::UnknownError("not called");
  absl::StatusOr<State> settled_ = absl::UnknownError("not called");
  int settled_count_ = 0;
};

TEST_F(RunnerTest, DoesTheStepsInOrderAndSettles) {
  Process process(*this, "a");
  Uuid id = Start(process);
  EXPECT_EQ(*settled_, State::kSucceeded);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel succeeded", "seat succeeded"));
  EXPECT_EQ(process.runner.live(), 0u);
}

TEST_F(RunnerTest, SharesACommitBetweenTransitionsWithoutAnOutsideCall) {
  Process process(*this, "a");
  Start(process);
  EXPECT_EQ(book_.writes, 3);  // begin; flight's outcome before hotel's call; hotel's outcome with seat's
}

// A repeated request finds its saga in the books and waits for it here, while whoever began it has not heard of that
// yet.
TEST_F(RunnerTest, WhoeverWaitsForASagaThatIsNotBegunIsToldHoweverThatEnds) {
  for (const bool lost : {true, false}) {
    const std::string booking = lost ? "lost" : "taken";
    Process a(*this, "a"), b(*this, "b");
    std::vector<testing::MemoryJournal::Task> writes;
    a.journal.set_defer([&](auto task) { writes.push_back(std::move(task)); });
    const Uuid id = Start(a, booking);
    absl::StatusOr<State> told = absl::UnknownError("not told");
    Runner::Settled waiter = [&](absl::StatusOr<const Record*> settled) {
      told = settled.ok() ? absl::StatusOr<State>((*settled)->state) : settled.status();
    };
    ASSERT_TRUE(a.runner.WhenSettled(id, waiter));
    settled_count_ = 0;
    if (lost) {
      a.journal.set_error(absl::UnavailableError("no answer"));
    } else {
      Start(b, booking);  // the key is taken
      settled_count_ = 0;
    }
    for (size_t i = 0; i < writes.size(); ++i) std::exchange(writes[i], nullptr)();
    EXPECT_EQ(begun_.ok(), !lost);
    EXPECT_EQ(settled_count_, 0) << "who began it is told by that";
    EXPECT_NE(told.status().message(), "not told");
    EXPECT_FALSE(told.ok());
  }
}

TEST_F(RunnerTest, CallsUnderOneKeyAStep) {
  Process process(*this, "a");
  flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(flight_.keys, ElementsAre(id.ToString() + "/flight", id.ToString() + "/flight"));
  EXPECT_THAT(flight_.attempts, ElementsAre(1, 2));
  EXPECT_EQ(*settled_, State::kSucceeded);
}

TEST_F(RunnerTest, PersistsTheOutcomeBeforeTheNextOutsideCall) {
  Process process(*this, "a");
  hotel_.Hold();
  Uuid id = Start(process);
  ASSERT_EQ(hotel_.held(), 1u);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded"));
  EXPECT_EQ(Row(id).record->step, 1);
}

TEST_F(RunnerTest, UndoesCompletedStepsInReverse) {
  Process process(*this, "a");
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT", "no seat"));
  Uuid id = Start(process);
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_THAT(Story(id),
              ElementsAre("flight succeeded", "hotel succeeded", "seat rejected", "hotel undone", "flight undone"));
  EXPECT_THAT(unseat_.keys, IsEmpty());
  EXPECT_EQ(Row(id).record->failure.reason, "SOLD_OUT");
}

TEST_F(RunnerTest, UndoesNothingWhenTheFirstStepIsRejected) {
  Process process(*this, "a");
  flight_.WillAnswer(Outcome::Rejected("FULL"));
  Uuid id = Start(process);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_THAT(unflight_.keys, IsEmpty());
}

TEST_F(RunnerTest, ARefusalAfterAnUnknownAttemptUndoesTheStepItself) {
  Process process(*this, "a");
  flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  flight_.WillAnswer(Outcome::Rejected("FULL"));
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_THAT(Story(id), ElementsAre("flight unknown", "flight rejected", "flight undone"));
  EXPECT_THAT(unflight_.keys, ElementsAre(id.ToString() + "/flight"));
  EXPECT_EQ(Row(id).record->failure.reason, "FULL");

  hotel_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  hotel_.WillAnswer(Outcome::Rejected("NO_ROOM"));
  Uuid other = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(Story(other),
              ElementsAre("flight succeeded", "hotel unknown", "hotel rejected", "hotel undone", "flight undone"));
}

TEST_F(RunnerTest, AStepThatBeginsAnewIsCalledAtOnceWithWhatIsDurable) {
  Process process(*this, "a");
  flight_.Hold();
  const Uuid id = Start(process);
  flight_.Answer(Outcome::Again("by the other airline"));
  ASSERT_EQ(flight_.held(), 1u) << "at once";
  EXPECT_THAT(Story(id), ElementsAre("flight again"));
  EXPECT_EQ(Row(id).log.back().detail, "by the other airline");
  flight_.Unhold();
  flight_.Answer(Outcome::Succeeded());
  EXPECT_EQ(*settled_, State::kSucceeded);
  EXPECT_THAT(flight_.attempts, ElementsAre(1, 1)) << "counted anew";
}

TEST_F(RunnerTest, WhatBeginsAnewLeavesNothingInDoubt) {
  Process process(*this, "a");
  flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  flight_.WillAnswer(Outcome::Again());
  flight_.WillAnswer(Outcome::Rejected("FULL"));
  const Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(Story(id), ElementsAre("flight unknown", "flight again", "flight rejected"));
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_THAT(unflight_.keys, IsEmpty());
}

TEST_F(RunnerTest, WhatBeginsAnewHasItsWholeBudget) {
  Process process(*this, "a");
  for (int gateway = 0; gateway < 2; ++gateway) {
    flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
    flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
    flight_.WillAnswer(Outcome::Again());
  }
  flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(*settled_, State::kSucceeded);
  EXPECT_THAT(flight_.attempts, ElementsAre(1, 2, 3, 1, 2, 3, 1, 2, 3));
}

TEST_F(RunnerTest, AnUndoCannotBeginAnew) {
  Process process(*this, "a");
  hotel_.WillAnswer(Outcome::Rejected("FULL"));
  unflight_.WillAnswer(Outcome::Again());
  const Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel rejected", "flight undo_failed", "flight undone"));
}

TEST_F(RunnerTest, ACallThatWasNotMadeLeavesNothingInDoubt) {
  Process process(*this, "a");
  flight_.WillAnswer(Outcome::NotMade("NO_CONNECTION"));
  flight_.WillAnswer(Outcome::Rejected("FULL"));
  const Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(Story(id), ElementsAre("flight unknown", "flight rejected"));
  EXPECT_THAT(unflight_.keys, IsEmpty());
}

TEST_F(RunnerTest, AnActionIsToldWhatIsInDoubt) {
  std::vector<bool> in_doubt;
  definition_.steps[0].does.call = [&](const Attempt& attempt, Record&, OutcomeCallback done) {
    in_doubt.push_back(attempt.in_doubt);
    const std::vector<Outcome> answers = {Outcome::NotMade("NO_CONNECTION"), Outcome::Unknown("TIMEOUT"),
                                          Outcome::Again(), Outcome::Succeeded()};
    done(answers.at(in_doubt.size() - 1));
  };
  Process process(*this, "a");
  Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(in_doubt, ElementsAre(false, false, true, false));
}

TEST_F(RunnerTest, ARefusalAfterAClaimUndoesTheStepItself) {
  Process crashed(*this, "a");
  flight_.Hold();
  Uuid id = Start(crashed);  // its call may have gone out, and may still land
  flight_.Unhold();
  flight_.WillAnswer(Outcome::Rejected("FULL"));
  Process next(*this, "a");
  EXPECT_EQ(*next.runner.RecoverExpired(true, 100), 1u);
  EXPECT_THAT(Story(id), ElementsAre("recovered", "flight rejected", "flight undone"));
}

TEST_F(RunnerTest, AnUnknownAttemptIsOfItsStepOnly) {
  Process crashed(*this, "a");
  flight_.Hold();
  Uuid id = Start(crashed);
  flight_.Unhold();
  flight_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  hotel_.WillAnswer(Outcome::Rejected("NO_ROOM"));
  Process next(*this, "a");
  EXPECT_EQ(*next.runner.RecoverExpired(true, 100), 1u);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(Story(id),
              ElementsAre("recovered", "flight unknown", "flight succeeded", "hotel rejected", "flight undone"));
  EXPECT_THAT(unhotel_.keys, IsEmpty());
}

TEST_F(RunnerTest, AJournaledCallLeavesNothingInDoubt) {
  Process process(*this, "a");
  seat_.WillAnswer(Outcome::Unknown("CANNOT_LOOK"));
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_THAT(unseat_.keys, IsEmpty());
}

TEST_F(RunnerTest, UndoesAStepWhoseOutcomeStaysUnknown) {
  Process process(*this, "a");
  for (int i = 0; i < 3; ++i) hotel_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel unknown", "hotel unknown", "hotel unknown",
                                     "hotel undone", "flight undone"));
}

TEST_F(RunnerTest, TurnsBackOnlyWhenAttemptsAndTimeAreSpent) {
  HavePatience(absl::Seconds(30));
  Process process(*this, "a");
  flight_.WillAnswer(Outcome::Unknown("DOWN"));
  for (int i = 0; i < 1'000; ++i) hotel_.WillAnswer(Outcome::Unknown("DOWN"));
  const absl::Time begun = time_.Now();
  Uuid id = Start(process);
  time_.Advance(absl::Seconds(29));
  EXPECT_EQ(StateOf(id), State::kRunning) << "the attempts alone were spent long ago";
  EXPECT_GT(Row(id).record->attempt, 3);
  while (settled_count_ == 0 && time_.RunNext()) {
  }
  EXPECT_EQ(*settled_, State::kCompensated);
  // The last attempt is made when the time is over, and not a pause later; each step has its own.
  EXPECT_GE(time_.Now() - begun, absl::Seconds(30));
  EXPECT_LT(time_.Now() - begun, absl::Seconds(31));

  // With an attempt that takes longer than the time, the attempts are still made.
  policy_.retry_for = absl::Seconds(1);
  definition_.steps[1].retry = policy_;
  hotel_.Hold();
  Process hurried(*this, "b");
  Uuid slow = Start(hurried);
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(hotel_.held(), 1u) << attempt;
    time_.Advance(absl::Seconds(2));
    hotel_.Answer(Outcome::Unknown("TIMEOUT"));
    time_.Advance(absl::Seconds(1));
  }
  EXPECT_EQ(StateOf(slow), State::kCompensated);
}

TEST_F(RunnerTest, GivesUpAtOnceWhenToldTo) {
  Process process(*this, "a");
  hotel_.WillAnswer(Outcome::Unknown("BROKEN", "", true));
  Uuid id = Start(process);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel unknown", "hotel undone", "flight undone"));
}

TEST_F(RunnerTest, CompensationNeverGivesUpAndCallsForAttention) {
  Process process(*this, "a");
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  for (int i = 0; i < 100; ++i) unhotel_.WillAnswer(Outcome::Unknown("DOWN"));
  EXPECT_CALL(process.observer, OnNeedsAttention(_)).Times(1);
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(settled_count_, 0);
  EXPECT_TRUE(Row(id).record->needs_attention);
  EXPECT_LT(Row(id).log.size(), 14u) << "the log must not grow with every attempt";
  time_.Advance(absl::Hours(3));
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_FALSE(Row(id).record->needs_attention);
}

TEST_F(RunnerTest, OneHopelessSagaDoesNotSlowAnother) {
  Process process(*this, "a");
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  unhotel_.Hold();
  Start(process);
  unhotel_.Unhold();
  Uuid second = Start(process);
  EXPECT_EQ(StateOf(second), State::kSucceeded);
  unhotel_.Answer(Outcome::Succeeded());
}

TEST_F(RunnerTest, AnswersTheRecordThatHoldsTheKey) {
  Process process(*this, "a");
  Uuid first = Start(process, "booking-1");
  Start(process, "booking-1");
  ASSERT_TRUE(begun_.ok() && *begun_ != nullptr);
  EXPECT_EQ((*begun_)->id, first);
  EXPECT_EQ(settled_count_, 1) << "a duplicate settles nothing";
  EXPECT_EQ(flight_.keys.size(), 1u);
}

TEST_F(RunnerTest, AllWaitersAreToldOnce) {
  Process process(*this, "a");
  flight_.Hold();
  Uuid id = Start(process);
  Runner::Settled waiter = [this](auto settled) { Keep(std::move(settled)); };
  ASSERT_TRUE(process.runner.WhenSettled(id, waiter));
  flight_.Answer(Outcome::Succeeded());
  EXPECT_EQ(settled_count_, 2);
  Runner::Settled late = [](auto) { FAIL(); };
  EXPECT_FALSE(process.runner.WhenSettled(id, late));
  EXPECT_TRUE(late != nullptr);
}

TEST_F(RunnerTest, CancelWhileACallIsInFlightUndoesItOnceItCameBack) {
  Process process(*this, "a");
  hotel_.Hold();
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kCancel, "changed my mind");
  EXPECT_EQ(settled_count_, 0);
  hotel_.Answer(Outcome::Succeeded());
  EXPECT_EQ(settled_count_, 2);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, kCancelledReason);
  // "seat" was never called; undoing it closes its key all the same.
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel succeeded", "cancelled", "seat undone", "hotel undone",
                                     "flight undone"));
}

TEST_F(RunnerTest, CancelDuringBackoffDoesNotWaitForIt) {
  Process process(*this, "a");
  hotel_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  Uuid id = Start(process);
  ASSERT_EQ(time_.pending(), 1u);
  Direct(process, id, Directive::Kind::kCancel);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(time_.pending(), 0u);
}

TEST_F(RunnerTest, CancelTurnsASucceededSagaBack) {
  Process process(*this, "a");
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kCancel);
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel succeeded", "seat succeeded", "cancelled",
                                     "seat undone", "hotel undone", "flight undone"));
  Direct(process, id, Directive::Kind::kCancel);
  EXPECT_EQ(*settled_, State::kCompensated) << "repeating it is harmless";
  EXPECT_EQ(Row(id).log.size(), 7u);
}

TEST_F(RunnerTest, CancelFromAnotherProcessFencesTheFirst) {
  Process a(*this, "a"), b(*this, "b");
  hotel_.Hold();
  Uuid id = Start(a);
  hotel_.Unhold();
  EXPECT_CALL(a.observer, OnFenced(_)).Times(1);
  Direct(b, id, Directive::Kind::kCancel);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  size_t entries = Row(id).log.size();
  hotel_.Answer(Outcome::Succeeded());  // a's late call comes back: a may change nothing any more
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).log.size(), entries);
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kAborted);
}

TEST_F(RunnerTest, CloseEndsASucceededSagaForGood) {
  Process process(*this, "a");
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kClose);
  EXPECT_EQ(*settled_, State::kClosed);
  Direct(process, id, Directive::Kind::kClose);
  EXPECT_EQ(*settled_, State::kClosed);
  Direct(process, id, Directive::Kind::kCancel);
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(StateOf(id), State::kClosed);
}

TEST_F(RunnerTest, ClosingWithNobodyToTellIsOneCommit) {
  Process process(*this, "a");
  Uuid id = Start(process);
  const int before = book_.writes;
  Direct(process, id, Directive::Kind::kClose);
  EXPECT_EQ(book_.writes, before + 1);
  EXPECT_THAT(Story(id).back(), "closed");
}

TEST_F(RunnerTest, ClosingIsDurableAndAnsweredBeforeAnybodyIsTold) {
  definition_.steps[1].closed_by = told_.action();
  Process process(*this, "a");
  Uuid id = Start(process);
  told_.Hold();
  Direct(process, id, Directive::Kind::kClose);
  EXPECT_EQ(*settled_, State::kClosing);
  EXPECT_EQ(StateOf(id), State::kClosing);
  ASSERT_EQ(told_.held(), 1u);
  EXPECT_THAT(told_.keys, ElementsAre(id.ToString() + "/hotel"));
  Direct(process, id, Directive::Kind::kClose);
  absl::Status cancelled;
  process.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr,
                        [&](auto settled) { cancelled = settled.status(); });
  told_.Answer(Outcome::Succeeded());
  EXPECT_EQ(cancelled.code(), absl::StatusCode::kFailedPrecondition) << "too late";
  EXPECT_EQ(settled_count_, 3);
  EXPECT_EQ(*settled_, State::kClosed);
  EXPECT_EQ(StateOf(id), State::kClosed);
  EXPECT_THAT(Story(id),
              ElementsAre("flight succeeded", "hotel succeeded", "seat succeeded", "closed", "hotel closed"));
  EXPECT_THAT(unhotel_.keys, IsEmpty());
}

TEST_F(RunnerTest, WhoeverTakesAClosingSagaOverTellsOnlyWhatIsDurable) {
  definition_.steps[1].closed_by = told_.action();
  Process a(*this, "a"), b(*this, "b");
  Uuid id = Start(a);
  told_.Hold();
  Direct(a, id, Directive::Kind::kClose);
  int64_t told = 0, durable = 0;
  b.runner.Direct(id, {Directive::Kind::kClose, ""}, nullptr, [&](auto settled) {
    ASSERT_TRUE(settled.ok()) << settled.status();
    told = (*settled)->seq;
    durable = Row(id).record->seq;
  });
  EXPECT_GT(told, 0);
  EXPECT_EQ(told, durable) << "that it was recovered is written with what comes next";
}

TEST_F(RunnerTest, ClosingNeverGivesUpAndCallsForAttention) {
  definition_.steps[1].closed_by = told_.action();
  Process process(*this, "a");
  for (int i = 0; i < 100; ++i) told_.WillAnswer(Outcome::Unknown("DOWN"));
  EXPECT_CALL(process.observer, OnNeedsAttention(_)).Times(2);  // once for each of the two sagas
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kClose);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StateOf(id), State::kClosing);
  EXPECT_TRUE(Row(id).record->needs_attention);
  time_.Advance(absl::Hours(3));
  EXPECT_EQ(StateOf(id), State::kClosed);
  EXPECT_FALSE(Row(id).record->needs_attention);

  for (int i = 0; i < 100; ++i) told_.WillAnswer(Outcome::Unknown("DOWN"));
  Uuid given_up = Start(process);
  Direct(process, given_up, Directive::Kind::kClose);
  time_.Advance(absl::Minutes(5));
  Direct(process, given_up, Directive::Kind::kResolve, "the dispatcher is no more");
  EXPECT_EQ(*settled_, State::kClosed);
}

TEST_F(RunnerTest, WhoeverRecoversAClosingSagaTellsTheRest) {
  definition_.steps[1].closed_by = told_.action();
  Process crashed(*this, "a");
  told_.Hold();
  Uuid id = Start(crashed);
  Direct(crashed, id, Directive::Kind::kClose);
  told_.Unhold();
  Process next(*this, "a");
  EXPECT_EQ(*next.runner.RecoverExpired(true, 100), 1u);
  EXPECT_EQ(StateOf(id), State::kClosed);
  EXPECT_EQ(told_.keys.size(), 2u);
}

TEST_F(RunnerTest, CloseIsRefusedBeforeSuccess) {
  Process process(*this, "a");
  flight_.Hold();
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kClose);
  flight_.Answer(Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(RunnerTest, RetryNowEndsABackoff) {
  Process process(*this, "a");
  hotel_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kRetry);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(RunnerTest, ResolveEndsOnlyWhatNeedsAttention) {
  Process process(*this, "a");
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  for (int i = 0; i < 100; ++i) unhotel_.WillAnswer(Outcome::Unknown("DOWN"));
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kResolve, "too early");
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kFailedPrecondition);
  time_.Advance(absl::Minutes(10));
  Direct(process, id, Directive::Kind::kResolve, "ann: paid back by bank transfer");
  EXPECT_EQ(*settled_, State::kResolved);
  EXPECT_EQ(Row(id).log.back().detail, "ann: paid back by bank transfer");
  EXPECT_FALSE(Row(id).record->needs_attention);
  EXPECT_EQ(time_.pending(), 0u) << "nothing is retried any more";
}

TEST_F(RunnerTest, UnknownSagaIsNotFound) {
  Process process(*this, "a");
  Direct(process, ids_.Next(), Directive::Kind::kCancel);
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(RunnerTest, RecoversWhatACrashedProcessLeft) {
  Process crashed(*this, "a");
  hotel_.Hold();
  Uuid id = Start(crashed);
  Process next(*this, "b");
  EXPECT_EQ(*next.runner.RecoverExpired(true, 100), 0u) << "the lease still holds";
  time_.Advance(absl::Seconds(11));
  hotel_.Unhold();
  EXPECT_EQ(*next.runner.RecoverExpired(true, 100), 1u);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "recovered", "hotel succeeded", "seat succeeded"));
  EXPECT_THAT(hotel_.keys, ElementsAre(id.ToString() + "/hotel", id.ToString() + "/hotel"));
  hotel_.Answer(Outcome::Succeeded());  // fenced: the crashed one was only asleep
  EXPECT_EQ(Row(id).log.size(), 4u);
}

TEST_F(RunnerTest, ClaimsItsOwnLeasesAfterARestart) {
  Process before(*this, "a");
  hotel_.Hold();
  Uuid id = Start(before);
  hotel_.Unhold();
  Process after(*this, "a");
  EXPECT_EQ(*after.runner.RecoverExpired(true, 100), 1u);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(RunnerTest, RecoveryKeepsItsLimit) {
  Process crashed(*this, "a");
  flight_.Hold();
  for (int i = 0; i < 5; ++i) Start(crashed);
  time_.Advance(absl::Minutes(1));
  Process next(*this, "b");
  EXPECT_EQ(*next.runner.RecoverExpired(false, 3), 3u);
  EXPECT_EQ(*next.runner.RecoverExpired(false, 3), 0u);
  crashed.journal.set_error(absl::UnavailableError("dead"));
  while (flight_.held() > 0) flight_.Answer(Outcome::Succeeded());
  EXPECT_EQ(*next.runner.RecoverExpired(false, 3), 2u);
}

TEST_F(RunnerTest, RenewsLeasesAndLetsGoOfLostOnes) {
  Process a(*this, "a");
  hotel_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  for (int i = 0; i < 50; ++i) unhotel_.WillAnswer(Outcome::Unknown("DOWN"));
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  Uuid id = Start(a);
  for (int i = 0; i < 20; ++i) {
    time_.Advance(absl::Seconds(4));
    ASSERT_TRUE(a.runner.RenewLeases().ok());
    ASSERT_GT(Row(id).lease_until, time_.Now());
  }
  Process b(*this, "b");
  ASSERT_TRUE(b.journal.Claim(id, ClaimMode::kTakeOver).ok());
  time_.Advance(absl::Seconds(4));
  ASSERT_TRUE(a.runner.RenewLeases().ok());
  EXPECT_EQ(a.runner.live(), 0u);
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kAborted);
}

TEST_F(RunnerTest, NothingWaitsLongerWhenTheWallClockIsSetBack) {
  Process a(*this, "a");
  hotel_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  for (int i = 0; i < 50; ++i) unhotel_.WillAnswer(Outcome::Unknown("DOWN"));
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  Uuid id = Start(a);
  time_.SetWall(time_.Now() - absl::Hours(1));
  size_t tries = unhotel_.keys.size();
  for (int i = 0; i < 20; ++i) {
    time_.Advance(absl::Seconds(4));
    ASSERT_TRUE(a.runner.RenewLeases().ok());
    ASSERT_GT(Row(id).lease_until, store_clock_.Now()) << "after " << 4 * i << " s";
  }
  EXPECT_GE(unhotel_.keys.size(), tries + 2) << "backoffs go on";
}

TEST_F(RunnerTest, TheAgeOfASagaThatBeganHereIsTimeThatPassed) {
  Process a(*this, "a");
  flight_.Hold();
  EXPECT_CALL(a.observer, OnSettled(_, absl::Seconds(2)));
  Start(a);
  time_.SetWall(time_.Now() - absl::Hours(1));
  time_.Advance(absl::Seconds(2));
  flight_.Answer(Outcome::Succeeded());
}

TEST_F(RunnerTest, PicksAgainWhenAClaimIsLost) {
  int refusals = 2;
  kind_.apply_effects = [&](const Record& record) { return !TripOf(record).effects.claim || refusals-- <= 0; };
  seat_.on_success = [](Trip& trip) { trip.effects.claim = true; };
  Process process(*this, "a");
  EXPECT_CALL(process.observer, OnLostClaim(_)).Times(2);
  Uuid id = Start(process);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel succeeded", "seat succeeded"));
  EXPECT_EQ(seat_.keys.size(), 3u);
}

TEST_F(RunnerTest, ACancelSurvivesTheClaimThatIsLostInItsWrite) {
  // A claim by an outside call, as of a remote dispatcher, and nothing to undo it that would take the claim back.
  Action<Trip> seat = seat_.action(false);
  seat.claim_lost = [](Trip& trip) { trip.booking.clear(); };
  definition_.steps[2].does = seat;
  definition_.steps[2].undone_by = {};
  kind_.apply_effects = [](const Record& record) { return !TripOf(record).effects.claim; };
  seat_.on_success = [](Trip& trip) {
    trip.effects.claim = true;
    trip.booking = "seat 1";
  };
  seat_.Hold();
  Process process(*this, "a");
  Uuid id = Start(process);
  Direct(process, id, Directive::Kind::kCancel, "changed my mind");
  seat_.Answer(Outcome::Succeeded());  // claimed, then cancelled, and both in the write that loses the claim
  EXPECT_EQ(settled_count_, 2);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, kCancelledReason);
  EXPECT_EQ(Row(id).record->failure.detail, "changed my mind");
  EXPECT_EQ(TripOf(*Row(id).record).booking, "");
  EXPECT_THAT(Story(id),
              ElementsAre("flight succeeded", "hotel succeeded", "cancelled", "hotel undone", "flight undone"));
}

TEST_F(RunnerTest, ARefusedDirectiveSaysWhy) {
  Process process(*this, "a");
  Uuid id = Start(process);
  for (Directive::Kind kind : {Directive::Kind::kRetry, Directive::Kind::kResolve}) {
    Direct(process, id, kind);
    ErrorDetail detail = GetErrorDetail(settled_.status());
    EXPECT_EQ(detail.reason, "SAGA_STATE_FORBIDS");
    EXPECT_THAT(detail.metadata, ElementsAre(::testing::Pair("state", "succeeded")));
  }
}

TEST_F(RunnerTest, EndlesslyLostClaimsCountAsUnknownAndAreUndone) {
  HavePatience(absl::Seconds(30));
  kind_.apply_effects = [&](const Record& record) { return !TripOf(record).effects.claim; };
  seat_.on_success = [](Trip& trip) { trip.effects.claim = true; };
  Process process(*this, "a");
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, "CLAIM_LOST");
}

TEST_F(RunnerTest, AJournalErrorIsUnknownAndTheNextClaimReadsTheTruth) {
  Process process(*this, "a");
  flight_.Hold();
  Uuid id = Start(process);
  process.journal.set_error(absl::UnavailableError("gone"));
  flight_.Answer(Outcome::Succeeded());
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(process.runner.live(), 0u);
  process.journal.set_error(absl::OkStatus());
  flight_.Unhold();
  time_.Advance(absl::Seconds(11));
  EXPECT_EQ(*process.runner.RecoverExpired(true, 10), 1u);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(RunnerTest, CleansAndBoundsWhatAParticipantSays) {
  Process process(*this, "a");
  flight_.WillAnswer(Outcome::Unknown("DOWN", std::string("closed\0for \xff", 12)));
  flight_.WillAnswer(Outcome::Rejected(std::string(1'000, 'R'), std::string(100'000, 'x')));
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_EQ(Row(id).log[0].detail,
            "DOWN: closed\xef\xbf\xbd"
            "for \xef\xbf\xbd");
  EXPECT_LE(Row(id).record->failure.reason.size(), kReasonBytesMax);
  EXPECT_LE(Row(id).record->failure.detail.size(), kDetailBytesMax);
}

TEST_F(RunnerTest, WhatTheStoreRefusesForGoodCountsAsUnknownAndCallsAPerson) {
  kind_.can_hold = [](const Record& record) { return TripOf(record).booking != "unstorable"; };
  flight_.on_success = [](Trip& trip) { trip.booking = "unstorable"; };
  Process process(*this, "a");
  EXPECT_CALL(process.observer, OnRefused(_, _)).Times(3);
  hotel_.Hold();  // so that the flight's outcome is written by itself
  Uuid id = Start(process);
  EXPECT_TRUE(Row(id).record->needs_attention);
  EXPECT_EQ(Row(id).record->attempt, 2) << "the budget is spent";
  time_.Advance(absl::Minutes(10));
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_THAT(Story(id), ElementsAre("flight needs_attention", "flight unknown", "flight unknown", "flight unknown",
                                     "flight undone"));
  EXPECT_THAT(Row(id).log[1].detail, ::testing::HasSubstr("sqlstate 22021"));
  EXPECT_EQ(TripOf(*Row(id).record).booking, "") << "what could not be written is forgotten";
  EXPECT_EQ(Row(id).record->failure.reason, kStoreRefused);
  EXPECT_EQ(Row(id).record->epoch, 1) << "nobody had to claim it";
}

// A success that is not kept does not begin the step's time anew.
TEST_F(RunnerTest, WhatTheStoreRefusesForGoodTurnsBackWhenItsTimeIsOver) {
  HavePatience(absl::Seconds(30));
  kind_.can_hold = [](const Record& record) { return TripOf(record).booking != "unstorable"; };
  flight_.on_success = [](Trip& trip) { trip.booking = "unstorable"; };
  Process process(*this, "a");
  Uuid id = Start(process);
  time_.Advance(absl::Seconds(20));
  EXPECT_EQ(StateOf(id), State::kRunning);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, kStoreRefused);
}

// --- Limits.

TEST_F(RunnerTest, DirectivesFindNoRoomBeyondTheLimitEither) {
  definition_.steps[1].closed_by = told_.action();
  for (int i = 0; i < 1'000; ++i) told_.WillAnswer(Outcome::Unknown("DOWN"));
  Process process(*this, "a", 2);
  std::vector<Uuid> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(Start(process));
  for (int i = 0; i < 2; ++i) {
    Direct(process, ids[static_cast<size_t>(i)], Directive::Kind::kClose);
    EXPECT_TRUE(settled_.ok()) << settled_.status();
  }
  EXPECT_EQ(process.runner.room(), 0u);
  for (Directive::Kind kind : {Directive::Kind::kClose, Directive::Kind::kCancel}) {
    Direct(process, ids[2], kind);
    EXPECT_EQ(GetErrorDetail(settled_.status()).reason, "QUEUE_FULL");
    EXPECT_GT(GetErrorDetail(settled_.status()).retry_after, absl::ZeroDuration());
  }
  EXPECT_EQ(StateOf(ids[2]), State::kSucceeded);
  EXPECT_EQ(Row(ids[2]).record->epoch, 1) << "nobody claimed it";
  Direct(process, ids[0], Directive::Kind::kRetry);
  EXPECT_EQ(process.runner.live(), 2u) << "what is driven already can still be asked";
}

TEST_F(RunnerTest, WhatOnlyWaitsKeepsNoOtherFromBeingRecovered) {
  Process before(*this, "a");
  hotel_.Hold();
  std::vector<Uuid> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(Start(before));
  time_.Advance(absl::Seconds(11));
  Process after(*this, "b");
  hotel_.Unhold();
  for (int i = 0; i < 2; ++i) hotel_.WillAnswer(Outcome::Unknown("DOWN"));  // these back off
  EXPECT_EQ(*after.runner.RecoverExpired(false, 2), 2u);
  EXPECT_EQ(after.runner.live(), 2u);
  EXPECT_EQ(after.runner.recovered_in_flight(), 0u);
  EXPECT_EQ(*after.runner.RecoverExpired(false, 2), 1u);
  EXPECT_EQ(StateOf(ids[2]), State::kSucceeded);
}

TEST_F(RunnerTest, ALeaseRunsFromWhereItsWriteBegan) {
  Process process(*this, "a");
  std::vector<testing::MemoryJournal::Task> writes;
  process.journal.set_defer([&](auto task) { writes.push_back(std::move(task)); });
  hotel_.Hold();
  Uuid id = Start(process);
  auto run = [&] {
    auto task = std::move(writes.front());
    writes.erase(writes.begin());
    task();
  };
  run();  // written
  time_.Advance(absl::Seconds(8));
  run();  // and answered
  ASSERT_TRUE(process.runner.RenewLeases().ok());
  EXPECT_EQ(Row(id).lease_until, store_clock_.Now() + absl::Seconds(10)) << "two seconds of it were left";
  while (!writes.empty()) run();
  hotel_.Answer(Outcome::Succeeded());
  while (!writes.empty()) run();
}

struct Errand {
  static constexpr std::string_view kKind = "errand";
  struct Effects {};
  Effects effects;
};

TEST_F(RunnerTest, LeasesOfOneKindAreRenewedWhateverIsTheMatterWithAnother) {
  flight_.Hold();
  testing::ScriptedParticipant<Errand> errand;
  errand.Hold();
  const Kinds kinds({definition_, Define<Errand>().Step("run").Does(errand.action()).Done()});
  NiceMock<testing::MockJournal> journal;
  ON_CALL(journal, Begin).WillByDefault([](const Record&, auto done) { done(nullptr); });
  ON_CALL(journal, Advance).WillByDefault([](const Write&, auto done) { done(WriteResult::kApplied); });
  NiceMock<testing::MockObserver> observer;
  Runner runner(kinds, journal, time_, time_, random_, observer, {absl::Seconds(10), 3});
  for (int i = 0; i < 4; ++i) {
    std::unique_ptr<Record> record;
    if (i % 2 == 0) {
      record = std::make_unique<RecordOf<Trip>>();
    } else {
      record = std::make_unique<RecordOf<Errand>>();
    }
    record->id = ids_.Next();
    record->created_at = time_.Now();
    runner.Start(
        std::move(record), [](auto) {}, [](auto) {});
  }
  time_.Advance(absl::Seconds(4));
  std::vector<std::string> renewed;
  EXPECT_CALL(journal, Renew).WillRepeatedly([&](std::span<const Held> held) -> absl::StatusOr<std::vector<Uuid>> {
    for (const Held& one : held) EXPECT_EQ(one.kind, held.front().kind);
    if (held.front().kind == Errand::kKind) return absl::UnavailableError("its table is locked");
    renewed.insert(renewed.end(), held.size(), std::string(held.front().kind));
    return std::vector<Uuid>();
  });
  EXPECT_FALSE(runner.RenewLeases().ok());
  EXPECT_THAT(renewed, ElementsAre("trip", "trip"));
  for (int i = 0; i < 2; ++i) {
    flight_.Answer(Outcome::Rejected("OVER"));
    errand.Answer(Outcome::Rejected("OVER"));
  }
}

TEST_F(RunnerTest, ADirectiveForABeginThatIsAnothersIsAnswered) {
  Process a(*this, "a"), b(*this, "b");
  bool taken = false;
  Uuid id;
  std::vector<absl::Status> told;
  a.journal.set_in_gap([&](Gap gap) {
    if (gap != Gap::kAfterBegin || std::exchange(taken, true)) return absl::OkStatus();
    id = book_.rows.begin()->first;
    a.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr,
                    [&](auto settled) { told.push_back(settled.status()); });
    EXPECT_TRUE(b.journal.Claim(id, ClaimMode::kTakeOver).ok());
    return absl::UnavailableError("the answer is lost");
  });
  Start(a, "booking");
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].code(), absl::StatusCode::kAborted) << told[0];
  EXPECT_EQ(a.runner.live(), 0u);
}

TEST_F(RunnerTest, DirectsNothingOnceStopped) {
  Process a(*this, "a"), b(*this, "b");
  hotel_.Hold();
  Uuid id = Start(b);
  a.runner.Stop(time_.Steady());
  Direct(a, id, Directive::Kind::kCancel);
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Row(id).record->epoch, 1) << "the other replica drives it";
  hotel_.Answer(Outcome::Succeeded());
}

TEST_F(RunnerTest, AnUndoWhoseOutcomeTheStoreRefusesIsTriedAgain) {
  bool holds = false;
  kind_.can_hold = [&](const Record& record) { return holds || TripOf(record).booking != "unstorable"; };
  unhotel_.on_success = [](Trip& trip) { trip.booking = "unstorable"; };
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  Process process(*this, "a");
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StateOf(id), State::kCompensating);
  EXPECT_TRUE(Row(id).record->needs_attention);
  EXPECT_LT(unhotel_.keys.size(), 40u) << "it backs off";
  holds = true;
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(*settled_, State::kCompensated);
}

TEST_F(RunnerTest, ADirectiveThatTheStoreRefusesIsAnsweredSo) {
  Process process(*this, "a");
  Uuid id = Start(process);
  kind_.can_hold = [](const Record&) { return false; };
  Direct(process, id, Directive::Kind::kClose);
  EXPECT_EQ(GetErrorDetail(settled_.status()).reason, kStoreRefused);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_EQ(process.runner.live(), 0u);
}

TEST_F(RunnerTest, TriesNoFasterWhenTheStoreRefusesEverything) {
  Process process(*this, "a");
  kind_.can_hold = [](const Record&) { return false; };
  Uuid id = Start(process);
  for (int i = 0; i < 100; ++i) {
    time_.Advance(absl::Seconds(3));
    ASSERT_TRUE(process.runner.RenewLeases().ok());
  }
  EXPECT_EQ(Row(id).record->epoch, 1);
  EXPECT_LT(flight_.keys.size(), 15u);
  kind_.can_hold = [](const Record&) { return true; };
  time_.Advance(absl::Minutes(10));
  EXPECT_EQ(*settled_, State::kSucceeded);
  EXPECT_FALSE(Row(id).record->needs_attention);
}

TEST_F(RunnerTest, StopLetsGoAndEndsTheLeases) {
  Process a(*this, "a");
  hotel_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  Uuid id = Start(a);
  a.runner.Stop(time_.Steady());
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(a.runner.ReleaseLeases().ok());
  Process b(*this, "b");
  EXPECT_EQ(*b.runner.RecoverExpired(false, 10), 1u) << "at once, without waiting for the lease to run out";
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(RunnerTest, CallsNobodyAndWritesNothingOnceStopped) {
  Process a(*this, "a");
  flight_.Hold();
  Uuid in_call = Start(a);
  std::vector<testing::MemoryJournal::Task> writes;
  a.journal.set_defer([&](auto task) { writes.push_back(std::move(task)); });
  Uuid in_write = Start(a);  // its beginning is being written
  a.runner.Stop(time_.Steady());
  flight_.Answer(Outcome::Unknown("CANCELLED"));                      // the client goes
  for (size_t i = 0; i < writes.size(); ++i) std::move(writes[i])();  // the journal writes what it has
  EXPECT_EQ(flight_.keys.size(), 1u) << "whom the second saga would have called may be gone";
  EXPECT_EQ(Row(in_call).log.size(), 0u);
  EXPECT_EQ(a.runner.live(), 0u);
  EXPECT_EQ(settled_count_, 2);
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(a.runner.ReleaseLeases().ok());
  flight_.Unhold();
  Process b(*this, "b");
  EXPECT_EQ(*b.runner.RecoverExpired(false, 10), 2u) << "no write after them has taken the leases again";
  EXPECT_EQ(StateOf(in_call), State::kSucceeded);
  EXPECT_EQ(StateOf(in_write), State::kSucceeded);
}

TEST_F(RunnerTest, StepsWithNothingToUndoArePassedOver) {
  definition_.steps[1].undone_by = {};
  Process process(*this, "a");
  seat_.WillAnswer(Outcome::Rejected("SOLD_OUT"));
  Uuid id = Start(process);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_THAT(Story(id), ElementsAre("flight succeeded", "hotel succeeded", "seat rejected", "flight undone"));
}

}  // namespace
}  // namespace waybill::saga
