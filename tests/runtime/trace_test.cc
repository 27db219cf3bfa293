#include "runtime/trace.h"

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/span_box.h"

namespace waybill {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::string kTrace = "0af7651916cd43dd8448eb211c80319c", kSpan = "b7ad6b7169203331";
const std::string kParent = "00-" + kTrace + "-" + kSpan + "-01";

TEST(Traceparent, NamesASpanAndIsPassedOnAsItCame) {
  const std::optional<TraceContext> context = ParseTraceparent(kParent);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace_id.ToString(), kTrace);
  EXPECT_EQ(context->span_id.ToString(), kSpan);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(context->Traceparent(), kParent);
  EXPECT_FALSE(ParseTraceparent("00-" + kTrace + "-" + kSpan + "-00")->sampled);
  EXPECT_TRUE(ParseTraceparent("00-" + kTrace + "-" + kSpan + "-ff")->sampled) << "other flags say nothing here";
  EXPECT_EQ(TraceIdOf(kParent), kTrace);
}

TEST(Traceparent, IsRefusedWhereTheSpecificationRefusesIt) {
  const std::string none(32, '0');
  for (const std::string& bad :
       {std::string(), std::string("00"), "ff-" + kTrace + "-" + kSpan + "-01", kParent + "-more", kParent + "0",
        kParent.substr(0, 54), "00-" + none + "-" + kSpan + "-01", "00-" + kTrace + "-" + none.substr(16) + "-01",
        "00-0AF7651916cd43dd8448eb211c80319c-" + kSpan + "-01", "00-" + kTrace + "-" + kSpan + "-0x",
        "0x-" + kTrace + "-" + kSpan + "-01", "00_" + kTrace + "-" + kSpan + "-01", " " + kParent,
        "cc-" + kTrace + "-" + kSpan + "-01more"}) {
    EXPECT_FALSE(ParseTraceparent(bad).has_value()) << bad;
    EXPECT_EQ(TraceIdOf(bad), "") << bad;
  }
}

TEST(Traceparent, OfALaterVersionIsReadAsFarAsThisOneGoes) {
  EXPECT_EQ(ParseTraceparent("cc-" + kTrace + "-" + kSpan + "-01")->Traceparent(), kParent);
  EXPECT_EQ(ParseTraceparent("cc-" + kTrace + "-" + kSpan + "-01-what-will-be")->Traceparent(), kParent);
}

std::string Joined(const std::vector<std::string_view>& fields) { return JoinTracestate(fields); }

TEST(Tracestate, IsJoinedFromItsFieldsWithoutBlanks) {
  EXPECT_EQ(Joined({"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}), "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  EXPECT_EQ(Joined({"a=1 , b=2", "", ",", "2tenant@sys=x y"}), "a=1,b=2,2tenant@sys=x y");
  EXPECT_EQ(Joined({}), "");
}

TEST(Tracestate, IsDroppedWholeWhenAPartOfItBreaksTheRules) {
  std::string many, most;
  for (int i = 0; i < 33; ++i) {
    std::string& to = i < 32 ? most : many;
    to += (to.empty() ? "" : ",") + std::string("k") + std::to_string(i) + "=v";
  }
  EXPECT_EQ(Joined({most}), most);
  for (const std::string& bad :
       {most + "," + many, std::string("a=1,a=2"), std::string("a"), std::string("=1"), std::string("a="),
        std::string("A=1"), std::string("1a=1"), std::string("a@=1"), std::string("a@1b=1"), std::string("a@b@c=1"),
        std::string("a=1=2"), std::string("a=\x01"), std::string("a=\xc3\xa4"), "a=" + std::string(257, 'x'),
        std::string(257, 'a') + "=1", "a=" + std::string(256, 'x') + ",b=" + std::string(256, 'x')}) {
    EXPECT_EQ(Joined({bad}), "") << bad;
  }
}

class TracerTest : public ::testing::Test {
 protected:
  TraceContext Caller(bool sampled) {
    TraceContext caller = *ParseTraceparent(kParent);
    caller.sampled = sampled;
    caller.state = "a=1";
    return caller;
  }

  testing::ManualTime time_;
  SeededRandom random_{1};
  testing::SpanBox box_;
  std::atomic<double> ratio_{0};
  Tracer tracer_{time_, random_, box_, ratio_};
};

TEST_F(TracerTest, ASpanIsTheCallersChildAndTakesAsLongAsItDoes) {
  const absl::Time start = time_.Now();
  Span span = tracer_.Enter("call", SpanKind::kServer, Caller(true));
  time_.Advance(absl::Milliseconds(5));
  span.Set("n", int64_t{1});
  span.Link(Caller(false));
  span.End();
  span.End();  // once
  ASSERT_THAT(box_.spans(), SizeIs(1));
  const SpanRecord sent = box_.spans()[0];
  EXPECT_EQ(sent.name, "call");
  EXPECT_EQ(sent.kind, SpanKind::kServer);
  EXPECT_EQ(sent.context.trace_id.ToString(), kTrace);
  EXPECT_EQ(sent.context.state, "a=1");
  EXPECT_EQ(sent.parent.ToString(), kSpan);
  EXPECT_NE(sent.context.span_id, sent.parent);
  EXPECT_EQ(sent.start, start);
  EXPECT_EQ(sent.end, start + absl::Milliseconds(5));
  EXPECT_THAT(sent.attributes, SizeIs(1));
  EXPECT_THAT(sent.links, SizeIs(1));
  EXPECT_FALSE(sent.failed);
}

TEST_F(TracerTest, AWallClockThatIsSetMakesNoSpanLonger) {
  Span span = tracer_.Enter("call", SpanKind::kServer, Caller(true));
  time_.SetWall(time_.Now() - absl::Hours(1));
  time_.Advance(absl::Milliseconds(5));
  span.End();
  EXPECT_EQ(box_.spans()[0].end - box_.spans()[0].start, absl::Milliseconds(5));
}

TEST_F(TracerTest, TheCallersDecisionWinsOverTheRatio) {
  ratio_ = 1;
  tracer_.Enter("call", SpanKind::kServer, Caller(false)).End();
  EXPECT_THAT(box_.spans(), IsEmpty());
  ratio_ = 0;
  tracer_.Enter("call", SpanKind::kServer, Caller(true)).End();
  EXPECT_THAT(box_.spans(), SizeIs(1));
}

TEST_F(TracerTest, TheRatioDecidesForTracesThatBeginHereAndMayChange) {
  const auto sampled_of = [this](double ratio) {
    ratio_ = ratio;
    int sampled = 0;
    for (int i = 0; i < 10'000; ++i) sampled += tracer_.Enter("call", SpanKind::kServer, {}).context().sampled ? 1 : 0;
    return sampled;
  };
  EXPECT_EQ(sampled_of(0), 0);
  EXPECT_NEAR(sampled_of(0.1), 1'000, 150);
  EXPECT_EQ(sampled_of(1), 10'000);
}

TEST_F(TracerTest, ProcessesDecideAlikeForATraceWithoutACaller) {
  std::atomic<double> ratio{0.5};
  Tracer other(time_, random_, box_, ratio);
  ratio_ = 0.5;
  TraceId trace;
  for (int i = 0; i < 256; ++i) {
    trace.bytes[9] = static_cast<uint8_t>(i);
    EXPECT_EQ(tracer_.Sampled(trace), other.Sampled(trace));
    EXPECT_EQ(tracer_.Sampled(trace), i < 128);
  }
}

TEST_F(TracerTest, WhatIsNotSampledIsSentAloneWhenItFails) {
  Span span = tracer_.Enter("call", SpanKind::kServer, Caller(false));
  Span part = tracer_.Child("part", SpanKind::kInternal, span.context());
  EXPECT_FALSE(span.recording());
  EXPECT_EQ(part.context(), span.context()) << "what comes below has it for a parent";
  part.Fail("of a part nothing is sent");
  part.End();
  span.Fail("broken");
  span.Set("seen", true);
  span.End();
  ASSERT_THAT(box_.spans(), SizeIs(1));
  EXPECT_EQ(box_.spans()[0].name, "call");
  EXPECT_TRUE(box_.spans()[0].failed);
  EXPECT_EQ(box_.spans()[0].failure, "broken");
  EXPECT_EQ(box_.spans()[0].parent.ToString(), kSpan);
  EXPECT_FALSE(box_.spans()[0].context.sampled) << "whoever is called next is not made to sample";
  EXPECT_THAT(box_.spans()[0].attributes, SizeIs(1));
}

TEST_F(TracerTest, WhenAllFailsOnlySoManyASecondAreSentAlone) {
  const auto fail = [&](int times) {
    for (int i = 0; i < times; ++i) tracer_.Enter("call", SpanKind::kServer, Caller(false)).Fail("the store is away");
  };
  fail(5'000);
  EXPECT_THAT(box_.spans(), SizeIs(20));
  EXPECT_EQ(box_.left_out(), 4'980);
  tracer_.Enter("call", SpanKind::kServer, Caller(true)).Fail("sampled");
  tracer_.Enter("another", SpanKind::kServer, Caller(false)).Fail("for a reason of its own");
  EXPECT_THAT(box_.spans(), SizeIs(22));
  time_.Advance(absl::Seconds(1));
  fail(5);
  EXPECT_THAT(box_.spans(), SizeIs(27));
}

TEST_F(TracerTest, WhatIsDroppedIsNotSent) {
  Span sampled = tracer_.Enter("call", SpanKind::kServer, Caller(true));
  sampled.Drop();
  sampled.Fail("too late");
  sampled.End();
  EXPECT_THAT(box_.spans(), SizeIs(0));
  EXPECT_TRUE(sampled.context().valid()) << "for logs";
}

TEST_F(TracerTest, AChildIsOfItsParentAndMayHaveAKnownId) {
  Span span = tracer_.Enter("call", SpanKind::kServer, Caller(true));
  SpanId known;
  known.bytes[7] = 7;
  tracer_.Child("a", SpanKind::kInternal, span.context()).End();
  tracer_.Child("b", SpanKind::kInternal, span.context(), known).End();
  ASSERT_THAT(box_.spans(), SizeIs(2));
  EXPECT_EQ(box_.spans()[0].parent, span.context().span_id);
  EXPECT_EQ(box_.spans()[1].parent, span.context().span_id);
  EXPECT_EQ(box_.spans()[1].context.span_id, known);
}

TEST_F(TracerTest, ASpanThatIsMovedIsSentOnceAndOneThatIsDroppedIsSentToo) {
  {
    Span span = tracer_.Enter("call", SpanKind::kServer, Caller(true));
    Span moved = std::move(span);
    Span none;
    none.Set("k", true);
    none.Fail("nobody hears it");
    EXPECT_FALSE(none.context().valid());
  }
  EXPECT_THAT(box_.spans(), SizeIs(1));
}

}  // namespace
}  // namespace waybill
