// Time and the collector are the test's own; transport_test has real ones.
#include "edge/otlp/exporter.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill::otlp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Collector {
  std::deque<Sent> answers;  // in turn; then all is taken
  std::vector<int> batches;  // sizes
  std::vector<absl::Duration> timeouts;
  pb::ExportTraceServiceRequest last;
};

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(Collector& collector) : collector_(collector) {}
  Sent Send(const pb::ExportTraceServiceRequest& request, absl::Duration timeout) override {
    collector_.batches.push_back(request.resource_spans(0).scope_spans(0).spans_size());
    collector_.timeouts.push_back(timeout);
    collector_.last = request;
    if (collector_.answers.empty()) return {};
    Sent sent = collector_.answers.front();
    collector_.answers.pop_front();
    return sent;
  }

 private:
  Collector& collector_;
};

Sent Away() { return {absl::UnavailableError("nobody there"), true}; }

class ExporterTest : public ::testing::Test {
 protected:
  ExporterTest() {
    options_.queue_max = 10;
    options_.batch_max = 4;
    options_.attempts_max = 3;
    options_.resource = {{"service.name", "test"}};
  }

  Exporter& Made() {
    if (!exporter_) {
      exporter_.emplace(std::make_unique<FakeTransport>(collector_), options_, time_, metrics_, log_);
    }
    return *exporter_;
  }
  void Take(int spans) {
    for (int i = 0; i < spans; ++i) {
      SpanRecord span;
      span.name = "s";
      span.context.trace_id.bytes[0] = 1;
      span.context.span_id.bytes[0] = 1;
      span.start = span.end = time_.Now();
      Made().Take(std::move(span));
    }
  }
  // Turns as long as one is due.
  void Work() {
    std::optional<SteadyTime> due;
    do {
      due = Made().TakeTurn();
    } while (due && *due <= time_.Steady());
    due_ = due;
  }
  void WorkAfter(absl::Duration pause) {
    time_.Advance(pause);
    Work();
  }
  double Count(const std::string& name, const std::string& reason = "") {
    const prometheus::Labels labels = reason.empty() ? prometheus::Labels{} : prometheus::Labels{{"reason", reason}};
    for (const prometheus::MetricFamily& family : metrics_.Collect()) {
      if (family.name != name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        if (!reason.empty() && metric.label[0].value != reason) continue;
        return family.type == prometheus::MetricType::Gauge ? metric.gauge.value : metric.counter.value;
      }
    }
    ADD_FAILURE() << "no metric " << name;
    return -1;
  }
  double Exported() { return Count("waybill_trace_spans_exported_total"); }
  double Dropped(const std::string& reason) { return Count("waybill_trace_spans_dropped_total", reason); }

  testing::ManualTime time_;
  Metrics metrics_;
  Logger log_{LogFormat::kText, LogLevel::kOff, time_};
  Collector collector_;
  ExporterOptions options_;
  std::optional<Exporter> exporter_;
  std::optional<SteadyTime> due_;
};

TEST_F(ExporterTest, AFewAreSentAfterTheIntervalAndAFullBatchAtOnce) {
  Take(1);
  Work();
  EXPECT_THAT(collector_.batches, ElementsAre());
  EXPECT_EQ(due_, time_.Steady() + absl::Seconds(1));
  WorkAfter(absl::Milliseconds(999));
  EXPECT_THAT(collector_.batches, ElementsAre());
  WorkAfter(absl::Milliseconds(1));
  EXPECT_THAT(collector_.batches, ElementsAre(1));
  EXPECT_EQ(due_, Loop::kWhenWoken);
  Take(9);
  Work();
  EXPECT_THAT(collector_.batches, ElementsAre(1, 4, 4));
  WorkAfter(absl::Seconds(1));
  EXPECT_THAT(collector_.batches, ElementsAre(1, 4, 4, 1));
  EXPECT_EQ(Exported(), 10);
}

TEST_F(ExporterTest, BeyondTheQueuesLimitSpansAreDroppedAndCounted) {
  Take(25);
  EXPECT_EQ(Dropped("queue_full"), 15);
  EXPECT_EQ(Count("waybill_trace_queue_depth"), 10);
  WorkAfter(absl::Seconds(1));
  WorkAfter(absl::Seconds(1));
  EXPECT_EQ(Exported(), 10);
}

TEST_F(ExporterTest, WhoDoesNotAnswerIsAskedAgainLessAndLessOftenAndThenTheBatchIsDropped) {
  collector_.answers = {Away(), Away(), Away()};
  Take(4);
  Work();
  EXPECT_EQ(due_, time_.Steady() + absl::Seconds(1));
  WorkAfter(absl::Milliseconds(999));
  EXPECT_EQ(collector_.batches.size(), 1u);
  WorkAfter(absl::Milliseconds(1));
  EXPECT_EQ(collector_.batches.size(), 2u);
  EXPECT_EQ(due_, time_.Steady() + absl::Seconds(2));
  Take(10);  // meanwhile the queue fills up, and no further
  Take(1);
  EXPECT_EQ(Dropped("queue_full"), 1);
  WorkAfter(absl::Seconds(2));
  EXPECT_EQ(Dropped("unreachable"), 4);
  EXPECT_EQ(Count("waybill_trace_export_failures_total"), 3);
  WorkAfter(absl::Seconds(1));
  WorkAfter(absl::Seconds(1));
  EXPECT_EQ(Exported(), 10) << "what came later is sent when it answers again";
}

TEST_F(ExporterTest, WhatTheCollectorSaysAboutTheNextTryCountsUpToALimit) {
  Sent later = Away();
  later.after = absl::Seconds(5);
  Sent much_later = Away();
  much_later.after = absl::Hours(5);
  collector_.answers = {later, much_later};
  Take(4);
  Work();
  EXPECT_EQ(due_, time_.Steady() + absl::Seconds(5));
  WorkAfter(absl::Seconds(5));
  EXPECT_EQ(due_, time_.Steady() + options_.backoff_max);
}

TEST_F(ExporterTest, WhatIsRefusedIsNotSentAgain) {
  Sent refused{absl::InvalidArgumentError("no"), false};
  Sent in_part;
  in_part.rejected = 3;
  collector_.answers = {refused, in_part};
  Take(8);
  Work();
  EXPECT_THAT(collector_.batches, ElementsAre(4, 4));
  EXPECT_EQ(Dropped("rejected"), 7);
  EXPECT_EQ(Exported(), 1);
}

TEST_F(ExporterTest, AStopSendsWhatIsLeftUntilItsDeadline) {
  Take(7);
  Made().Stop(time_.Steady() + absl::Seconds(3));
  EXPECT_THAT(collector_.batches, ElementsAre(4, 3));
  EXPECT_THAT(collector_.timeouts, ElementsAre(absl::Seconds(3), absl::Seconds(3)));
  Take(1);
  EXPECT_EQ(Dropped("stopped"), 1);
  EXPECT_EQ(Exported(), 7);
}

TEST_F(ExporterTest, AStopAsksOnceWhoDoesNotAnswerAndDropsTheRest) {
  collector_.answers = {Away()};
  Take(10);
  Made().Stop(time_.Steady() + absl::Seconds(3));
  EXPECT_EQ(collector_.batches.size(), 1u);
  EXPECT_EQ(Dropped("stopped"), 10);
  EXPECT_EQ(Exported(), 0);
}

TEST_F(ExporterTest, AStopWithoutTimeSendsNothing) {
  Take(3);
  Made().Stop(time_.Steady());
  EXPECT_THAT(collector_.batches, ElementsAre());
  EXPECT_EQ(Dropped("stopped"), 3);
}

TEST_F(ExporterTest, ASpanIsWrittenAsTheProtocolHasIt) {
  SpanRecord span;
  span.context = *ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  span.context.state = "a=1";
  span.parent.bytes[7] = 9;
  span.name = "call";
  span.kind = SpanKind::kServer;
  span.start = absl::FromUnixSeconds(100);
  span.end = absl::FromUnixSeconds(99);  // of two hosts' clocks
  span.attributes = {
      {"text", std::string("a\xff") + std::string(2'000, 'x')}, {"number", int64_t{-1}}, {"truth", true}};
  span.links.assign(200, span.context);
  span.failed = true;
  span.failure = "why";
  const pb::ExportTraceServiceRequest request = Encode({span}, options_);
  ASSERT_EQ(request.resource_spans_size(), 1);
  EXPECT_EQ(request.resource_spans(0).resource().attributes(0).key(), "service.name");
  EXPECT_EQ(request.resource_spans(0).resource().attributes(0).value().string_value(), "test");
  const auto& sent = request.resource_spans(0).scope_spans(0).spans(0);
  EXPECT_EQ(sent.trace_id().size(), 16u);
  EXPECT_EQ(sent.trace_id().substr(0, 2), "\x0a\xf7");
  EXPECT_EQ(sent.span_id().size(), 8u);
  EXPECT_EQ(sent.parent_span_id(), std::string("\0\0\0\0\0\0\0\x09", 8));
  EXPECT_EQ(sent.trace_state(), "a=1");
  EXPECT_EQ(sent.flags(), 1u);
  EXPECT_EQ(sent.kind(), opentelemetry::proto::trace::v1::Span::SPAN_KIND_SERVER);
  EXPECT_EQ(sent.start_time_unix_nano(), 100'000'000'000u);
  EXPECT_EQ(sent.end_time_unix_nano(), sent.start_time_unix_nano()) << "it may not end before it begins";
  EXPECT_THAT(sent.attributes(0).value().string_value(), HasSubstr("a\xef\xbf\xbd"))
      << "a receiver refuses what is no UTF-8";
  EXPECT_LE(sent.attributes(0).value().string_value().size(), 1'024u);
  EXPECT_EQ(sent.attributes(1).value().int_value(), -1);
  EXPECT_TRUE(sent.attributes(2).value().bool_value());
  EXPECT_EQ(sent.links_size(), 128);
  EXPECT_EQ(sent.dropped_links_count(), 72u);
  EXPECT_EQ(sent.status().code(), opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  EXPECT_EQ(sent.status().message(), "why");
}

}  // namespace
}  // namespace waybill::otlp
