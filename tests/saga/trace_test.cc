// What one saga's trace looks like, however often another process takes it over.
#include "saga/trace.h"

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/span_box.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "saga/testing/mock_journal.h"
#include "saga/testing/scripted_participant.h"

namespace waybill::saga {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::NiceMock;
using ::testing::SizeIs;

struct Letter {
  static constexpr std::string_view kKind = "letter";
  struct Effects {
    bool claim = false;
  };
  Effects effects;
};

constexpr char kCall[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr char kUnsampledCall[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

class SagaTraceTest : public ::testing::Test {
 protected:
  struct Process {
    Process(SagaTraceTest& test, const std::string& instance)
        : journal(test.book_, test.store_clock_, {instance, std::to_string(++test.lives_), absl::Seconds(10)}),
          kinds({test.definition_}),
          runner(kinds, journal, test.time_, test.time_, test.random_, observer, Options(test.tracer_)) {}
    static RunnerOptions Options(Tracer& tracer) {
      RunnerOptions options;
      options.tracer = &tracer;
      return options;
    }
    testing::MemoryJournal journal;
    Kinds kinds;
    NiceMock<testing::MockObserver> observer;
    Runner runner;
  };

  SagaTraceTest() {
    book_.kinds.try_emplace(std::string(Letter::kKind));
    definition_ = Define<Letter>()
                      .Step("pack")
                      .Does({[this](const Attempt& attempt, Letter& letter, OutcomeCallback done) {
                        sent_on_ = std::string(attempt.traceparent);
                        state_sent_on_ = std::string(attempt.tracestate);
                        pack_.action().call(attempt, letter, std::move(done));
                      }})
                      .UndoneBy(unpack_.action())
                      .Retried(policy_)
                      .Step("ship")
                      .Does(ship_.action())
                      .UndoneBy(unship_.action())
                      .Retried(policy_)
                      .Done();
  }

  Uuid Start(Process& process, const std::string& traceparent) {
    auto record = std::make_unique<RecordOf<Letter>>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    record->traceparent = traceparent;
    record->tracestate = "vendor=1";
    const Uuid id = record->id;
    process.runner.Start(
        std::move(record), [](auto) {}, [](auto) {});
    return id;
  }

  SpanRecord Only(std::string_view name) {
    const std::vector<SpanRecord> named = box_.Named(name);
    EXPECT_THAT(named, SizeIs(1)) << name;
    return named.empty() ? SpanRecord() : named.front();
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const SpanRecord& span : box_.spans()) names.push_back(span.name);
    return names;
  }

  int lives_ = 0;
  waybill::testing::ManualTime time_;
  waybill::testing::DistantClock store_clock_{time_};
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  waybill::testing::SpanBox box_;
  std::atomic<double> ratio_{0};
  Tracer tracer_{time_, random_, box_, ratio_};
  RetryPolicy policy_{.attempts_max = 3, .retry_for = absl::ZeroDuration(), .attention_after = 4};
  testing::MemoryBook book_;
  testing::ScriptedParticipant<Letter> pack_, unpack_, ship_, unship_;
  Definition definition_;
  std::string sent_on_, state_sent_on_;
};

TEST_F(SagaTraceTest, TheCallsChildIsTheSagaAndItsAreStepsAttemptsAndWrites) {
  Process process(*this, "a");
  const Uuid id = Start(process, kCall);
  EXPECT_THAT(Names(), ElementsAre("journal begin", "attempt", "pack", "journal advance", "attempt", "ship",
                                   "journal advance", "saga letter"));
  const TraceContext call = *ParseTraceparent(kCall);
  for (const SpanRecord& span : box_.spans()) EXPECT_EQ(span.context.trace_id, call.trace_id);
  const SpanRecord saga = Only("saga letter"), pack = Only("pack"), ship = Only("ship");
  EXPECT_EQ(saga.parent, call.span_id);
  EXPECT_EQ(saga.context.span_id.ToString(), TraceId{id.bytes}.ToString().substr(16));
  EXPECT_EQ(saga.context.state, "vendor=1");
  EXPECT_FALSE(saga.failed);
  EXPECT_EQ(pack.parent, saga.context.span_id);
  EXPECT_EQ(ship.parent, saga.context.span_id);
  EXPECT_EQ(box_.Named("attempt")[0].parent, pack.context.span_id);
  EXPECT_EQ(box_.Named("attempt")[0].kind, SpanKind::kClient);
  EXPECT_EQ(box_.Named("attempt")[1].parent, ship.context.span_id);
  EXPECT_EQ(Only("journal begin").parent, call.span_id) << "before that there is no saga";
  EXPECT_EQ(box_.Named("journal advance")[0].parent, saga.context.span_id);
  EXPECT_EQ(sent_on_, box_.Named("attempt")[0].context.Traceparent())
      << "the participant's span is the attempt's child";
  EXPECT_EQ(state_sent_on_, "vendor=1");
}

TEST_F(SagaTraceTest, AStepIsAsLongAsAllOfItsAttemptsAndTheirPauses) {
  pack_.WillAnswer(Outcome::Unknown("TIMEOUT"));
  Process process(*this, "a");
  Start(process, kCall);
  ASSERT_TRUE(time_.RunNext());
  const std::vector<SpanRecord> attempts = box_.Named("attempt");
  ASSERT_THAT(attempts, SizeIs(3));
  const SpanRecord pack = Only("pack");
  EXPECT_TRUE(attempts[0].failed);
  EXPECT_EQ(attempts[0].failure, "TIMEOUT");
  EXPECT_FALSE(attempts[1].failed);
  EXPECT_EQ(attempts[0].parent, pack.context.span_id);
  EXPECT_EQ(attempts[1].parent, pack.context.span_id);
  EXPECT_EQ(pack.end, attempts[1].end);
  EXPECT_FALSE(pack.failed) << "it was done in the end";
}

TEST_F(SagaTraceTest, TurningBackEndsTheStepAndUndoingIsAnother) {
  ship_.WillAnswer(Outcome::Rejected("NO_LORRY"));
  Process process(*this, "a");
  Start(process, kCall);
  EXPECT_TRUE(Only("ship").failed);
  EXPECT_EQ(Only("undo pack").parent, Only("saga letter").context.span_id);
  EXPECT_TRUE(Only("saga letter").failed);
  EXPECT_EQ(Only("saga letter").failure, "NO_LORRY");
}

TEST_F(SagaTraceTest, ATakeOverIsLinkedToWhoeverDroveItBeforeAndTheTraceIsOne) {
  pack_.Hold();
  auto a = std::make_unique<Process>(*this, "a");
  const Uuid id = Start(*a, kCall);
  time_.Advance(absl::Seconds(11));  // a stands still
  pack_.Unhold();
  Process b(*this, "b");
  ASSERT_EQ(*b.runner.RecoverExpired(false, 100), 1u);
  const TraceContext call = *ParseTraceparent(kCall);
  const SpanRecord saga = Only("saga letter"), resumed = Only("resume saga");
  EXPECT_EQ(saga.parent, call.span_id);
  EXPECT_EQ(resumed.parent, saga.context.span_id);
  EXPECT_EQ(resumed.context.trace_id, call.trace_id);
  ASSERT_THAT(resumed.links, SizeIs(1));
  EXPECT_EQ(resumed.links[0].span_id, saga.context.span_id);
  EXPECT_EQ(Only("ship").parent, resumed.context.span_id);
  EXPECT_EQ(saga.context.span_id.ToString(), TraceId{id.bytes}.ToString().substr(16))
      << "as the process that began it had said to the steps that it did";

  // And a third one, which is asked to turn it back.
  Process c(*this, "c");
  c.runner.Direct(id, {Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  const std::vector<SpanRecord> resumptions = box_.Named("resume saga");
  ASSERT_THAT(resumptions, SizeIs(2));
  ASSERT_THAT(resumptions[1].links, SizeIs(1));
  EXPECT_EQ(resumptions[1].links[0].span_id, resumptions[0].context.span_id) << "the one before";
  EXPECT_EQ(resumptions[1].parent, saga.context.span_id);
  EXPECT_THAT(box_.Named("saga letter"), SizeIs(1)) << "it was sent when it had come to rest";
  pack_.Answer(Outcome::Succeeded());  // a wakes up and finds that it is fenced
}

TEST_F(SagaTraceTest, WithoutACallersTraceTheTraceIsTheSagasOwn) {
  ratio_ = 1;
  Process process(*this, "a");
  const Uuid id = Start(process, "");
  EXPECT_EQ(Only("saga letter").context.trace_id.bytes, id.bytes);
  EXPECT_FALSE(Only("saga letter").parent.valid());
  EXPECT_THAT(box_.Named("journal begin"), IsEmpty()) << "there is no call for it to be a part of";
  EXPECT_EQ(Only("pack").parent, Only("saga letter").context.span_id);
}

TEST_F(SagaTraceTest, OfWhatIsNotSampledNothingIsSentAndTheCallersTraceGoesOn) {
  Process process(*this, "a");
  Start(process, kUnsampledCall);
  EXPECT_THAT(box_.spans(), IsEmpty());
  EXPECT_EQ(sent_on_, kUnsampledCall);
}

TEST_F(SagaTraceTest, OneThatEndsBadlyIsSentAloneAndAClientsWishIsNothingBad) {
  Process process(*this, "a");
  ship_.WillAnswer(Outcome::Rejected("NO_LORRY"));
  Start(process, kUnsampledCall);
  EXPECT_THAT(Names(), ElementsAre("saga letter"));
  EXPECT_EQ(box_.spans()[0].failure, "NO_LORRY");
  const Uuid good = Start(process, kUnsampledCall);
  process.runner.Direct(good, {Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  EXPECT_THAT(box_.spans(), SizeIs(1));
}

// Whoever takes over cannot know whether the one before has sent it, so it is sent once too often and not too seldom.
TEST_F(SagaTraceTest, OneWhoseCloseWasCutShortIsSentByWhoeverEndsIt) {
  RecordOf<Letter> record;
  record.id = ids_.Next();
  record.traceparent = kCall;
  record.epoch = 2;
  record.state = State::kClosing;
  Trace trace(&tracer_, record);
  record.state = State::kClosed;
  trace.Rested(record);
  EXPECT_EQ(Only("saga letter").parent, ParseTraceparent(kCall)->span_id);
}

TEST_F(SagaTraceTest, OneThatIsTurnedBackAfterItHadSucceededAndEndsBadlyIsSent) {
  RecordOf<Letter> record;
  record.id = ids_.Next();
  record.traceparent = kUnsampledCall;
  record.epoch = 2;
  record.state = State::kSucceeded;
  Trace trace(&tracer_, record);
  Attempt undo;
  undo.step = "ship";
  trace.Attempt(1, undo, Direction::kUndo, false, definition_);
  record.state = State::kResolved;
  record.failure.reason = "LORRY_LOST";
  trace.Rested(record);
  EXPECT_EQ(Only("saga letter").failure, "LORRY_LOST");
}

TEST(SagaContextTest, OfEachEpochIsAnotherSpanOfTheSameTrace) {
  waybill::testing::ManualTime time;
  SeededRandom random(1);
  waybill::testing::SpanBox box;
  const std::atomic<double> ratio{1};
  const Tracer tracer(time, random, box, ratio);
  RecordOf<Letter> record;
  for (size_t i = 0; i < 16; ++i) record.id.bytes[i] = static_cast<uint8_t>(0xf0 + i);
  const TraceContext saga = SagaContext(record, tracer);
  EXPECT_EQ(saga.Traceparent(), "00-f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff-f8f9fafbfcfdfeff-01");
  EXPECT_EQ(DriverContext(saga, 1), saga);
  EXPECT_EQ(DriverContext(saga, 2).Traceparent(), "00-f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff-973174b57c487b14-01");
  EXPECT_EQ(DriverContext(saga, 2), DriverContext(saga, 2));
  EXPECT_NE(DriverContext(saga, 3), DriverContext(saga, 2));
}

}  // namespace
}  // namespace waybill::saga
