// Steps that answer Later, and what is said to sagas that wait.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "saga/testing/mock_journal.h"
#include "saga/testing/scripted_participant.h"
#include "tests/saga/story.h"

namespace waybill::saga {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::NiceMock;
using ::waybill::testing::ManualTime;

struct Visa {
  static constexpr std::string_view kKind = "visa";

  std::string number;
  struct Effects {
    bool claim = false;
  };
  Effects effects;
};

class WaitingTest : public ::testing::Test {
 protected:
  struct Process {
    Process(WaitingTest& test, const std::string& instance, size_t live_max = 100)
        : journal(test.book_, test.store_clock_, {instance, std::to_string(++test.lives_), absl::Seconds(10)}),
          kinds({test.definition_}),
          runner(kinds, journal, test.time_, test.time_, test.random_, observer, {absl::Seconds(10), 3, live_max}) {}
    testing::MemoryJournal journal;
    Kinds kinds;
    NiceMock<testing::MockObserver> observer;
    Runner runner;
  };

  WaitingTest() { Define(ask_.action()); }

  void Define(Action<Visa> ask) {
    definition_ = saga::Define<Visa>()
                      .Step("ask")
                      .Does(std::move(ask))
                      .UndoneBy(withdraw_.action())
                      .ClosedBy(tell_.action())
                      .Retried(policy_)
                      .Step("pay")
                      .Does(pay_.action())
                      .UndoneBy(refund_.action())
                      .Retried(policy_)
                      .Done();
  }

  Uuid Start(Process& process) {
    auto record = std::make_unique<RecordOf<Visa>>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    Uuid id = record->id;
    process.runner.Start(
        std::move(record), [](auto) {}, [this](auto settled) { Keep(std::move(settled)); });
    return id;
  }
  Uuid StartAndWait(Process& process, std::string token = "t-1") {
    ask_.WillAnswer(Outcome::Later(std::move(token), InAnHour()));
    return Start(process);
  }
  absl::Time InAnHour() { return store_clock_.Now() + absl::Hours(1); }

  void Direct(Process& process, const Uuid& id, Directive::Kind kind) {
    process.runner.Direct(id, {kind, "told so"}, nullptr, [this](auto settled) { Keep(std::move(settled)); });
  }
  void Keep(absl::StatusOr<const Record*> settled) {
    ++settled_count_;
    settled_ = settled.ok() ? absl::StatusOr<State>((*settled)->state) : settled.status();
    waits_for_ = settled.ok() ? (*settled)->waits_for : "";
  }

  absl::StatusOr<SignalResult> Say(Process& process, const Uuid& id, Outcome outcome, std::string token = "t-1",
                                   std::string step = "ask", Direction direction = Direction::kDo) {
    return process.runner.AddSignal(id, {std::move(step), direction, std::move(token), std::move(outcome)});
  }

  const testing::MemoryBook::Row& Row(const Uuid& id) { return book_.rows.at(id); }
  State StateOf(const Uuid& id) { return Row(id).record->state; }
  std::vector<std::string> Story(const Uuid& id) { return testing::StoryOf(Row(id).log); }

  int lives_ = 0;
  ManualTime time_;
  waybill::testing::DistantClock store_clock_{time_};
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  RetryPolicy policy_{.attempts_max = 3, .retry_for = absl::Minutes(1), .attention_after = 4};
  testing::MemoryBook book_;
  testing::ScriptedParticipant<Visa> ask_, withdraw_, tell_, pay_, refund_;
  Definition definition_;

  absl::StatusOr<State> settled_ = absl::UnknownError("not called");
  std::string waits_for_;
  int settled_count_ = 0;
};

TEST_F(WaitingTest, NothingIsLeftInTheProcessOfASagaThatWaits) {
  Process process(*this, "a");
  EXPECT_CALL(process.observer, OnWaiting(_)).Times(1);
  EXPECT_CALL(process.observer, OnSettled(_, _)).Times(0);
  Uuid id = StartAndWait(process);
  EXPECT_EQ(process.runner.live(), 0u);
  EXPECT_EQ(time_.pending(), 0u);
  EXPECT_EQ(*settled_, State::kRunning) << "whoever asked is told";
  EXPECT_EQ(waits_for_, "ask/do/t-1");
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_THAT(Story(id), ElementsAre("ask waiting"));
  EXPECT_THAT(Row(id).log[0].detail, HasSubstr("for t-1 until "));
  // Neither renewals nor releases nor recoveries touch it before its time.
  EXPECT_TRUE(process.runner.RenewLeases().ok());
  time_.Advance(absl::Minutes(30));
  process.runner.Stop(time_.Steady());
  ASSERT_TRUE(process.runner.ReleaseLeases().ok());
  Process again(*this, "a");
  EXPECT_EQ(*again.runner.RecoverExpired(/*own=*/true, 10), 0u);
}

TEST_F(WaitingTest, ASignalIsTheStepsOutcomeInWhateverProcessItArrives) {
  Process first(*this, "a"), second(*this, "b");
  Uuid id = StartAndWait(first);
  EXPECT_EQ(*Say(second, id, Outcome::Succeeded("granted")), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask succeeded", "pay succeeded"));
  EXPECT_EQ(Row(id).log[1].detail, "granted");
  EXPECT_EQ(ask_.keys.size(), 1u);
  EXPECT_EQ(second.runner.live(), 0u);
  EXPECT_EQ(Row(id).record->waits_for, "");
}

TEST_F(WaitingTest, WhatASignalRefusesIsUndone) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  EXPECT_EQ(*Say(process, id, Outcome::Rejected("NOT_GRANTED", "come back in spring")), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, "NOT_GRANTED");
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask rejected", "ask undone"));
  EXPECT_EQ(withdraw_.keys, ask_.keys) << "under the key that is to be closed";
}

TEST_F(WaitingTest, ASignalMayComeBeforeItIsWaitedFor) {
  Process process(*this, "a");
  ask_.Hold();
  Uuid id = Start(process);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kKept);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded(), "t-2"), SignalResult::kKept);
  ask_.Answer(Outcome::Later("t-1", InAnHour()));
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask succeeded", "pay succeeded"));
}

TEST_F(WaitingTest, OnlyItsOwnStepAndTokenWakeIt) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded(), "t-2"), SignalResult::kKept);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded(), "t-1", "pay"), SignalResult::kKept);
  EXPECT_TRUE(Row(id).waiting);
}

TEST_F(WaitingTest, WhatIsSaidFirstCounts) {
  Process process(*this, "a");
  ask_.Hold();
  Uuid id = Start(process);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded("first")), SignalResult::kKept);
  EXPECT_EQ(*Say(process, id, Outcome::Rejected("SECOND")), SignalResult::kRepeated);
  ask_.Answer(Outcome::Later("t-1", InAnHour()));
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_EQ(Row(id).log[1].detail, "first");
  EXPECT_EQ(*Say(process, id, Outcome::Rejected("THIRD")), SignalResult::kKept) << "the first has been acted on";
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(WaitingTest, NothingIsSaidToASagaThatHasEnded) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  Direct(process, id, Directive::Kind::kCancel);
  EXPECT_EQ(*settled_, State::kCompensated);
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "recovered", "cancelled", "ask undone"));
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kLate);
  EXPECT_THAT(Row(id).signals, IsEmpty());
  EXPECT_EQ(GetErrorDetail(Say(process, ids_.Next(), Outcome::Succeeded()).status()).reason, "SAGA_NOT_FOUND");
}

TEST_F(WaitingTest, BadSignalsNameTheField) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  const std::vector<std::pair<Signal, std::string>> bad = {
      {{"ask", Direction::kDo, "", Outcome::Succeeded()}, "token"},
      {{"ask", Direction::kDo, "two words", Outcome::Succeeded()}, "token"},
      {{"ask", Direction::kDo, std::string(129, 't'), Outcome::Succeeded()}, "token"},
      {{"", Direction::kDo, "t-1", Outcome::Succeeded()}, "step"},
      {{"ask", Direction::kDo, "t-1", Outcome::Rejected("")}, "reason"},
      {{"ask", Direction::kDo, "t-1", Outcome::Unknown("")}, "reason"},
      {{"ask", Direction::kDo, "t-1", Outcome::Later("t-2", InAnHour())}, "outcome"},
  };
  for (const auto& [signal, field] : bad) {
    absl::StatusOr<SignalResult> result = process.runner.AddSignal(id, signal);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(field));
  }
  EXPECT_THAT(Row(id).signals, IsEmpty());
}

TEST_F(WaitingTest, AWaitWithoutATokenOrATimeIsUnknown) {
  policy_.retry_for = absl::ZeroDuration();
  Define(ask_.action());
  for (const Outcome& bad :
       {Outcome::Later("", InAnHour()), Outcome::Later("two words", InAnHour()),
        Outcome::Later("t-1", absl::InfiniteFuture()), Outcome::Later("t-1", absl::InfinitePast())}) {
    Process process(*this, "a");
    for (int i = 0; i < 3; ++i) ask_.WillAnswer(bad);
    Uuid id = Start(process);
    time_.Advance(absl::Minutes(5));
    EXPECT_EQ(StateOf(id), State::kCompensated);
    EXPECT_EQ(Row(id).record->failure.reason, "BAD_TOKEN");
  }
}

TEST_F(WaitingTest, WhenItsTimeIsOverTheStepIsTriedAgainUntilItsAttemptsAreSpent) {
  Process process(*this, "a");
  EXPECT_CALL(process.observer, OnRecovered(_)).Times(0);
  for (int i = 0; i < 4; ++i) ask_.WillAnswer(Outcome::Later("t-1", InAnHour() + i * absl::Hours(2)));
  Uuid id = Start(process);
  for (int waits = 1; waits <= 3; ++waits) {
    EXPECT_EQ(ask_.attempts.size(), static_cast<size_t>(waits));
    time_.Advance(absl::Minutes(59));
    EXPECT_EQ(*process.runner.RecoverExpired(false, 10), 0u);
    time_.Advance(absl::Minutes(1));
    EXPECT_EQ(*process.runner.RecoverExpired(false, 10), 1u);
    EXPECT_EQ(process.runner.recovered_in_flight(), 0u) << "it backs off";
    time_.Advance(absl::Hours(1));
  }
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, "NOT_SIGNALLED");
  EXPECT_THAT(ask_.attempts, ElementsAre(1, 2, 3, 4)) << "the last word is the participant's";
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask unknown", "ask waiting", "ask unknown", "ask waiting",
                                     "ask unknown", "ask unknown", "ask undone"));
}

TEST_F(WaitingTest, WhatASignalBroughtOutlivesTheProcessThatTookIt) {
  Process first(*this, "a"), second(*this, "b");
  Uuid id = StartAndWait(first);
  pay_.Hold();
  ASSERT_EQ(*Say(first, id, Outcome::Succeeded()), SignalResult::kWoken);
  time_.Advance(absl::Seconds(11));  // as if it had died while it pays
  EXPECT_EQ(*second.runner.RecoverExpired(false, 10), 1u);
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask succeeded"));
  EXPECT_EQ(pay_.held(), 2u);
}

TEST_F(WaitingTest, ASignalOutlivesTheProcessThatClaimedWhatItWakes) {
  Process first(*this, "a"), second(*this, "b");
  Uuid id = StartAndWait(first);
  ASSERT_EQ(*first.journal.AddSignal(id, {"ask", Direction::kDo, "t-1", Outcome::Succeeded()}), SignalResult::kWoken);
  ASSERT_TRUE(first.journal.Claim(id, ClaimMode::kWoken).ok());
  EXPECT_EQ(*second.runner.RecoverExpired(false, 10), 0u) << "it is claimed";
  EXPECT_EQ(*Say(second, id, Outcome::Succeeded()), SignalResult::kRepeated);
  time_.Advance(absl::Seconds(11));
  EXPECT_EQ(*second.runner.RecoverExpired(false, 10), 1u);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_EQ(ask_.keys.size(), 1u) << "nobody was asked twice";
}

TEST_F(WaitingTest, ASignalWithoutRoomWaitsForWhoeverHasSome) {
  Process full(*this, "a", /*live_max=*/1), other(*this, "b");
  Uuid id = StartAndWait(full);
  ask_.Hold();
  Start(full);
  EXPECT_EQ(*Say(full, id, Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_EQ(*other.runner.RecoverExpired(false, 10), 1u);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(WaitingTest, ARetryAsksAgainBeforeTheTime) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  ask_.WillAnswer(Outcome::Later("t-1", InAnHour()));
  Direct(process, id, Directive::Kind::kRetry);
  EXPECT_EQ(ask_.keys.size(), 2u);
  EXPECT_EQ(settled_count_, 2);
  EXPECT_EQ(*settled_, State::kRunning);
  EXPECT_TRUE(Row(id).waiting);
  Direct(process, id, Directive::Kind::kRetry);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(WaitingTest, ARefusedDirectiveLetsItWaitOn) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  ask_.WillAnswer(Outcome::Later("t-1", InAnHour()));
  Direct(process, id, Directive::Kind::kClose);
  EXPECT_EQ(settled_.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_EQ(Row(id).record->waits_for, "ask/do/t-1");
}

TEST_F(WaitingTest, UndoingAndClosingMayTakeLongToo) {
  Process process(*this, "a");
  withdraw_.WillAnswer(Outcome::Later("w-1", InAnHour()));
  pay_.WillAnswer(Outcome::Rejected("NO_MONEY"));
  Uuid id = Start(process);
  EXPECT_EQ(StateOf(id), State::kCompensating);
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded(), "w-1", "ask", Direction::kUndo), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(withdraw_.keys.size(), 1u);

  tell_.WillAnswer(Outcome::Later("c-1", InAnHour()));
  id = Start(process);
  Direct(process, id, Directive::Kind::kClose);
  EXPECT_EQ(*settled_, State::kClosing);
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded(), "c-1", "ask", Direction::kClose), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kClosed);
}

// What undoes never gives up, so neither does its waiting.
TEST_F(WaitingTest, AnUndoThatIsNeverSignalledIsTriedForEver) {
  Process process(*this, "a");
  for (int i = 0; i < 6; ++i) withdraw_.WillAnswer(Outcome::Later("w-1", store_clock_.Now()));
  pay_.WillAnswer(Outcome::Rejected("NO_MONEY"));
  Uuid id = Start(process);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(StateOf(id), State::kCompensating);
    EXPECT_EQ(*process.runner.RecoverExpired(false, 10), 1u);
    EXPECT_EQ(Row(id).record->needs_attention, i >= 3);
    time_.Advance(absl::Minutes(1));
  }
  EXPECT_EQ(StateOf(id), State::kCompensated);
}

TEST_F(WaitingTest, ASignalCanBringWhatThePayloadHolds) {
  Action<Visa> ask = ask_.action();
  ask.signalled = [](Outcome said, Visa& visa) -> std::optional<Outcome> {
    visa.number = said.detail;
    return said;
  };
  Define(ask);
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded("V-77")), SignalResult::kWoken);
  EXPECT_EQ(As<Visa>(*Row(id).record).payload.number, "V-77");
}

TEST_F(WaitingTest, AClaimThatASignalMakesCanBeLost) {
  Action<Visa> ask = ask_.action();
  ask.signalled = [](Outcome said, Visa& visa) -> std::optional<Outcome> {
    visa.effects.claim = true;
    return said;
  };
  ask.claim_lost = [](Visa& visa) { visa.effects.claim = false; };
  Define(ask);
  book_.kinds["visa"].apply_effects = [](const Record& record) { return !As<Visa>(record).payload.effects.claim; };
  Process process(*this, "a");
  EXPECT_CALL(process.observer, OnLostClaim(_)).Times(1);
  Uuid id = StartAndWait(process);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_EQ(ask_.keys.size(), 2u) << "asked again";
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

// A gateway may name a charge and its refund alike.
TEST_F(WaitingTest, WhatIsSaidOfDoingSaysNothingOfUndoing) {
  Process process(*this, "a");
  ask_.Hold();
  pay_.WillAnswer(Outcome::Rejected("NO_MONEY"));
  withdraw_.WillAnswer(Outcome::Later("t-1", InAnHour()));
  Uuid id = Start(process);
  ASSERT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kKept);
  ask_.Answer(Outcome::Later("t-1", InAnHour()));
  EXPECT_EQ(StateOf(id), State::kCompensating);
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kKept) << "once more, of the charge";
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded(), "t-1", "ask", Direction::kUndo), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kCompensated);
}

TEST_F(WaitingTest, WhatWasActedOnIsNotHeardAgain) {
  Process process(*this, "a");
  pay_.WillAnswer(Outcome::Rejected("NO_MONEY"));
  for (int i = 0; i < 2; ++i) withdraw_.WillAnswer(Outcome::Later("w-1", InAnHour()));
  Uuid id = Start(process);
  auto say = [&](Outcome outcome) { return *Say(process, id, std::move(outcome), "w-1", "ask", Direction::kUndo); };
  EXPECT_EQ(say(Outcome::Rejected("BANK_CLOSED")), SignalResult::kWoken);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(withdraw_.keys.size(), 2u) << "tried again, and answered later again";
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_EQ(say(Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kCompensated);
}

TEST_F(WaitingTest, AnOutageBeforeItIsNoWait) {
  Process process(*this, "a");
  for (int i = 0; i < 5; ++i) ask_.WillAnswer(Outcome::Unknown("AWAY"));
  ask_.WillAnswer(Outcome::Later("t-1", InAnHour()));
  Uuid id = Start(process);
  time_.Advance(absl::Seconds(30));
  EXPECT_TRUE(Row(id).waiting) << "it has not been waited for yet";
  EXPECT_EQ(Row(id).record->attempt, 1);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(WaitingTest, WhatIsSaidWhileAnUndoBacksOffIsKept) {
  Process process(*this, "a");
  pay_.WillAnswer(Outcome::Rejected("NO_MONEY"));
  for (int i = 0; i < 9; ++i) withdraw_.WillAnswer(Outcome::Later("w-1", InAnHour()));
  Uuid id = Start(process);
  auto say = [&](Outcome outcome) { return *Say(process, id, std::move(outcome), "w-1", "ask", Direction::kUndo); };
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(say(Outcome::Rejected("BANK_CLOSED")), SignalResult::kWoken);
    if (i < 5) time_.Advance(absl::Minutes(1));
  }
  ASSERT_TRUE(Row(id).record->needs_attention) << "failures are no longer logged one by one";
  EXPECT_EQ(say(Outcome::Succeeded()), SignalResult::kKept) << "before it is tried again";
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StateOf(id), State::kCompensated);
}

TEST_F(WaitingTest, SignalsThatKnowNothingSpendTheAttempts) {
  Process process(*this, "a");
  for (int i = 0; i < 4; ++i) ask_.WillAnswer(Outcome::Later("t-1", InAnHour()));
  Uuid id = Start(process);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(*Say(process, id, Outcome::Unknown("NOBODY_KNOWS")), SignalResult::kWoken);
    time_.Advance(absl::Minutes(2));
  }
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, "NOT_SIGNALLED");
}

// A retry claims it, and nothing is written before the call has answered.
TEST_F(WaitingTest, ItsTimeIsNotOverBecauseWhoeverClaimedItDied) {
  policy_.attempts_max = 1;
  Define(ask_.action());
  Process first(*this, "a"), second(*this, "b");
  EXPECT_CALL(second.observer, OnRecovered(_)).Times(1);
  Uuid id = StartAndWait(first);
  ask_.Hold();
  Direct(first, id, Directive::Kind::kRetry);
  time_.Advance(absl::Seconds(11));
  EXPECT_EQ(*second.runner.RecoverExpired(false, 10), 1u);
  EXPECT_EQ(StateOf(id), State::kRunning);
  EXPECT_EQ(ask_.held(), 2u) << "asked again";
}

TEST_F(WaitingTest, ARetryWhileItsWaitIsWrittenAsksAgain) {
  Process process(*this, "a");
  std::vector<testing::MemoryJournal::Task> writes;
  ask_.Hold();
  Uuid id = Start(process);
  process.journal.set_defer([&](auto task) { writes.push_back(std::move(task)); });
  ask_.Answer(Outcome::Later("t-1", InAnHour()));
  Direct(process, id, Directive::Kind::kRetry);
  process.journal.set_defer(nullptr);
  for (size_t i = 0; i < writes.size(); ++i) std::exchange(writes[i], nullptr)();
  ASSERT_EQ(ask_.held(), 1u);
  ask_.Answer(Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(WaitingTest, WhatHasNoEffectOutsideHasNothingToWaitFor) {
  policy_.retry_for = absl::ZeroDuration();
  Define(ask_.action(/*journaled=*/true));
  Process process(*this, "a");
  for (int i = 0; i < 3; ++i) ask_.WillAnswer(Outcome::Later("t-1", InAnHour()));
  Uuid id = Start(process);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, "BAD_TOKEN");
}

// The claim is lost in the write by which it waits, or in the one that acts on the signal: again and again.
TEST_F(WaitingTest, LostClaimsAreAskedForAgainUnderALease) {
  book_.kinds["visa"].apply_effects = [](const Record& record) { return !As<Visa>(record).payload.effects.claim; };
  Action<Visa> ask = ask_.action();
  ask.claim_lost = [](Visa& visa) { visa.effects.claim = false; };
  ask.signalled = [](Outcome said, Visa& visa) -> std::optional<Outcome> {
    visa.effects.claim = true;
    return said;
  };
  Define(ask);
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  ask_.WillAnswer(Outcome::Later("t-1", InAnHour()));
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_EQ(ask_.keys.size(), 2u);
  EXPECT_TRUE(Row(id).waiting) << "the same signal makes it lose the same claim for ever";

  // A saga that was recovered, so that something is to be written before the call that is repeated.
  ask_.Hold();
  id = Start(process);
  time_.Advance(absl::Seconds(11));
  Process second(*this, "b");
  ASSERT_GE(*second.runner.RecoverExpired(false, 10), 1u);
  int calls = 0;
  while (ask_.held() > 0 && ++calls < 3) {
    EXPECT_FALSE(Row(id).waiting) << "it is asked, so it must have a lease";
    ask_.Answer(Outcome::Later("t-1", InAnHour()));
  }
  EXPECT_TRUE(Row(id).waiting);
}

// The participant's own answer is the truth, and a signal only the reason to ask.
class AskingAgainTest : public WaitingTest {
 protected:
  AskingAgainTest() {
    Action<Visa> ask = ask_.action();
    ask.signalled = [](const Outcome&, Visa&) { return std::optional<Outcome>(); };
    Define(ask);
  }
};

TEST_F(AskingAgainTest, AsksAtOnce) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kWoken);
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_THAT(ask_.keys, ElementsAre(ask_.keys[0], ask_.keys[0]));
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask signalled", "ask succeeded", "pay succeeded"));
}

TEST_F(AskingAgainTest, AsksOnceForASignalThatCameEarly) {
  Process process(*this, "a");
  ask_.Hold();
  Uuid id = Start(process);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kKept);
  ask_.Answer(Outcome::Later("t-1", InAnHour()));
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask signalled"));
  ask_.Answer(Outcome::Later("t-1", InAnHour()));
  EXPECT_EQ(ask_.held(), 0u) << "the same signal makes it ask for ever";
  EXPECT_TRUE(Row(id).waiting);
  EXPECT_THAT(Story(id), ElementsAre("ask waiting", "ask signalled", "ask waiting"));
  // Who says it once more knows more.
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kWoken);
  ask_.Answer(Outcome::Later("t-2", InAnHour()));
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded(), "t-2"), SignalResult::kWoken);
  ask_.Answer(Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(AskingAgainTest, HearsWhatIsSaidWhileItAsks) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  ask_.Hold();
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded("processing")), SignalResult::kWoken);
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded("paid")), SignalResult::kKept);
  ask_.Answer(Outcome::Later("t-1", InAnHour()));  // as it was before
  ASSERT_EQ(ask_.held(), 1u);
  ask_.Answer(Outcome::Succeeded());
  EXPECT_EQ(StateOf(id), State::kSucceeded);
}

TEST_F(AskingAgainTest, TurnsBackWhenItsTimeIsOverAgainAndAgain) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  for (int i = 0; i < 10; ++i) ask_.WillAnswer(Outcome::Later("t-1", store_clock_.Now()));
  EXPECT_EQ(*Say(process, id, Outcome::Succeeded()), SignalResult::kWoken);
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(process.runner.RecoverExpired(false, 10).ok());
    time_.Advance(absl::Minutes(1));
  }
  EXPECT_EQ(StateOf(id), State::kCompensated);
  EXPECT_EQ(Row(id).record->failure.reason, "NOT_SIGNALLED");
  EXPECT_EQ(ask_.keys.size(), 5u);
}

TEST_F(AskingAgainTest, TheTimeMakesItAskToo) {
  Process process(*this, "a");
  Uuid id = StartAndWait(process);
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(*process.runner.RecoverExpired(false, 10), 1u);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StateOf(id), State::kSucceeded);
  EXPECT_EQ(ask_.keys.size(), 2u);
}

}  // namespace
}  // namespace waybill::saga
