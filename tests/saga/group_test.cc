// Steps that are done at the same time.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "saga/testing/mock_journal.h"
#include "tests/saga/story.h"

namespace waybill::saga {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::NiceMock;
using ::testing::UnorderedElementsAre;
using ::waybill::testing::ManualTime;

struct Party {
  static constexpr std::string_view kKind = "party";

  std::string room, band, seat;  // each of one participant
  struct Effects {
    bool seat_taken = false, seat_freed = false;
  };
  Effects effects;
};

// hire_room, beside it hire_band and, in our own books, take_seat; then send_invitations.
class GroupTest : public ::testing::Test {
 protected:
  struct Process {
    Process(GroupTest& test, const std::string& instance)
        : journal(test.book_, test.time_, {instance, std::to_string(++test.lives_), absl::Seconds(10)}),
          kinds({test.definition_}),
          runner(kinds, journal, test.time_, test.time_, test.random_, observer, {}) {}
    testing::MemoryJournal journal;
    Kinds kinds;
    NiceMock<testing::MockObserver> observer;
    Runner runner;
  };

  GroupTest() {
    definition_ = saga::Define<Party>()
                      .Step("hire_room")
                      .Does(Calling("hire_room", &Party::room))
                      .UndoneBy(Calling("undo hire_room", &Party::room))
                      .Retried(policy_)
                      .Beside("take_seat")
                      .Does(TakeSeat())
                      .UndoneBy(FreeSeat())
                      .Retried(policy_)
                      .Beside("hire_band")
                      .Does(Calling("hire_band", &Party::band))
                      .UndoneBy(Calling("undo hire_band", &Party::band))
                      .ClosedBy(Calling("close hire_band", &Party::band))
                      .Retried(policy_)
                      .Step("send_invitations")
                      .Does(Calling("send_invitations", &Party::band))
                      .Retried(policy_)
                      .Done();
    book_.kinds[std::string(Party::kKind)].apply_effects = [this](const Record& record) {
      const Party& party = As<Party>(record).payload;
      if (party.effects.seat_taken && seats_to_lose_ > 0) {
        --seats_to_lose_;
        return false;
      }
      return true;
    };
  }

  // A call that is answered when the test says so.
  Action<Party> Calling(std::string name, std::string Party::*member) {
    return {[this, name = std::move(name), member](const Attempt& attempt, Party& party, OutcomeCallback done) {
      calls_.push_back({name, attempt.number, &(party.*member), std::move(done)});
    }};
  }
  Action<Party> TakeSeat() {
    Action<Party> action;
    action.journaled = true;
    action.claim_lost = [](Party& party) { party.seat.clear(); };
    action.call = [this](const Attempt& attempt, Party& party, OutcomeCallback done) {
      ++seats_asked_;
      party.seat = fmt::format("seat {}", attempt.conflicts + 1);
      party.effects.seat_taken = true;
      done(Outcome::Succeeded());
    };
    return action;
  }
  Action<Party> FreeSeat() {
    Action<Party> action;
    action.journaled = true;
    action.call = [](const Attempt&, Party& party, OutcomeCallback done) {
      party.seat.clear();
      party.effects.seat_freed = true;
      done(Outcome::Succeeded());
    };
    return action;
  }

  Uuid Start(Process& process) {
    auto record = std::make_unique<RecordOf<Party>>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    const Uuid id = record->id;
    process.runner.Start(
        std::move(record), [](auto) {}, [](auto) {});
    return id;
  }
  std::vector<std::string> InFlight() const {
    std::vector<std::string> names;
    for (const Call& call : calls_) names.push_back(call.name);
    return names;
  }
  void Answer(std::string_view name, Outcome outcome) {
    for (size_t at = 0; at < calls_.size(); ++at) {
      if (calls_[at].name != name) continue;
      Call call = std::move(calls_[at]);
      calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(at));
      if (outcome.kind == Outcome::Kind::kSucceeded) *call.answer = outcome.detail;
      call.done(std::move(outcome));
      return;
    }
    ADD_FAILURE() << "no call " << name << " is in flight";
  }
  int AttemptOf(std::string_view name) const {
    for (const Call& call : calls_) {
      if (call.name == name) return call.attempt;
    }
    return 0;
  }
  Outcome Later(std::string token, absl::Duration from_now) {
    return Outcome::Later(std::move(token), time_.Now() + from_now);
  }
  SignalResult Say(Process& process, const Uuid& id, std::string step, std::string token, Outcome outcome) {
    return *process.runner.AddSignal(id, {std::move(step), Direction::kDo, std::move(token), std::move(outcome)});
  }

  const testing::MemoryBook::Row& Row(const Uuid& id) { return book_.rows.at(id); }
  State StateOf(const Uuid& id) { return Row(id).record->state; }
  std::vector<std::string> Story(const Uuid& id) { return testing::StoryOf(Row(id).log); }

  struct Call {
    std::string name;
    int attempt;
    std::string* answer;
    OutcomeCallback done;
  };

  int lives_ = 0, seats_to_lose_ = 0, seats_asked_ = 0;
  std::vector<Call> calls_;
  std::vector<int> bands_asked_;
  ManualTime time_;
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  RetryPolicy policy_{.attempts_max = 3, .retry_for = absl::ZeroDuration()};
  testing::MemoryBook book_;
  Definition definition_;
};

TEST_F(GroupTest, AreInFlightAtOnceAndShareTheCommitThatTakesTheirAnswers) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  EXPECT_THAT(InFlight(), ElementsAre("hire_room", "hire_band"));
  EXPECT_EQ(seats_asked_, 0) << "what is in our own books waits until all calls have succeeded";
  const int64_t writes = book_.writes;
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  EXPECT_EQ(book_.writes, writes) << "nothing is decided yet";
  Answer("hire_room", Outcome::Succeeded("room 7"));
  EXPECT_EQ(book_.writes, writes + 1);
  EXPECT_THAT(Story(id), ElementsAre("hire_room succeeded", "hire_band succeeded", "take_seat succeeded"));
  EXPECT_THAT(Row(id).record->branches.size(), 0u) << "the next step is alone";
  const Party& party = As<Party>(*Row(id).record).payload;
  EXPECT_EQ(party.room + ", " + party.band + ", " + party.seat, "room 7, the Beagles, seat 1");
  Answer("send_invitations", Outcome::Succeeded("the Beagles"));
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(GroupTest, EachHasAttemptsOfItsOwn) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Outcome::Unknown("TIMEOUT"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  EXPECT_EQ(Row(id).record->branches[0].attempt, 2);
  EXPECT_EQ(Row(id).record->branches[2].state, Branch::State::kDone);
  EXPECT_EQ(Row(id).record->attempt, 2) << "the row shows the first one that is not done";
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(InFlight(), ElementsAre("hire_room")) << "what is done is not asked for again";
  EXPECT_EQ(AttemptOf("hire_room"), 2);
  Answer("hire_room", Outcome::Unknown("TIMEOUT"));
  time_.Advance(absl::Minutes(1));
  Answer("hire_room", Outcome::Unknown("TIMEOUT"));
  EXPECT_EQ(Row(id).record->failure.reason, "TIMEOUT") << "its budget is spent";
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band"));
}

TEST_F(GroupTest, WhatWasBegunIsUndoneTheLastFirst) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Outcome::Succeeded("room 7"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  Answer("send_invitations", Outcome::Rejected("NO_PAPER"));
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band"));
  Answer("undo hire_band", Outcome::Succeeded());
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_room")) << "and the seat without a call";
  Answer("undo hire_room", Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(As<Party>(*Row(id).record).payload.seat, "");
}

TEST_F(GroupTest, WhatWasRefusedOrNeverBegunIsNotUndone) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_band", Outcome::Rejected("ON_TOUR"));
  EXPECT_THAT(InFlight(), ElementsAre("hire_room")) << "what is in flight is waited for";
  Answer("hire_room", Outcome::Succeeded("room 7"));
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_room"));
  EXPECT_EQ(Row(id).record->failure.reason, "ON_TOUR");
  Answer("undo hire_room", Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(seats_asked_, 0);
}

TEST_F(GroupTest, AllRefusedIsNothingToUndo) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_band", Outcome::Rejected("ON_TOUR"));
  Answer("hire_room", Outcome::Rejected("FULL"));
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_THAT(InFlight(), IsEmpty());
  EXPECT_EQ(Row(id).record->failure.reason, "FULL") << "the first one's, by the order of the steps";
}

TEST_F(GroupTest, ARefusalAfterDoubtIsUndoneWithTheOthers) {
  Process process(*this, "a");
  Start(process);
  Answer("hire_room", Outcome::Unknown("TIMEOUT"));
  Answer("hire_band", Outcome::Unknown("TIMEOUT"));
  time_.Advance(absl::Minutes(1));
  Answer("hire_room", Outcome::Rejected("FULL"));
  Answer("hire_band", Outcome::Rejected("ON_TOUR"));
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band"));
  Answer("undo hire_band", Outcome::Succeeded());
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_room"));
}

TEST_F(GroupTest, ACancelWaitsForWhatIsInFlightAndUndoesAll) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  process.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  EXPECT_EQ(StateOf(id), State::kRunning);
  Answer("hire_room", Outcome::Unknown("TIMEOUT"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band"));
  Answer("undo hire_band", Outcome::Succeeded());
  Answer("undo hire_room", Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(seats_asked_, 0);
}

TEST_F(GroupTest, AnotherProcessAsksAgainForWhatIsNotDone) {
  Process a(*this, "a");
  const Uuid id = Start(a);
  Answer("hire_room", Outcome::Succeeded("room 7"));
  Answer("hire_band", Outcome::Unknown("TIMEOUT"));
  a.journal.set_error(absl::UnavailableError("crashed"));
  time_.Advance(absl::Minutes(1));
  calls_.clear();
  Process b(*this, "b");
  EXPECT_EQ(*b.runner.RecoverExpired(false, 10), 1u);
  EXPECT_THAT(InFlight(), ElementsAre("hire_band"));
  EXPECT_EQ(AttemptOf("hire_band"), 2);
  Answer("hire_band", Outcome::Rejected("ON_TOUR"));
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band")) << "the other process's call may yet go through";
  Answer("undo hire_band", Outcome::Succeeded());
  Answer("undo hire_room", Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kCompensated);
}

TEST_F(GroupTest, UndoingGoesOnWhereACrashLeftItAndPassesOverWhatWasRefused) {
  Process a(*this, "a");
  const Uuid id = Start(a);
  Answer("hire_room", Outcome::Rejected("FULL"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  EXPECT_EQ(StateOf(id), State::kCompensating);
  a.journal.set_error(absl::UnavailableError("crashed"));
  time_.Advance(absl::Minutes(1));
  calls_.clear();
  Process b(*this, "b");
  EXPECT_EQ(*b.runner.RecoverExpired(false, 10), 1u);
  Answer("undo hire_band", Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_THAT(InFlight(), IsEmpty());
}

TEST_F(GroupTest, ALostClaimCostsTheCallsNothing) {
  seats_to_lose_ = 2;
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Outcome::Succeeded("room 7"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  EXPECT_THAT(InFlight(), ElementsAre("send_invitations"));
  EXPECT_EQ(As<Party>(*Row(id).record).payload.seat, "seat 3");
  EXPECT_THAT(Story(id), ElementsAre("hire_room succeeded", "hire_band succeeded", "take_seat succeeded"));
}

TEST_F(GroupTest, SeveralWaitAndAnySignalWakesThem) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Later("r-1", absl::Hours(1)));
  Answer("hire_band", Later("b-1", absl::Hours(2)));
  EXPECT_EQ(process.runner.live(), 0u);
  EXPECT_EQ(Row(id).record->waits_for, "hire_room/do/r-1 hire_band/do/b-1");
  EXPECT_EQ(Row(id).record->wakes_at, time_.Now() + absl::Hours(1));
  EXPECT_EQ(Say(process, id, "hire_band", "b-1", Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_EQ(Row(id).record->waits_for, "hire_room/do/r-1");
  EXPECT_EQ(process.runner.live(), 0u) << "it waits for the other one";
  EXPECT_THAT(InFlight(), IsEmpty()) << "nobody was asked again";
  EXPECT_EQ(Say(process, id, "hire_room", "r-1", Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_THAT(Story(id), ElementsAre("hire_room waiting", "hire_band waiting", "hire_band succeeded",
                                     "hire_room succeeded", "take_seat succeeded"));
}

TEST_F(GroupTest, SignalsThatCameBeforeTheyWaitedAreActedOnOneAfterTheOther) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  EXPECT_EQ(Say(process, id, "hire_band", "b-1", Outcome::Succeeded()), SignalResult::kKept);
  EXPECT_EQ(Say(process, id, "hire_room", "r-1", Outcome::Succeeded()), SignalResult::kKept);
  Answer("hire_room", Later("r-1", absl::Hours(1)));
  Answer("hire_band", Later("b-1", absl::Hours(2)));
  EXPECT_THAT(InFlight(), ElementsAre("send_invitations"));
  EXPECT_TRUE(Row(id).signals.empty());
}

TEST_F(GroupTest, ARefusalThatIsSignalledUndoesTheOneThatStillWaits) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Later("r-1", absl::Hours(1)));
  Answer("hire_band", Later("b-1", absl::Hours(2)));
  EXPECT_EQ(Say(process, id, "hire_band", "b-1", Outcome::Rejected("ON_TOUR")), SignalResult::kWoken);
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band")) << "its first answer was no proof";
  Answer("undo hire_band", Outcome::Succeeded());
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_room"));
  Answer("undo hire_room", Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kCompensated);
}

TEST_F(GroupTest, WhoseTimeIsOverIsAskedAgainAndTheOtherWaitsOn) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Later("r-1", absl::Hours(1)));
  Answer("hire_band", Later("b-1", absl::Hours(2)));
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(*process.runner.RecoverExpired(false, 10), 1u);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(InFlight(), ElementsAre("hire_room"));
  EXPECT_EQ(AttemptOf("hire_room"), 2);
  EXPECT_EQ(Row(id).record->branches[2].token, "b-1");
  // What is said of the other one meanwhile waits for it.
  EXPECT_EQ(Say(process, id, "hire_band", "b-1", Outcome::Succeeded()), SignalResult::kKept);
  Answer("hire_room", Later("r-2", absl::Hours(1)));
  EXPECT_EQ(Row(id).record->waits_for, "hire_room/do/r-2") << "what was kept has been acted on";
  EXPECT_EQ(Say(process, id, "hire_room", "r-2", Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_THAT(InFlight(), ElementsAre("send_invitations"));
}

TEST_F(GroupTest, AskedToRetryAllThatWaitAreAskedAgain) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Later("r-1", absl::Hours(1)));
  Answer("hire_band", Later("b-1", absl::Hours(2)));
  process.runner.Direct(id, {Directive::Kind::kRetry, ""}, nullptr, [](auto) {});
  EXPECT_THAT(InFlight(), UnorderedElementsAre("hire_room", "hire_band"));
}

TEST_F(GroupTest, AreClosedOneAfterTheOther) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Outcome::Succeeded("room 7"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  Answer("send_invitations", Outcome::Succeeded("the Beagles"));
  process.runner.Direct(id, {Directive::Kind::kClose, ""}, nullptr, [](auto) {});
  EXPECT_THAT(InFlight(), ElementsAre("close hire_band"));
  Answer("close hire_band", Outcome::Succeeded("the Beagles"));
  EXPECT_EQ(StateOf(id), State::kClosed);
}

TEST_F(GroupTest, HandedOverWhileOneBacksOffTheOtherWaitsOn) {
  Process a(*this, "a");
  const Uuid id = Start(a);
  Answer("hire_room", Outcome::Unknown("TIMEOUT"));
  Answer("hire_band", Later("b-1", absl::Hours(2)));
  EXPECT_EQ(Say(a, id, "hire_band", "b-1", Outcome::Succeeded()), SignalResult::kKept);
  a.runner.Stop(time_.Steady());
  ASSERT_TRUE(a.runner.ReleaseLeases().ok());
  Process b(*this, "b");
  EXPECT_EQ(*b.runner.RecoverExpired(false, 10), 1u);
  EXPECT_THAT(InFlight(), ElementsAre("hire_room")) << "the band has answered already";
  Answer("hire_room", Outcome::Succeeded("room 7"));
  EXPECT_THAT(InFlight(), ElementsAre("send_invitations"));
}

TEST_F(GroupTest, AnEntryThatMayHaveBeenMadeIsUndone) {
  definition_.steps[1].does = Action<Party>{[](const Attempt&, Party& party, OutcomeCallback done) {
                                              party.seat = "half a seat";
                                              party.effects.seat_taken = true;
                                              done(Outcome::Unknown("BUSY"));
                                            },
                                            true};
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Outcome::Succeeded("room 7"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  process.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  Answer("undo hire_band", Outcome::Succeeded());
  EXPECT_EQ(As<Party>(*Row(id).record).payload.seat, "");
}

TEST_F(GroupTest, ACallThatClaimsGoesBackAlsoWhenAnEntryFollowsIt) {
  // As a remote dispatcher does: its answer claims what another saga may hold.
  Action<Party> hire;
  hire.claim_lost = [](Party& party) { party.band.clear(); };
  hire.call = [this](const Attempt& attempt, Party& party, OutcomeCallback done) {
    bands_asked_.push_back(attempt.conflicts);
    party.band = fmt::format("band {}", attempt.conflicts + 1);
    party.effects.seat_taken = true;
    done(Outcome::Succeeded());
  };
  definition_.steps[2].does = hire;
  seats_to_lose_ = 2;
  Process process(*this, "a");
  const Uuid id = Start(process);
  for (int round = 0; round < 3; ++round) Answer("hire_room", Outcome::Succeeded("room 7"));
  EXPECT_THAT(bands_asked_, ElementsAre(0, 1, 2));
  EXPECT_THAT(InFlight(), ElementsAre("send_invitations"));
  EXPECT_EQ(As<Party>(*Row(id).record).payload.band, "band 3");
}

TEST_F(GroupTest, ALostClaimTakesBackWhatTheOtherCallsOfItsRoundBrought) {
  // A charge beside a dispatcher whose answer claims: what the charge put into the payload was never written.
  Action<Party> hire;
  hire.claim_lost = [](Party& party) { party.band.clear(); };
  hire.call = [](const Attempt& attempt, Party& party, OutcomeCallback done) {
    party.band = "the Beagles";
    party.effects.seat_taken = true;
    done(attempt.conflicts > 0 ? Outcome::Unknown("TAKEN", "", /*give_up=*/true) : Outcome::Succeeded());
  };
  definition_.steps[2].does = hire;
  seats_to_lose_ = 1;
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Outcome::Succeeded("room 7"));
  Answer("hire_room", Outcome::Unknown("TIMEOUT"));
  EXPECT_EQ(As<Party>(*Row(id).record).payload.room, "") << "of this time nobody knows of a room";
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band"));
}

TEST_F(GroupTest, EndlesslyLostClaimsSpendTheBudgetOfTheStepThatClaims) {
  seats_to_lose_ = 1'000;
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Outcome::Succeeded("room 7"));
  Answer("hire_band", Outcome::Succeeded("the Beagles"));
  time_.Advance(absl::Minutes(5));
  EXPECT_THAT(InFlight(), ElementsAre("undo hire_band"));
  EXPECT_EQ(Row(id).record->failure.reason, "CLAIM_LOST");
  for (const LogEntry& entry : Row(id).log) {
    if (entry.outcome == LogOutcome::kUnknown) {
      EXPECT_EQ(entry.step, "take_seat");
    }
  }
}

TEST_F(GroupTest, ARefusedWriteConcernsWhatItToldOf) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_room", Later("r-1", absl::Hours(1)));
  Answer("hire_band", Later("b-1", absl::Hours(2)));
  book_.kinds[std::string(Party::kKind)].can_hold = [](const Record& record) {
    return record.needs_attention || record.branches[2].state != Branch::State::kDone;
  };
  EXPECT_EQ(Say(process, id, "hire_band", "b-1", Outcome::Succeeded()), SignalResult::kWoken);
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(InFlight(), ElementsAre("hire_band"));
  EXPECT_EQ(Row(id).record->branches[0].token, "r-1") << "the room's wait has nothing to do with it";
  EXPECT_EQ(Row(id).record->branches[0].state, Branch::State::kWaiting);
  EXPECT_EQ(Row(id).record->branches[1].attempt, 1) << "nor has the seat, which nobody asked for";
}

TEST_F(GroupTest, NothingOfItStaysBehindInAResolvedRow) {
  Process process(*this, "a");
  const Uuid id = Start(process);
  Answer("hire_band", Outcome::Rejected("ON_TOUR"));
  Answer("hire_room", Outcome::Succeeded("room 7"));
  for (int attempt = 0; attempt < 20; ++attempt) {
    Answer("undo hire_room", Outcome::Unknown("TIMEOUT"));
    time_.Advance(absl::Minutes(10));
  }
  process.runner.Direct(id, {Directive::Kind::kResolve, "by hand"}, nullptr, [](auto) {});
  Answer("undo hire_room", Outcome::Unknown("TIMEOUT"));
  EXPECT_EQ(StateOf(id), State::kResolved);
  EXPECT_TRUE(Row(id).record->branches.empty());
}

TEST_F(GroupTest, AnswersFromManyThreadsAreOneStepForward) {
  Process process(*this, "a");
  for (int round = 0; round < 50; ++round) {
    const Uuid id = Start(process);
    std::vector<Call> calls = std::exchange(calls_, {});
    ASSERT_EQ(calls.size(), 2u);
    std::vector<std::thread> threads;
    for (Call& call : calls) {
      threads.emplace_back([&call] {
        *call.answer = "hired";
        call.done(Outcome::Succeeded("hired"));
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(As<Party>(*Row(id).record).payload.room, "hired");
    Answer("send_invitations", Outcome::Succeeded("sent"));
    EXPECT_EQ(StateOf(id), State::kSucceeded);
  }
}

}  // namespace
}  // namespace waybill::saga
