// Spans of real processes at a collector of the test's own: one order's whole trace put together, over a crash.
#include <csignal>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/ingest_stack.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"
#include "tests/support/otlp_receiver.h"

namespace waybill::testing {
namespace {

using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr char kCreate[] = "waybill.order.v1.OrderService/CreateOrder";
constexpr char kTrace[] = "0af7651916cd43dd8448eb211c80319c", kCaller[] = "b7ad6b7169203331";
constexpr absl::Duration kPatience = absl::Seconds(60);

// The saga's own span, as it follows from the order's id.
std::string SagaSpanOf(const std::string& order_id) {
  const std::string digits = absl::StrReplaceAll(order_id, {{"-", ""}});
  return digits.substr(16);
}

bool LinksTo(const ReceivedSpan& span, const ReceivedSpan& to) {
  for (const auto& link : span.span.links()) {
    if (absl::BytesToHexString(link.trace_id()) == to.trace && absl::BytesToHexString(link.span_id()) == to.id)
      return true;
  }
  return false;
}

class TraceTest : public ::testing::TestWithParam<bool> {
 protected:
  TraceTest() {
    options_.order_args = {"--otlp-endpoint", GetParam() ? receiver_.HttpUrl() : receiver_.GrpcUrl(),
                           "--lease",         "1500ms",
                           "--backoff",       "20ms",
                           "--backoff-max",   "100ms",
                           "--trace-ratio"};
  }
  Stack& Started(const std::string& ratio) {
    options_.order_args.push_back(ratio);
    stack_.emplace(options_);
    stack_->PutDrivers(5);
    return *stack_;
  }

  grpc::Status Create(OrderReplica& replica, const std::string& key, const std::string& traceparent, bool wait,
                      order::v1::Order* order) {
    const auto context = Deadline(absl::Seconds(30));
    if (!traceparent.empty()) {
      context->AddMetadata("traceparent", traceparent);
      context->AddMetadata("tracestate", "vendor=value");
    }
    order::v1::CreateOrderRequest request = OrderRequestFor(key);
    if (!wait) request.set_wait(order::v1::CreateOrderRequest::UNTIL_ACCEPTED);
    return replica.Orders()->CreateOrder(context.get(), request, order);
  }

  bool Comes(std::string_view name, size_t count = 1) {
    return Eventually(kPatience, [&] { return receiver_.Named(name).size() >= count; });
  }
  std::map<std::string, ReceivedSpan> Trace(const std::string& trace) {
    std::map<std::string, ReceivedSpan> by_id;
    for (const ReceivedSpan& span : receiver_.spans()) {
      if (span.trace != trace) continue;
      EXPECT_TRUE(by_id.emplace(span.id, span).second) << span.name << " was sent twice";
    }
    return by_id;
  }

  OtlpReceiver receiver_;
  StackOptions options_;
  std::optional<Stack> stack_;
};

TEST_P(TraceTest, AnOrdersWholeTraceIsPutTogetherOverAKill) {
  Stack& stack = Started("0");  // the caller's word is enough
  OrderReplica& first = stack.AddReplica("first");
  first.Start();
  sandbox::v1::Behaviour slow;
  slow.set_late_rate(1);  // done at once, answered after the kill
  slow.set_late_ms(20'000);
  slow.add_methods("Charge");
  stack.SetBehaviour(slow);

  order::v1::Order order;
  ASSERT_TRUE(Create(first, "k", std::string("00-") + kTrace + "-" + kCaller + "-01", false, &order).ok());
  ASSERT_TRUE(Comes(kCreate));
  ASSERT_TRUE(Comes("journal begin"));
  ASSERT_TRUE(Comes("journal commit"));
  first.Kill();

  stack.SetBehaviour({});
  OrderReplica& second = stack.AddReplica("second");
  second.Start();
  ASSERT_TRUE(stack.WaitUntilAllSettled());
  ASSERT_TRUE(Comes("saga place_order"));
  EXPECT_EQ(second.Stop(), 0);  // sends what is left

  const std::map<std::string, ReceivedSpan> trace = Trace(kTrace);
  std::map<std::string, std::vector<const ReceivedSpan*>> named;
  for (const auto& [id, span] : trace) named[span.name].push_back(&span);
  for (const char* once :
       {kCreate, "journal begin", "saga place_order", "resume saga", "charge_payment", "assign_driver"}) {
    ASSERT_THAT(named[once], SizeIs(1)) << once;
  }
  const ReceivedSpan& call = *named[kCreate][0];
  const ReceivedSpan& saga = *named["saga place_order"][0];
  const ReceivedSpan& resumed = *named["resume saga"][0];

  // From the caller down, over both processes.
  EXPECT_EQ(call.parent, kCaller);
  EXPECT_EQ(call.instance, "first");
  EXPECT_EQ(call.service, "waybill-order");
  EXPECT_EQ(call.state, "vendor=value");
  EXPECT_EQ(call.Attribute("rpc.method"), "CreateOrder");
  EXPECT_EQ(named["journal begin"][0]->parent, call.id);
  EXPECT_EQ(saga.parent, call.id);
  EXPECT_EQ(saga.id, SagaSpanOf(order.order_id()));
  EXPECT_EQ(saga.Attribute("waybill.saga.id"), order.order_id());
  EXPECT_EQ(saga.Attribute("waybill.saga.state"), "succeeded");
  EXPECT_EQ(saga.instance, "second") << "whoever brings it to rest sends it";
  EXPECT_EQ(resumed.parent, saga.id);
  EXPECT_TRUE(LinksTo(resumed, saga)) << "the take-over, to whoever drove it before";
  EXPECT_EQ(resumed.instance, "second");
  for (const char* step : {"charge_payment", "assign_driver"}) {
    EXPECT_EQ(named[step][0]->parent, resumed.id) << step;
    std::vector<std::string> attempts;
    for (const ReceivedSpan* attempt : named["attempt"]) {
      if (attempt->parent == named[step][0]->id) attempts.push_back(attempt->Attribute("waybill.saga.outcome"));
    }
    ASSERT_THAT(attempts, Not(IsEmpty())) << step;
    EXPECT_THAT(attempts, Contains("succeeded")) << step;
  }
  ASSERT_THAT(named["journal advance"], Not(IsEmpty()));
  for (const ReceivedSpan* write : named["journal advance"]) EXPECT_EQ(write->parent, resumed.id);

  // Nobody's parent is missing, for what the first process could not send are its attempt and step.
  for (const auto& [id, span] : trace) {
    EXPECT_TRUE(span.parent == kCaller || trace.contains(span.parent)) << span.name << " has no parent";
  }
  // Commits are of many orders: each is a trace of its own, linked to those that it carries.
  std::set<std::string> committed_by;
  for (const ReceivedSpan& commit : receiver_.Named("journal commit")) {
    EXPECT_NE(commit.trace, kTrace);
    if (LinksTo(commit, saga)) committed_by.insert(commit.instance + " begins");
    if (LinksTo(commit, resumed)) committed_by.insert(commit.instance + " goes on");
  }
  EXPECT_THAT(committed_by, ::testing::ElementsAre("first begins", "second goes on"));
  EXPECT_THAT(receiver_.complaints(), IsEmpty());
}

TEST_P(TraceTest, WithoutACallersWordTheRatioDecidesAndMayChangeWhileRunning) {
  TempDirectory folder;
  const std::string config = folder.path() / "order.toml";
  std::ofstream(config) << "trace-ratio = 0.0\n";
  options_.order_args.back() = "--config";
  Stack& stack = Started(config);
  OrderReplica& replica = stack.AddReplica("only");
  replica.Start();
  order::v1::Order order;
  ASSERT_TRUE(Create(replica, "a", "", true, &order).ok());
  std::ofstream(config) << "trace-ratio = 1.0\n";
  ASSERT_TRUE(replica.process().Signal(SIGHUP));
  ASSERT_TRUE(replica.process().WaitForLine("a setting has changed", absl::Seconds(20)).has_value());
  ASSERT_TRUE(Create(replica, "b", "", true, &order).ok());
  ASSERT_TRUE(Comes("saga place_order"));
  EXPECT_EQ(replica.Stop(), 0);
  const std::vector<ReceivedSpan> sagas = receiver_.Named("saga place_order");
  ASSERT_THAT(sagas, SizeIs(1));
  EXPECT_EQ(sagas[0].id, SagaSpanOf(order.order_id()));
  EXPECT_EQ(sagas[0].parent, receiver_.Named(kCreate).at(0).id);
}

TEST_P(TraceTest, WhatEndsBadlyIsSentAloneWhateverTheRatioIs) {
  Stack& stack = Started("0");
  OrderReplica& replica = stack.AddReplica("only");
  replica.Start();
  sandbox::v1::Behaviour declines;
  declines.set_decline_rate(1);
  stack.SetBehaviour(declines);
  order::v1::Order order;
  ASSERT_TRUE(Create(replica, "a", "", true, &order).ok());
  EXPECT_EQ(order.status(), order::v1::FAILED);
  ASSERT_TRUE(Comes("saga place_order"));
  EXPECT_EQ(replica.Stop(), 0);
  EXPECT_THAT(receiver_.spans(), SizeIs(1));
  const ReceivedSpan saga = receiver_.spans().front();
  EXPECT_EQ(saga.Attribute("waybill.saga.failure"), "PAYMENT_DECLINED");
  EXPECT_EQ(saga.span.status().code(), opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
}

TEST_P(TraceTest, WhileNoCollectorAnswersOrdersGoOnAndWhatIsDroppedIsCounted) {
  receiver_.SetAnswer([](const auto&, auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"); });
  Stack& stack = Started("1");
  OrderReplica& replica = stack.AddReplica("only");
  replica.Start();
  order::v1::Order order;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Create(replica, std::to_string(i), "", true, &order).ok());
    EXPECT_EQ(order.status(), order::v1::CONFIRMED);
  }
  ASSERT_TRUE(Eventually(kPatience, [&] { return replica.Metric("waybill_trace_export_failures_total") >= 2; }));
  EXPECT_THAT(replica.process().Output(), HasSubstr("the collector takes no spans"));
  EXPECT_EQ(replica.Stop(), 0);
  EXPECT_THAT(receiver_.spans(), IsEmpty());
}

TEST(IngestTrace, HasCallsBatchesCommitsAndPipelines) {
  OtlpReceiver receiver;
  IngestStack stack({.args = {"--otlp-endpoint", receiver.GrpcUrl(), "--trace-ratio", "1"}});
  IngestReplica& replica = stack.AddReplica("a");
  replica.Start();
  const auto context = Deadline(absl::Seconds(30));
  context->AddMetadata("traceparent", std::string("00-") + kTrace + "-" + kCaller + "-01");
  const auto stream = replica.Locations()->StreamLocations(context.get());
  location::v1::LocationBatch batch;
  batch.set_sequence(1);
  *batch.add_points() = PointOf("ann", {52.5, 13.4}, absl::Now());
  ASSERT_TRUE(stream->Write(batch));
  location::v1::LocationAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&ack));
  EXPECT_TRUE(stream->Finish().ok());
  for (const char* name :
       {"waybill.location.v1.LocationService/StreamLocations", "location batch", "history commit", "redis pipeline"}) {
    EXPECT_TRUE(Eventually(kPatience, [&] { return !receiver.Named(name).empty(); })) << name;
  }
  EXPECT_EQ(replica.Stop(), 0);
  const ReceivedSpan call = receiver.Named("waybill.location.v1.LocationService/StreamLocations").at(0);
  const ReceivedSpan stored = receiver.Named("location batch").at(0);
  EXPECT_EQ(call.service, "waybill-ingest");
  EXPECT_EQ(call.trace, kTrace);
  EXPECT_EQ(call.parent, kCaller);
  EXPECT_TRUE(LinksTo(stored, call));
  EXPECT_EQ(stored.Attribute("waybill.locations.points"), "1");
  EXPECT_THAT(receiver.complaints(), IsEmpty());
}

TEST(OutcomeLine, IsOneOfJsonForEachOrderWithItsTrace) {
  TempDirectory folder;
  const std::string config = folder.path() / "order.toml";
  std::ofstream(config) << "log-level = \"warn\"\n";
  StackOptions options;
  options.builtin_gateway = true;
  options.order_args = {"--config", config};
  Stack stack(options);
  stack.PutDrivers(5);
  OrderReplica& replica = stack.AddReplica("only");
  replica.Start();
  std::ofstream(config) << "log-level = \"warn\"\nlog-levels = \"services.order=debug\"\n";
  ASSERT_TRUE(replica.process().Signal(SIGHUP));
  ASSERT_TRUE(replica.process().WaitForLine("a setting has changed", absl::Seconds(20)).has_value());
  const auto context = Deadline(absl::Seconds(30));
  context->AddMetadata("traceparent", std::string("00-") + kTrace + "-" + kCaller + "-00");
  order::v1::Order order;
  ASSERT_TRUE(replica.Orders()->CreateOrder(context.get(), OrderRequestFor("k"), &order).ok());
  const auto line = replica.process().WaitForLine("order settled", absl::Seconds(20));
  ASSERT_TRUE(line.has_value());
  EXPECT_THAT(*line, HasSubstr("\"level\":\"debug\",\"msg\":\"order settled\",\"package\":\"services.order\""));
  EXPECT_THAT(*line, HasSubstr("\"order_id\":\"" + order.order_id() + "\",\"status\":\"CONFIRMED\""));
  EXPECT_THAT(*line, HasSubstr(std::string("\"trace_id\":\"") + kTrace + "\""));
  EXPECT_EQ(replica.Stop(), 0);
}

INSTANTIATE_TEST_SUITE_P(Protocols, TraceTest, ::testing::Values(false, true),
                         [](const auto& of) { return of.param ? "Http" : "Grpc"; });

}  // namespace
}  // namespace waybill::testing
